"""The figure of quality along training: a row of panels for each number, a column for each unit of what is spent."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from equibench.quantities.glossary import BITS
from equibench.quantities.metric import metric_names
from equibench.report.figures.style import drawn, look_of, style
from equibench.stats import Stat
from equibench.summary.along import UNITS, labels, metrics
from equibench.summary.sections import Row, Section


class _Panel(NamedTuple):
    """A number at each point, and how its axis is."""

    path: str
    label: str
    log: bool


def along_training(section: Section) -> Figure | None:
    """Distance, recall and bits/dim at each point against FLOPs, images and seconds: a line an entrant through the
    means over seeds, with bars of their standard deviation.
    """
    found = metric_names(metrics(section))
    distance = " or ".join(found.values())
    wanted = [
        _Panel("quality.value", f"{distance} (↓ better)", log=True),
        _Panel("quality.also.recall.value", "recall (↑ better)", log=False),
        _Panel(BITS, "bits/dim, each of its kind (↓ better)", log=False),
    ]
    panels = [panel for panel in wanted if any(_points(row, panel.path, "flops") for row in section.ran)]
    if not panels:
        return None
    with style():
        figure = Figure(figsize=(10.5, 3.0 * len(panels) + 0.8), layout="constrained")
        grid = figure.subplots(len(panels), len(UNITS), squeeze=False, sharey="row", sharex="col")
        for line, panel in zip(grid, panels, strict=True):
            for axes, unit in zip(line, UNITS, strict=True):
                for row in section.ran:
                    _line(axes, row, _points(row, panel.path, unit))
                axes.set_xscale("log")
                _few_ticks(axes.xaxis)
                if panel.log:
                    axes.set_yscale("log")
                    _few_ticks(axes.yaxis)
            line[0].set_ylabel(drawn(panel.label))
        for axes, words in zip(grid[-1], UNITS.values(), strict=True):
            axes.set_xlabel(f"{words} (log scale)")
        handles, names = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
        figure.suptitle("Along training", x=0.01, ha="left")
    return figure


def _few_ticks(axis: Axis) -> None:
    """At 1, 2 and 5 in each decade, which a panel has only one or two of, in words as short as can be."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e+", "e")))
    axis.set_minor_formatter(NullFormatter())


def _points(row: Row, path: str, unit: str) -> list[tuple[float, Stat]]:
    """(mean spent, the number over seeds) at each point that has it; the seeds of one row share their metric."""
    found = []
    for label in labels(row):
        spent, stat = row.stat(f"along.{label}.{unit}"), row.stat(f"along.{label}.{path}")
        if spent and stat:
            found.append((spent.mean, stat))
    return found


def _line(axes: Axes, row: Row, points: list[tuple[float, Stat]]) -> None:
    if points:
        look = look_of(row) | {"linestyle": "-", "linewidth": 1.2, "markersize": 6}
        spread = [stat.sd or 0.0 for _, stat in points]
        means = [stat.mean for _, stat in points]
        axes.errorbar([x for x, _ in points], means, yerr=spread, capsize=3, label=drawn(row.label), **look)
