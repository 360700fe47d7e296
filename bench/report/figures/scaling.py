"""The figure of a ladder of budgets: numbers against compute, and each law over the budgets it was fitted to."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.quantities.metric import Metric
from equibench.record.paths import value_at
from equibench.report.figures.labels import Label, place
from equibench.report.figures.layout import (
    PAPER,
    ROOM_PER_NAME,
    Cut,
    drawable,
    plain,
    scale,
    sheet,
    short,
    short_names,
)
from equibench.report.figures.speed import real_data
from equibench.report.figures.style import FLOOR, colour_of, drawn, look_of, style
from equibench.stats import Stat
from equibench.summary.ladders import Ladder, Measure, Rung, Trend

PER_LAW = 60  # points of a drawn law


def scaling(ladder: Ladder, cut: Cut = PAPER) -> Figure:
    """A panel a measure, both axes logarithmic: means with the standard deviation over seeds, and the laws as lines;
    dashed where a law does not hold. Distances have the line of real data.
    """
    with style(cut.size):
        titles = [f"{drawn(measure.name)}, lower is better" for measure in ladder.measures]
        height = max(26, ROOM_PER_NAME * max(len(ladder.of(measure)) for measure in ladder.measures))
        figure, panels = sheet(cut, titles, height, 2)
        for axes, measure in zip(panels, ladder.measures, strict=True):
            _panel(axes, ladder, measure, cut)
    return figure


def _panel(axes: Axes, ladder: Ladder, measure: Measure, cut: Cut) -> None:
    series = ladder.of(measure)
    floors = real_data(ladder.sections[-1], measure.key) if isinstance(measure.key, Metric) else []
    points = {id(one): [_point(rung, measure.path) for rung in one.rungs] for one in series}
    flops = [spent.mean for one in series for spent, _ in points[id(one)]]
    ends = [min(flops), max(flops) * (max(flops) / min(flops)) ** 0.2]  # room for the names
    scale(axes, "x", ends, True, plain, 5)
    values = [stat.mean for one in series for _, stat in points[id(one)]] + [stat.mean for _, stat in floors]
    scale(axes, "y", values, True)
    axes.set_xlabel("training FLOPs")
    shown = short_names(one.name for one in series)
    names, lines = [], []
    for one in series:
        for (spent, stat), rung in zip(points[id(one)], one.rungs, strict=True):
            axes.errorbar(
                spent.mean, stat.mean, yerr=stat.sd, markersize=0.55 * cut.size, capsize=2, **look_of(rung.row)
            )
        lines.append(_law(axes, one))
        spent, stat = points[id(one)][-1]
        colour = colour_of(one.rungs[0].row)
        names.append(Label(shown[one.name], (spent.mean, stat.mean), colour, cut.size, bold=True))
    for name, stat in floors:
        axes.axhline(stat.mean, color=FLOOR, linestyle=":", linewidth=1)
        names.append(Label(short(name), (axes.get_xlim()[0], stat.mean), FLOOR, 0.9 * cut.size, radius=0))
        lines.append(np.array([axes.get_xlim(), (stat.mean, stat.mean)]).T)
    place(axes, names, lines)


def _point(rung: Rung, path: str) -> tuple[Stat, Stat]:
    flops = Stat(tuple(record.spent.flops for record in rung.records if record.spent))
    return flops, Stat(tuple(float(value_at(record, path)) for record in rung.records))


def _law(axes: Axes, series: Trend) -> np.ndarray:
    law, spent = series.fit.law, [record.spent.flops for record in series.records if record.spent]
    flops = np.geomspace(min(spent), max(spent), PER_LAW)
    values = [law.at(x) for x in flops]
    look = "--" if series.fit.holds is False else "-"
    axes.plot(flops, values, color=colour_of(series.rungs[0].row), linewidth=1.3, linestyle=look, zorder=1)
    line = np.array([flops, values]).T
    return line[[drawable(value) and value > 0 for value in values]]
