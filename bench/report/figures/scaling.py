"""The figure of a ladder of budgets: numbers against compute, and each law over the budgets it was fitted to."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from equibench.quantities.metric import Metric
from equibench.record.paths import value_at
from equibench.report.figures.style import FLOOR, drawn, look_of, style
from equibench.stats import Stat
from equibench.summary.ladders import Ladder, Measure, Trend

PER_LAW = 60  # points of a drawn law


def scaling(ladder: Ladder) -> Figure:
    """A panel a measure, both axes logarithmic: means with the standard deviation over seeds, and the laws as lines;
    dashed where a law does not hold. Distances have the line of real data.
    """
    measures = ladder.measures
    columns = min(len(measures), 2)
    lines = -(-len(measures) // columns)
    with style():
        figure = Figure(figsize=(4.8 * max(columns, 1.4), 4.2 * lines + 0.4), layout="constrained")
        panels = list(figure.subplots(lines, columns, squeeze=False).flat)
        for axes, measure in zip(panels, measures, strict=False):
            for series in ladder.of(measure):
                _points(axes, series)
                _law(axes, series)
            _real_data(axes, ladder, measure)
            _scales(axes, measure)
        for axes in panels[len(measures) :]:
            axes.set_visible(False)
        named = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    return figure


def _points(axes: Axes, series: Trend) -> None:
    path = series.measure.path
    for place, rung in enumerate(series.rungs):
        stat = Stat(tuple(float(value_at(record, path)) for record in rung.records))
        flops = Stat(tuple(record.spent.flops for record in rung.records if record.spent))
        label = drawn(series.label) if place == 0 else None
        axes.errorbar(flops.mean, stat.mean, yerr=stat.sd, markersize=6, capsize=3, label=label, **look_of(rung.row))


def _law(axes: Axes, series: Trend) -> None:
    law, spent = series.fit.law, [record.spent.flops for record in series.records if record.spent]
    flops = np.geomspace(min(spent), max(spent), PER_LAW)
    look = "--" if series.fit.holds is False else "-"
    colour = look_of(series.rungs[0].row)["color"]
    axes.plot(flops, [law.at(x) for x in flops], color=colour, linewidth=1.3, linestyle=look, zorder=1)


def _real_data(axes: Axes, ladder: Ladder, measure: Measure) -> None:
    metric = measure.key
    if not isinstance(metric, Metric):
        return
    floors = [(row, stat.mean) for row in ladder.sections[-1].references if (stat := row.quality(metric))]
    for row, value in floors:
        axes.axhline(value, color=FLOOR, linestyle=":", linewidth=1)
        place = axes.get_yaxis_transform()
        axes.text(0.99, value, drawn(row.label), transform=place, ha="right", va="bottom", color=FLOOR, fontsize=8)


def _scales(axes: Axes, measure: Measure) -> None:
    axes.set(xscale="log", yscale="log", xlabel="training FLOPs", ylabel=f"{drawn(measure.name)} (↓ better)")
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    # ticks within a decade, where there are no two powers of ten to label
    axes.yaxis.set_major_locator(MaxNLocator(5) if high / low < 10 else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    axes.yaxis.set_minor_formatter(NullFormatter())
