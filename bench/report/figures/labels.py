"""Names at the points that they name, none over another: each takes the best place that is left, in a fixed order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import NDArray

from equibench.report.figures.layout import extent
from equibench.report.figures.style import BAR, SOFT

RINGS = (3.0, 8.0, 15.0, 24.0, 36.0, 52.0, 74.0, 104.0)  # distances from a marker, in points
ANGLES = (0, 30, -30, 60, -60, 90, -90, 150, -150, 180, 120, -120)  # degrees: to the right first
APART = 1.5  # points between two labels
FAR = 36.0  # points: where a label that need not be there is left out
LEADER = 12.0  # points: a label farther from its point has a line to it
MISLEADING = 20.0  # points of distance that a place is worth which no other marker of the same colour is nearer to
NEAREST = 40  # of such places, that are weighed by what they cover
GRID = 4.0  # points: of the places that are tried where all around a point are taken


Point = tuple[float, float]


class Label(NamedTuple):
    """A name, and the point that it names, in the data's units."""

    text: str
    at: tuple[float, float]
    colour: str
    size: float
    bold: bool = False
    optional: bool = False  # left out where there is no room near its point
    radius: float = 4.0  # of the marker, in points


class Box(NamedTuple):
    """Edges in points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right + APART and other.left < self.right + APART
            and self.bottom < other.top + APART and other.bottom < self.top + APART
        )  # fmt: skip

    def away(self, at: Point) -> float:
        """Distance of a point from the box; 0 inside."""
        x, y = at
        return math.hypot(max(self.left - x, x - self.right, 0.0), max(self.bottom - y, y - self.top, 0.0))

    def within(self, other: Box) -> bool:
        return (
            self.left >= other.left and self.bottom >= other.bottom
            and self.right <= other.right and self.top <= other.top
        )  # fmt: skip


class _Ground(NamedTuple):
    """Where labels may lie, and what lies there: labels, markers, and points of lines, float64 [n, 2]."""

    bounds: Box
    taken: list[Box]
    marks: list[Box]
    lines: NDArray[np.float64]
    named: list[tuple[str, Point]]  # colour and place of each marker

    def is_free(self, box: Box) -> bool:
        return box.within(self.bounds) and not any(box.meets(other) for other in self.taken)

    def in_the_way(self, box: Box) -> float:
        """What a label costs for what it covers, in points of distance."""
        x, y = self.lines.T
        inside = (x > box.left - 1) & (x < box.right + 1) & (y > box.bottom - 1) & (y < box.top + 1)
        return 25.0 * sum(box.meets(mark) for mark in self.marks) + 3.0 * min(int(inside.sum()), 8)

    def misleads(self, label: Label, anchor: Point, box: Box) -> float:
        """What a label costs for lying nearer to another marker of its colour than to its own."""
        own = box.away(anchor)
        return MISLEADING * sum(
            colour == label.colour and at != anchor and box.away(at) < own for colour, at in self.named
        )


def place(axes: Axes, wanted: Sequence[Label], avoid: Sequence[NDArray[np.float64]] = ()) -> list[Annotation]:
    """Draw the labels. `avoid`: arrays [n, 2] of points in the data's units, a polyline each, that labels keep
    off where they can. The scales and limits of the axes must be final. Returns the texts drawn.
    """
    points_per_pixel = 72 / axes.figure.dpi
    area = axes.get_window_extent()
    bounds = Box(area.x0 * points_per_pixel, area.y0 * points_per_pixel, area.x1 * points_per_pixel,
                 area.y1 * points_per_pixel)  # fmt: skip
    obstacles = _dense([axes.transData.transform(line) * points_per_pixel for line in avoid if len(line)])
    anchors: list[Point] = [tuple(axes.transData.transform(label.at) * points_per_pixel) for label in wanted]
    # each marker is in the way of all labels
    marks = [Box(x - one.radius, y - one.radius, x + one.radius, y + one.radius)
             for one, (x, y) in zip(wanted, anchors, strict=True)]  # fmt: skip
    named = [(one.colour, at) for one, at in zip(wanted, anchors, strict=True)]
    ground = _Ground(bounds, [], marks, obstacles, named)
    texts = []
    for label, anchor in zip(wanted, anchors, strict=True):
        box = _best(label, anchor, ground)
        if box:
            ground.taken.append(box)
            texts.append(_draw(axes, label, anchor, box))
    return texts


def _best(label: Label, anchor: Point, ground: _Ground) -> Box | None:
    best, least = None, FAR if label.optional else math.inf
    for distance, box in _around(label, anchor):
        if distance >= least:
            break  # as a place farther off costs at least its distance
        if ground.is_free(box):
            cost = distance + ground.in_the_way(box) + ground.misleads(label, anchor, box)
            if cost < least:
                best, least = box, cost
    return best if best or label.optional else _anywhere(label, anchor, ground)


def _around(label: Label, anchor: Point) -> Iterator[tuple[float, Box]]:
    """Places around a point with what each costs for lying there, nearest first."""
    width, height = extent(label.text, label.size, label.bold)
    for ring in RINGS:
        for rank, degrees in enumerate(ANGLES):
            angle = math.radians(degrees)
            reach = ring + label.radius
            x, y = anchor[0] + reach * math.cos(angle), anchor[1] + reach * math.sin(angle)
            # the edge of the box that faces the point lies on the ring
            left = x - width * (0 if math.cos(angle) > 0.3 else 1 if math.cos(angle) < -0.3 else 0.5)
            bottom = y - height * (0.5 - 0.5 * math.sin(angle))
            yield ring + 0.2 * rank, Box(left, bottom, left + width, bottom + height)


def _anywhere(label: Label, anchor: Point, ground: _Ground) -> Box:
    """The nearest free place of the panel; where none is, the one that covers least."""
    width, height = extent(label.text, label.size, label.bold)
    bounds = ground.bounds
    found = []
    for left in np.arange(bounds.left, max(bounds.right - width, bounds.left) + 0.1, GRID).tolist():
        for bottom in np.arange(bounds.bottom, max(bounds.top - height, bounds.bottom) + 0.1, GRID).tolist():
            box = Box(left, bottom, left + width, bottom + height)
            covered = sum(box.meets(other) for other in ground.taken)
            away = math.hypot(left + width / 2 - anchor[0], bottom + height / 2 - anchor[1])
            found.append((covered, away, box))
    fewest = min(covered for covered, *_ in found)
    nearest = sorted(one for one in found if one[0] == fewest)[:NEAREST]
    return min(nearest, key=lambda one: one[1] + ground.in_the_way(one[2]) + ground.misleads(label, anchor, one[2]))[2]


def _dense(lines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Points along each line, a few points apart."""
    found = [np.empty((0, 2))]
    for line in lines:
        found.append(line[:1])
        for (x0, y0), (x1, y1) in itertools.pairwise(line):
            n = min(1 + int(math.hypot(x1 - x0, y1 - y0) / 3), 1000)
            t = np.arange(1, n + 1)[:, None] / n
            found.append((1 - t) * [[x0, y0]] + t * [[x1, y1]])
    return np.concatenate(found)


def _draw(axes: Axes, label: Label, anchor: Point, box: Box) -> Annotation:
    x, y = anchor
    nearest = min(max(x, box.left), box.right), min(max(y, box.bottom), box.top)
    away = math.hypot(nearest[0] - x, nearest[1] - y)
    if away > LEADER + label.radius:
        start = label.radius / away
        ends = [(x + t * (nearest[0] - x), y + t * (nearest[1] - y)) for t in (start, 1 - 1.5 / away)]
        back = axes.transData.inverted()
        line = back.transform(np.array(ends) * axes.figure.dpi / 72)
        axes.plot(*line.T, color=BAR if label.colour == SOFT else label.colour, linewidth=0.7, alpha=0.6, zorder=1.5)
    side = "left" if box.left >= x else "right" if box.right <= x else "center"
    edge = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}[side]
    return axes.annotate(
        label.text, label.at, (edge - x, (box.bottom + box.top) / 2 - y), textcoords="offset points", ha=side,
        va="center", color=label.colour, fontsize=label.size, fontweight="bold" if label.bold else "normal",
        annotation_clip=False, zorder=5,
    )  # fmt: skip
