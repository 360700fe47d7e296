"""Training curves: losses of each entrant, and how well a discriminator tells real from generated images."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.report.figures.layout import PAPER, Cut, Margins, drawable, scale, sheet, short
from equibench.report.figures.style import FLOOR, SOFT, colour_of, style
from equibench.summary.sections import Row, Section

ACCURACY = "discriminator_accuracy"
MOST_PANELS = 48


def curves(section: Section, cut: Cut = PAPER) -> Figure | None:
    """Losses against FLOPs spent: a panel a loss, as losses of different kinds do not compare; a line a seed."""
    found = [(row, loss) for row in section.entrants for loss in _losses(row)][:MOST_PANELS]
    if not found:
        return None
    with style(cut.size):
        named = [(short(f"{row.name} ({row.first.status})" if row.failed else row.name), loss) for row, loss in found]
        titles = [f"{name}: {short(loss.replace('_', ' '))}" for name, loss in named]
        figure, panels = sheet(cut, titles, 9, 3, Margins(left=4.2))
        for axes, (row, loss) in zip(panels, found, strict=True):
            _panel(axes, [row], loss)
    return figure


def discriminator(section: Section, cut: Cut = PAPER) -> Figure | None:
    """Share of images that a GAN's discriminator tells right, against FLOPs spent."""
    rows = [row for row in section.entrants if any(_line(row, i, ACCURACY).size for i in range(len(row.cells)))]
    if not rows:
        return None
    with style(cut.size):
        figure, (axes,) = sheet(cut, ["Share of images told right"], 14, 1)
        _panel(axes, rows, ACCURACY)
        axes.set_ylim(0, 1.02)
        axes.axhline(0.5, color=FLOOR, linestyle="--", linewidth=1)
        place = axes.get_yaxis_transform()
        axes.text(0.99, 0.47, "0.5: a guess", transform=place, ha="right", va="top", color=SOFT)
    return figure


def _panel(axes: Axes, rows: list[Row], loss: str) -> None:
    lines = [(row, line) for row in rows for i in range(len(row.cells)) if len(line := _line(row, i, loss))]
    scale(axes, "x", [x for _, line in lines for x in line[:, 0]], log=False, most=4)
    scale(axes, "y", [y for _, line in lines for y in line[:, 1]], log=False, most=4)
    axes.set_xlabel("training FLOPs")
    for row, line in lines:
        axes.plot(*line.T, color=colour_of(row), linewidth=1.2, alpha=0.8)


def _line(row: Row, seed: int, loss: str) -> np.ndarray:
    """[n, 2], FLOPs and loss where both can be drawn."""
    curve = row.cells[seed].record.curve
    values = zip(curve.flops, curve.losses[loss], strict=False) if curve and loss in curve.losses else ()
    found = [(x, y) for x, y in values if math.isfinite(y) and drawable(x) and drawable(y)]
    return np.array(found, dtype=float).reshape(-1, 2)


def _losses(row: Row) -> list[str]:
    found = {loss for cell in row.cells if cell.record.curve for loss in cell.record.curve.losses}
    return [loss for loss in sorted(found - {ACCURACY}) if any(_line(row, i, loss).size for i in range(len(row.cells)))]
