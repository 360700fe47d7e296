"""The figures of each section and of each ladder of budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from matplotlib.figure import Figure

from equibench.report.figures import draw, style
from equibench.report.figures.images import Picture
from equibench.report.parts.part import PagePart, Whole
from equibench.summary.scaling import ladder_sentences

T = TypeVar("T")


def figures(whole: Whole) -> PagePart:
    several = len(whole.sections) > 1
    drawn = [_figures(draw.FIGURES, s, f"-{s.letter.lower()}" if several else "") for s in whole.detailed]
    shown = whole.ladders[: len(whole.detailed)]
    of_ladders = [_figures(draw.OF_LADDERS, ladder, f"-{i}") for i, ladder in enumerate(shown, 1)]
    return PagePart(
        {
            "figures": drawn,
            "ladders": [(one, ladder_sentences(one), d) for one, d in zip(shown, of_ladders, strict=True)],
        },
        tuple(picture for by_name in [*drawn, *of_ladders] for picture in by_name.values()),
    )


def _figures(of: Mapping[str, tuple[Callable[[T], Figure | None], str]], one: T, suffix: str) -> dict[str, Picture]:
    """The figures of one section, or one ladder, by name, without those that its records have nothing for."""
    found = {}
    for name, (drawing, alt) in of.items():
        figure = drawing(one)
        if figure:
            path = f"figures/{name}{suffix}"
            kinds = {kind: style.render(figure, kind) for kind in style.KINDS}
            page: style.Kind = "png" if name == "samples" else "svg"  # pixels as they are
            others = {f"{path}.{kind}": content for kind, content in kinds.items() if kind != page}
            found[name] = Picture(f"{path}.{page}", kinds[page], alt, others)
    return found
