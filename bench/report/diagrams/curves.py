"""Losses along a training, a small panel each with a line a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from equibench.quantities.text import number, spoken_key
from equibench.record.schema import Curve
from equibench.report.diagrams.svg import Drawing

WIDTH, HEIGHT = 340, 150
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 26, 24
MOST_POINTS = 80  # points of a line


def panel(curves: Sequence[Curve], loss: str, name: str, family: str) -> Markup | None:
    """One loss of all seeds against training FLOPs; None where there are no two finite values of it."""
    lines = [
        [
            (x, y)
            for x, y in zip(curve.flops, curve.losses.get(loss, []), strict=False)
            if y is not None and math.isfinite(y)
        ]
        for curve in curves
    ]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return None
    values = sorted(y for line in lines for _, y in line)
    # what the first updates lose is off the scale of what follows
    low, high = values[0], values[min(len(values) - 1, math.ceil(0.98 * len(values)))]
    high = high if high > low else low + 1
    most = max(x for line in lines for x, _ in line) or 1.0
    drawing, words = Drawing(), spoken_key(loss)
    drawing.text(0, 13, words[:1].upper() + words[1:], "strong", "start")

    def place(x: float, y: float) -> tuple[float, float]:
        share = (min(max(y, low), high) - low) / (high - low)
        return LEFT + (WIDTH - LEFT - RIGHT) * x / most, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share

    for tick in (low, (low + high) / 2, high):
        _, y = place(0, tick)
        drawing.line([(LEFT, y), (WIDTH - RIGHT, y)], "rule", head=False)
        drawing.text(LEFT - 5, y + 4, number(tick, 2), "small", "end")
    drawing.text(LEFT, HEIGHT - 8, "0", "small")
    drawing.text(WIDTH - RIGHT, HEIGHT - 8, f"{number(most)} FLOPs", "small", "end")
    for line in lines:
        every = max(1, len(line) // MOST_POINTS)
        drawing.line([place(x, y) for x, y in line[::every]], "curve", head=False)
    about = f"{words} of {family}, {len(lines)} seed{'s' if len(lines) > 1 else ''}, against training FLOPs"
    return drawing.svg(WIDTH, HEIGHT, name, words, about, "panel")
