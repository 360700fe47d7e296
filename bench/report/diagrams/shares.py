"""How large the parts of a model are, beside each other and in the frame of what is allowed."""

from __future__ import annotations

from markupsafe import Markup

from equibench.record.anatomy import Structure
from equibench.report.diagrams.blocks import LETTER, WIDTH, words_of
from equibench.report.diagrams.svg import Drawing


def bar(structure: Structure, cap: int | None, name: str, title: str) -> Markup:
    """Each part as wide as its parameters, in a frame as wide as the cap (or as all parts, where there is none)."""
    drawing, height = Drawing(), 22
    total = sum(part.params for part in structure.parts)
    scale, x = WIDTH / max(total, cap or 0, 1), 0.0
    for part in sorted(structure.parts, key=lambda part: not part.samples):  # what a sample takes first
        width = part.params * scale
        kind = "learned" if part.samples else "learned unsampled"
        if width:
            drawing.rect(x, 1, width, height - 2, f"{kind} share", 0)
        share = f"{100 * part.params / max(total, 1):.1f} %"
        label = next((one for one in (f"{words_of(part)}: {share}", share) if width > LETTER * len(one) + 8), "")
        if label:
            drawing.text(x + width / 2, 15, label, "on" if part.samples else "")
        x += width
    drawing.rect(0.5, 0.5, WIDTH - 1, height - 1, "frame", 2)
    about = ", ".join(f"{part.name} {part.params:,}" for part in structure.parts)
    return drawing.svg(WIDTH, height, name, title, about, "bar-of-parts")
