"""A model's structure drawn from its record: data left, noise right; above what reads, below what makes images.

Filled: learned. Outlined: fixed. Dashed: not needed for a sample. A block is as high as the map that leaves it, and
below it stand its share of the parameters and its shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from equibench.quantities.text import TIMES
from equibench.record.anatomy import ModelPart, Structure
from equibench.report import sprites
from equibench.report.diagrams.blocks import ENDS, Blocks, Ends, shape_words, words_of
from equibench.report.diagrams.lanes import IMAGE, NOISE, Lanes


def drawn(structure: Structure, name: str, title: str, ends: Ends) -> Markup:
    """The drawing of a structure; `name` sets its identifiers apart from those of others in the page."""
    return _Structure(structure, ends).svg(name, title)


class _Structure(Blocks):
    def svg(self, name: str, title: str) -> Markup:
        lanes = self.lanes
        if lanes.both:
            bottom = self._both(lanes.both)
        elif lanes.loose:
            bottom = self.row(lanes.loose, 70, leftwards=False)
        else:
            bottom = self._two_lanes(lanes)
        if lanes.aside:
            bottom = self._aside(lanes.aside, bottom + 50)
        return self.drawing.svg(self.width, bottom + 8, name, title, self._about())

    def _about(self) -> str:
        return ". ".join(
            f"{label}: {', then '.join(words_of(part) for part in parts)}"
            for label, parts in (
                ("From image to noise", (*self.lanes.read, *self.lanes.between, *self.lanes.both)),
                ("From noise to image", self.lanes.make or tuple(p for p in self.lanes.both[::-1] if p.samples)),
                ("Parts", self.lanes.loose),
                ("Beside them", self.lanes.aside),
            )
            if parts
        )

    def _two_lanes(self, lanes: Lanes) -> float:
        drawing, y = self.drawing, 12.0
        read, make = self.share(lanes.read + lanes.between), self.share(lanes.make)
        if lanes.read:
            drawing.text(0, y, f"READ, from the image: {read} of the parameters", "lane", "start")
            y = self.row(lanes.read, y + 60, leftwards=False) + 22
            self.image(self.boxes[lanes.read[0].name].y, self.ends.real, "real image")
            self._arrows(lanes.read, "read")
        if lanes.between:
            between_y = y + 26
            y += 78
        drawing.text(
            54 if lanes.read else 0, y + 12, f"MAKE, from the noise: {make} of the parameters", "lane", "start"
        )
        middle = y + (84 if self._skips(lanes.make) else 74)
        bottom = self.row(lanes.make, middle, leftwards=True)
        self.image(middle, self.ends.sample, "sample")
        self._arrows(lanes.make, "make")
        self._skip_lines(lanes.make, y + 22)
        if lanes.between:
            self._between(lanes, between_y)
        bottom = max(bottom, self._noises(lanes.make, middle, bottom))
        last = self.boxes[lanes.make[-1].name] if lanes.make else None
        judged = [part for part in lanes.read if lanes.make and lanes.make[-1].name in part.follows]
        if judged and last:  # what is made is read as well
            box = self.boxes[judged[0].name]
            points = [(44, middle - 32), (44, box.y + 62), (box.left - 10, box.y + 62), (box.left - 10, box.y + 14)]
            drawing.line([*points, (box.left, box.y + 14)], "read")
        if self.ends.passes > 1:
            bottom += 16
            points = [(44, middle + 62), (44, bottom), (self.width - 40, bottom), (self.width - 40, middle + 62)]
            drawing.line(points)
            drawing.text(56, bottom - 5, f"{self.ends.passes} passes for a sample", "small", "start")
        return bottom + 6

    def _arrows(self, parts: Sequence[ModelPart], kind: str) -> None:
        """From one end through the blocks that follow each other."""
        leftwards = kind == "make"
        end = self.width - ENDS + 14 if leftwards else ENDS - 28
        for before, part in zip([None, *parts[:-1]], parts, strict=True):
            box = self.boxes[part.name]
            start = (
                end
                if before is None
                else (self.boxes[before.name].left if leftwards else self.boxes[before.name].right)
            )
            if before is None or before.name in part.follows:
                self.drawing.line([(start, box.y), (box.right if leftwards else box.left, box.y)], kind)
        if parts and leftwards:
            self.drawing.line(
                [
                    (self.boxes[parts[-1].name].left, self.boxes[parts[-1].name].y),
                    (ENDS - 28, self.boxes[parts[-1].name].y),
                ]
            )

    def _skips(self, parts: Sequence[ModelPart]) -> list[tuple[str, str]]:
        """Pairs of parts of a lane, not neighbours, of which the second takes in the first's output."""
        place = {part.name: i for i, part in enumerate(parts)}
        return [
            (name, part.name)
            for i, part in enumerate(parts)
            for name in part.follows
            if name in place and place[name] < i - 1
        ]

    def _skip_lines(self, parts: Sequence[ModelPart], y: float) -> None:
        for before, after in self._skips(parts):
            start, end = self.boxes[before], self.boxes[after]
            self.drawing.line([(start.x, start.top), (start.x, y), (end.x, y), (end.x, end.top)])

    def _between(self, lanes: Lanes, y: float) -> None:
        """What is read of the image for one part of the lower lane, above that part."""
        for part in lanes.between:
            takers = [one for one in lanes.make if part.name in one.follows]
            if not takers:
                continue
            target = self.boxes[takers[0].name]
            self.block(part.model_copy(update={"output_shapes": []}), target.x, y, target.width)
            box = self.boxes[part.name]
            offset = box.width / 2 - 8  # beside the share
            self.drawing.line([(box.x - offset, box.bottom), (box.x - offset, target.top)], "read")
            for name in part.follows:
                if source := self.boxes.get(name):
                    bend = box.top - 12
                    self.drawing.line(
                        [
                            (source.x - source.width / 2 + 10, source.bottom),
                            (source.x - source.width / 2 + 10, bend),
                            (box.x - offset, bend),
                            (box.x - offset, box.top),
                        ],
                        "read",
                    )

    def _noises(self, parts: Sequence[ModelPart], y: float, bottom: float) -> float:
        """The noise that each block takes in: of the first at the right end, of others below them."""
        taking = [part for part in parts if NOISE in part.follows and part.input_shapes]
        for part in taking:
            shape, box = part.input_shapes[-1], self.boxes[part.name]
            if part == parts[0]:
                self.noise(self.width - 44, y, shape)
                continue
            sprite = sprites.noise([shape])
            top = box.bottom + 48
            self.drawing.line([(box.right - 6, top), (box.right - 6, box.bottom)])
            width, height = sprite.width * self.cell, sprite.height * self.cell
            self.drawing.image(box.right - width, top, width, height, sprite.uri)
            self.drawing.text(box.right - width / 2, top + height + 13, shape_words(shape), "small")
            bottom = max(bottom, top + height + 16)
        return bottom

    def _both(self, parts: Sequence[ModelPart]) -> float:
        """One lane of parts that run both ways; what leaves it on the way goes to noise of its own."""
        drawing, y = self.drawing, 78.0
        drawing.text(
            0,
            12,
            "READ rightwards, from the image; MAKE leftwards, from the noise: the same parameters",
            "lane",
            "start",
        )
        bottom = self.row(parts, y, leftwards=False)
        self.image(y, self.ends.real, IMAGE)
        made = [part for part in parts if part.samples]
        before: float = ENDS - 28
        for part in parts:
            box = self.boxes[part.name]
            drawing.line([(before, y - 8), (box.left, y - 8)], "read")
            if part in made[1:] or (part in made and part == parts[0]):
                drawing.line([(box.left, y + 8), (before, y + 8)])
            before = box.right
        end = self.width - ENDS + 14
        drawing.line([(before, y - 8), (end, y - 8)], "read")
        drawing.line([(end, y + 8), (before, y + 8)])
        if made and made[0] != parts[0]:
            first = self.boxes[made[0].name]
            low = bottom + 8
            points = [(first.left, y + 8), (first.left - 9, y + 8), (first.left - 9, low), (44, low), (44, y + 50)]
            drawing.line(points)
            bottom = low
        self.noise(self.width - 44, y, parts[-1].output_shapes[0] if parts[-1].output_shapes else [])
        row = bottom + 14
        for part in reversed(parts):
            if leaving := part.output_shapes[1:]:
                sprite, box = sprites.noise(leaving), self.boxes[part.name]
                width, height = sprite.width * self.cell, sprite.height * self.cell
                middle = row + max(14.0, height / 2)
                drawing.image(self.width - 44 - width / 2, middle - height / 2, width, height, sprite.uri)
                drawing.text(
                    self.width - 44,
                    middle + height / 2 + 13,
                    f"{len(leaving)}{TIMES}{shape_words(leaving[0])}",
                    "small",
                )
                right, edge = box.right - 14, self.width - 44 - max(width / 2, 28) - 4
                drawing.line([(right, box.bottom), (right, middle - 5), (edge, middle - 5)], "read")
                drawing.line([(edge, middle + 5), (right - 9, middle + 5), (right - 9, box.bottom)])
                row = middle + height / 2 + 22
        return max(bottom, row)

    def _aside(self, parts: Sequence[ModelPart], y: float) -> float:
        """Parts that neither end leads to, and lines from them to what takes them in."""
        bottom = self.row(parts, y + 26, leftwards=True)
        for part in parts:
            box = self.boxes[part.name]
            takers = [
                self.boxes[one.name]
                for one in self.structure.parts
                if part.name in one.follows and one.name in self.boxes
            ]
            for taker in takers:
                x = taker.left + 8
                self.drawing.line([(box.x, box.top), (box.x, y - 14), (x, y - 14), (x, taker.bottom)])
        return bottom
