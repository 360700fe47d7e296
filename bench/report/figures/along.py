"""Quality along training: a panel for each number and each unit of what is spent, a line an entrant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.quantities import glossary
from equibench.quantities.glossary import BITS
from equibench.quantities.metric import metric_names
from equibench.report.figures.labels import Label, place
from equibench.report.figures.layout import (
    PAPER,
    ROOM_PER_NAME,
    Cut,
    drawable,
    extent,
    plain,
    scale,
    seconds,
    sheet,
    short,
    short_names,
)
from equibench.report.figures.style import colour_of, look_of, style
from equibench.stats import Stat
from equibench.summary.along import UNITS, Unit, labels, metrics
from equibench.summary.sections import Row, Section

BESIDE_PICTURES = 0.5  # of the page's width


class PlottedNumber(NamedTuple):
    """A number at each point, and how its axis is."""

    path: str
    words: str
    log: bool


def distance(section: Section) -> PlottedNumber:
    found = " or ".join(metric_names(metrics(section)).values())
    return PlottedNumber("quality.value", f"{found}, lower is better", log=True)


RECALL = PlottedNumber(glossary.RECALL, "Recall, higher is better", log=False)
LIKELIHOOD = PlottedNumber(BITS, "Bits/dim, lower is better", log=False)


def along_training(section: Section, cut: Cut = PAPER) -> Figure | None:
    """Distance, bits/dim and recall at each point against FLOPs, images and seconds: means over seeds, with bars of
    their standard deviation.
    """
    return panels(section, cut, (distance(section), LIKELIHOOD, RECALL), tuple(UNITS), 13)


def by_flops(section: Section, cut: Cut = PAPER) -> Figure | None:
    """The distance against FLOPs alone, large; on a wide page with room for pictures beside it."""
    wide = cut.width > 800
    here = replace(cut, width=round(cut.width * BESIDE_PICTURES)) if wide else cut
    return panels(section, here, (distance(section),), ("flops",), 30 if wide else 24)


def by_other_units(section: Section, cut: Cut = PAPER) -> Figure | None:
    return panels(section, cut, (distance(section),), ("train_sec", "images"), 17, columns=2)


def likelihood_along(section: Section, cut: Cut = PAPER) -> Figure | None:
    return panels(section, cut, (LIKELIHOOD,), tuple(UNITS), 15)


def recall_along(section: Section, cut: Cut = PAPER) -> Figure | None:
    return panels(section, cut, (RECALL,), tuple(UNITS), 15)


def panels(
    section: Section, cut: Cut, numbers: Sequence[PlottedNumber], units: Sequence[Unit], height: float, columns: int = 3
) -> Figure | None:
    """None where no entrant has any of the numbers."""
    shown = [one for one in numbers if any(_points(row, one, "flops") for row in section.ran)]
    if not shown:
        return None
    each = [(one, unit) for one in shown for unit in units]
    height = max(height, ROOM_PER_NAME * len(section.ran))
    with style(cut.size):
        longest = max(extent(short(row.name), cut.size, bold=True)[0] for row in section.ran)
        columns = max(1, min(columns, int(0.4 * cut.width / longest)))
        titles = [number.words for number, _ in each]
        figure, axes = sheet(cut, titles, height, columns)
        for one, (number, unit) in zip(axes, each, strict=True):
            _panel(one, section, number, unit, cut)
    return figure


def _panel(axes: Axes, section: Section, number: PlottedNumber, unit: Unit, cut: Cut) -> None:
    shown = short_names(row.name for row in section.ran)
    found = [(row, points) for row in section.ran if (points := _points(row, number, unit))]
    ends = [y for _, points in found for _, stat in points for y in _reach(stat)]
    xs = [x for _, points in found for x, _ in points]
    widest = max((extent(name, cut.size, bold=True)[0] for name in shown.values()), default=0.0)
    room = min((widest + 8) / axes.get_window_extent().width, 0.45)  # for names at the right
    farther = max(xs) * (max(xs) / min(xs)) ** (room / (1 - room)) if xs else 1.0
    words = seconds if unit == "train_sec" else plain
    scale(axes, "x", [*xs, farther] if drawable(farther) else xs, log=True, words=words, most=4)
    scale(axes, "y", ends, number.log)
    axes.set_xlabel(UNITS[unit])
    names, lines = [], []
    for row, points in found:
        x, y = [x for x, _ in points], [stat.mean for _, stat in points]
        spread_of = [stat.sd or 0.0 for _, stat in points]
        look = look_of(row) | {"linestyle": "-", "linewidth": 1.6, "markersize": 0.6 * cut.size, "capsize": 2}
        axes.errorbar(x, y, yerr=spread_of, elinewidth=1, **look)
        lines.append(np.array([x, y]).T)
        names.append(Label(shown[row.name], (x[-1], y[-1]), colour_of(row), cut.size, bold=True))
    place(axes, names, lines)


def _points(row: Row, number: PlottedNumber, unit: Unit) -> list[tuple[float, Stat]]:
    """(mean spent, the number over seeds) at each point that can be drawn; the seeds of one row share their metric."""
    found = []
    for label in labels(row):
        spent, stat = row.stat(f"along.{label}.{unit}"), row.stat(f"along.{label}.{number.path}")
        if spent and stat and spent.mean > 0 and drawable(spent.mean) and drawable(stat.mean):
            found.append((spent.mean, stat))
    return found


def _reach(stat: Stat) -> list[float]:
    """The ends of a bar that can be drawn: one below zero has no logarithm, and so does not move the axis."""
    sd = stat.sd or 0.0
    return [stat.mean, *(end for end in (stat.mean - sd, stat.mean + sd) if end > 0 or stat.mean <= 0)]
