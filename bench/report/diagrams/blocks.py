"""Blocks, images and noise of a drawing of a structure, each in its place."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from equibench.quantities.text import TIMES
from equibench.record.anatomy import ModelPart, Structure
from equibench.report import sprites
from equibench.report.diagrams.lanes import lanes_of
from equibench.report.diagrams.svg import Drawing

WIDTH, ENDS, LEAST_STEP = 1100, 108, 96  # of a drawing; of its two ends; between blocks
PICTURE = 60  # side of an image at an end
LETTER, LINE = 6.6, 14  # of a label
DIMENSIONS_OF_MAP = 3


@dataclass(frozen=True)
class Ends:
    """What stands at the ends of a drawing: sprites of a test image and of a sample, where there are any."""

    real: sprites.Sprite | None = None
    sample: sprites.Sprite | None = None
    passes: int = 1  # through the network that a sample takes


@dataclass(frozen=True)
class Block:
    """A part in its place."""

    x: float  # middle
    y: float  # middle
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


def shape_words(shape: Sequence[int]) -> str:
    return TIMES.join(str(size) for size in shape)


def words_of(part: ModelPart) -> str:
    """What a block says of its part."""
    kind = re.sub(r"(?<=\d)x(?=\d)", TIMES, part.kind or part.name)
    kind = re.sub(
        r"\bz(\d+)\b", lambda level: "z" + level[1].translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")), kind
    )
    return f"{kind} {TIMES} {part.repeats}" if part.repeats > 1 else kind


class Blocks:
    """What all drawings of a structure hold."""

    def __init__(self, structure: Structure, ends: Ends) -> None:
        self.structure, self.ends, self.lanes = structure, ends, lanes_of(structure)
        self.total = sum(part.params for part in structure.parts) or 1
        longest = max(len(lane) for lane in (self.lanes.read, self.lanes.make, self.lanes.both, self.lanes.loose))
        self.width = max(WIDTH, 2 * ENDS + longest * LEAST_STEP)
        self.side = max((_side(part) for part in structure.parts), default=1)
        self.drawing, self.boxes = Drawing(), dict[str, Block]()
        numbers = max((sprites.noise([shape]).width for shape in structure.noise_shapes), default=1)
        self.cell = min(2.0, 52 / numbers)

    def row(self, parts: Sequence[ModelPart], y: float, *, leftwards: bool) -> float:
        """Blocks in a row, the first at its right end or at its left one; returns where the words under them end."""
        step = (self.width - 2 * ENDS) / max(1, len(parts))
        bottom = y
        for i, part in enumerate(parts):
            place = len(parts) - 1 - i if leftwards else i
            bottom = max(bottom, self.block(part, ENDS + step * (place + 0.5), y, min(124.0, step - 22)))
        return bottom

    def block(self, part: ModelPart, x: float, y: float, width: float) -> float:
        lines = textwrap.wrap(words_of(part), max(6, int((width - 6) / LETTER)))[:5]
        height = max(30 + 62 * (_side(part) / self.side) ** 0.5, LINE * len(lines) + 10)
        self.boxes[part.name] = box = Block(x, y, width, height)
        kind = ("learned" if part.trained else "fixed") + ("" if part.samples else " unsampled")
        self.drawing.rect(box.left, box.top, width, height, kind)
        for i, line in enumerate(lines):
            inside = "on" if kind == "learned" else ""
            self.drawing.text(x, y + 4 + LINE * (i - (len(lines) - 1) / 2), line, inside)
        below = box.bottom + 15
        if part.params:
            self.drawing.text(x, below, self.share([part]), "strong")
            below += 13
        if part.output_shapes:
            self.drawing.text(x, below, shape_words(part.output_shapes[0]), "small")
            below += 13
        return below - 8

    def share(self, parts: Sequence[ModelPart]) -> str:
        share = 100 * sum(part.params for part in parts) / self.total
        return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"

    def noise(self, x: float, y: float, shape: Sequence[int]) -> None:
        sprite = sprites.noise([shape])
        width, height = sprite.width * self.cell, sprite.height * self.cell
        self.drawing.image(x - width / 2, y - height / 2, width, height, sprite.uri)
        self.drawing.text(x, y + height / 2 + 15, "noise", "strong")
        self.drawing.text(x, y + height / 2 + 28, shape_words(shape), "small")

    def image(self, y: float, sprite: sprites.Sprite | None, label: str) -> None:
        if sprite:
            self.drawing.image(44 - PICTURE / 2, y - PICTURE / 2, PICTURE, PICTURE, sprite.uri)
        else:
            self.drawing.rect(44 - PICTURE / 2, y - PICTURE / 2, PICTURE, PICTURE, "fixed", 2)
        self.drawing.text(44, y + PICTURE / 2 + 15, label, "strong")


def _side(part: ModelPart) -> int:
    """The side of the map that leaves a part; 1 of a vector."""
    shape = part.output_shapes[0] if part.output_shapes else []
    return shape[-1] if len(shape) == DIMENSIONS_OF_MAP else 1
