"""The drawings for a narrow screen: a structure with its lanes one below the other, and all families in one."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from markupsafe import Markup

from equibench.quantities.text import amount
from equibench.record.anatomy import ModelPart, Structure
from equibench.report.diagrams.blocks import LETTER, LINE, Blocks, Ends, shape_words, words_of
from equibench.report.diagrams.lanes import IMAGE, NOISE
from equibench.report.diagrams.overview import FamilyWay
from equibench.report.diagrams.svg import Drawing, safe
from equibench.report.sprites import Sprite

WIDTH, LEFT, BLOCK, GAP = 340, 28, 164, 16
SIDE = 40  # of an image
# what each family's ways through it are called: from the image, and from the noise
BETWEEN = {
    "gan": ("discriminator", "generator"),
    "vae": ("encoder", "decoder"),
    "flow": ("couplings", "couplings"),
    "diffusion": ("noise is added", "denoiser"),
}


def stacked(structure: Structure, name: str, title: str, ends: Ends) -> Markup:
    """A structure's lanes below each other, each from its beginning down to its end."""
    return _Stacked(structure, ends).svg(name, title)


class _Stacked(Blocks):
    def svg(self, name: str, title: str) -> Markup:
        lanes, y = self.lanes, 0.0
        for label, parts, start, end in (
            ("READ, from the image", (*lanes.read, *lanes.between), IMAGE, ""),
            ("MAKE, from the noise", lanes.make, NOISE, IMAGE),
            ("READ down, MAKE up", lanes.both, IMAGE, NOISE),
            ("Beside them", lanes.aside, "", ""),
            ("Parts", lanes.loose, "", ""),
        ):
            if parts:
                y = self._lane(y + 14, f"{label}: {self.share(parts)} of parameters", parts, start, end) + 12
        about = ", then ".join(words_of(part) for part in self.structure.parts)
        return self.drawing.svg(WIDTH, y, name, title, about)

    def _lane(self, y: float, label: str, parts: Sequence[ModelPart], start: str, end: str) -> float:
        self.drawing.text(0, y, label, "lane", "start")
        y = self._end(y + 8, start, below=False)
        for i, part in enumerate(parts):
            before = parts[i - 1].name if i else start
            y = self._arrow(y, joined=bool(before) and (before in part.follows or not part.follows))
            y = self._part(part, y, before)
        return self._end(y, end, below=True)

    def _arrow(self, y: float, *, joined: bool) -> float:
        middle = LEFT + BLOCK / 2
        if joined and self.lanes.both:
            self.drawing.line([(middle - 6, y), (middle - 6, y + GAP)], "read")
            self.drawing.line([(middle + 6, y + GAP), (middle + 6, y)])
        elif joined:
            self.drawing.line([(middle, y), (middle, y + GAP)])
        return y + (GAP if joined else GAP / 2)

    def _part(self, part: ModelPart, y: float, before: str) -> float:
        lines = textwrap.wrap(words_of(part), int((BLOCK - 8) / LETTER))[:4]
        height = LINE * max(2, len(lines)) + 8
        kind = ("learned" if part.trained else "fixed") + ("" if part.samples else " unsampled")
        self.drawing.rect(LEFT, y, BLOCK, height, kind)
        for i, line in enumerate(lines):
            at = y + height / 2 + 4 + LINE * (i - (len(lines) - 1) / 2)
            self.drawing.text(LEFT + BLOCK / 2, at, line, "on" if kind == "learned" else "")
        beside, more = LEFT + BLOCK + 10, [name for name in part.follows if name not in (before, IMAGE)]
        words = [self.share([part])] if part.params else []
        words += [shape_words(part.output_shapes[0])] if part.output_shapes else []
        self.drawing.text(beside, y + 15, "   ".join(words), "strong" if part.params else "small", "start")
        if NOISE in more:
            self.drawing.text(beside, y + 15 + LINE, "takes in noise, too", "small", "start")
        elif more:
            self.drawing.text(beside, y + 15 + LINE, "has other inputs, too", "small", "start")
        return y + height

    def _end(self, y: float, end: str, *, below: bool) -> float:
        """An image or noise at the beginning of a lane, or below its last block."""
        if not end:
            return y
        if below:
            y = self._arrow(y, joined=True)
        sprite = self.ends.real if end == IMAGE and not below else self.ends.sample
        x = LEFT + BLOCK / 2 - SIDE / 2
        if end == IMAGE:
            _picture(self.drawing, x, y, sprite)
            self.drawing.text(x + SIDE + 8, y + 24, "real image" if not below else "sample", "strong", "start")
            return y + SIDE
        self.drawing.text(LEFT + BLOCK / 2, y + 14, "noise", "strong")
        return y + 20


def _picture(drawing: Drawing, x: float, y: float, sprite: Sprite | None) -> None:
    if sprite:
        drawing.image(x, y, SIDE, SIDE, sprite.uri)
    else:
        drawing.rect(x, y, SIDE, SIDE, "fixed", 2)


def narrow_overview(ways: Sequence[FamilyWay]) -> Markup:
    """A row a family: from the image to the noise above, dashed, and back below."""
    drawing, row = Drawing(), 148
    for i, way in enumerate(ways):
        one = _row(way, row * i)
        drawing.shapes.append(f'<g class="of-{safe(way.family)}">{"".join(one.shapes)}</g>')
    about = "; ".join(f"{way.title}: {way.gist}" for way in ways)
    return drawing.svg(WIDTH, row * len(ways), "narrow-ways", "From image to noise and back", about, "overview")


def _row(way: FamilyWay, top: float) -> Drawing:
    drawing = Drawing()
    drawing.line([(0, top), (WIDTH, top)], "rule", head=False)
    drawing.text(0, top + 20, textwrap.shorten(way.title, 36, placeholder=" …"), "name", "start")
    reads, makes = BETWEEN.get(way.family, ("", "model"))
    for y, sprite, label, back in ((top + 30, way.real, reads, False), (top + 78, way.sample, makes, True)):
        middle = y + SIDE / 2
        _picture(drawing, 0, y, sprite)
        if not label:
            continue
        sampled = back or way.family == "flow"
        kind = "learned" if sampled else "learned unsampled" if way.family != "diffusion" else "fixed unsampled"
        drawing.rect(92, middle - 15, 120, 30, kind)
        drawing.text(152, middle + 4, label, "on" if sampled else "")
        points = [(SIDE + 4, middle), (92, middle)], [(212, middle), (264, middle)]
        for line in points:
            drawing.line(line[::-1] if back else line, "make" if back else "read")
    x, y = 292, top + 74
    if way.noise:
        drawing.image(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE, way.noise.uri)
    if way.family == "gan":
        drawing.text(x, top + 46, "real or made?", "small")
    passes = "" if way.passes is None else f"{amount(way.passes)} pass{'es' if way.passes != 1 else ''} for a sample"
    numbers = f"{amount(way.numbers)} numbers of noise" if way.numbers else ""
    drawing.text(0, top + 136, "; ".join(filter(None, [numbers, passes])), "small", "start")
    return drawing
