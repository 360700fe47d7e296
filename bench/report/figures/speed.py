"""Quality against speed: what each setting of each entrant's sampler costs, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from equibench.quantities.metric import Metric, metric_names
from equibench.quantities.text import number
from equibench.record.schema import USUAL
from equibench.report.figures import layout
from equibench.report.figures.labels import Label, place
from equibench.report.figures.layout import Cut, drawable, plain, short
from equibench.report.figures.style import BAR, FLOOR, colour_of, look_of, style
from equibench.stats import Stat
from equibench.summary.floors import floor_distance
from equibench.summary.sections import Row, SamplerSetting, Section, flops_per_image, sec_per_image
from equibench.summary.ways import common_metric

Cost = Callable[[SamplerSetting], float | None]
COSTS: dict[str, tuple[Cost, Callable[[float], str]]] = {
    "time to sample an image": (sec_per_image, layout.seconds),
    "FLOPs to sample an image": (flops_per_image, plain),
}
Priced = tuple[SamplerSetting, float]  # with its cost


def on_most_settings(section: Section, cut: Cut = layout.PAPER) -> Figure | None:
    """The same in one metric: the one that most settings have."""
    metric = common_metric(section)
    return quality_and_speed(section, cut, None if metric is None else [metric])


def quality_and_speed(
    section: Section, cut: Cut = layout.PAPER, metrics: Sequence[Metric] | None = None
) -> Figure | None:
    """Distance against seconds per image and FLOPs per image, a row of panels for each metric, of all or of those that
    are given; the front over all entrants is drawn through the settings that no other one beats in both.
    """
    metrics = metrics or section.sweep_metrics
    names = metric_names(sorted({*metrics, *section.sweep_metrics}))
    each = [
        (metric, words, cost, ticks)
        for metric in metrics
        for words, (cost, ticks) in COSTS.items()
        if any(_priced(row, metric, cost) for row in section.ran)
    ]
    if not each:
        return None
    with style(cut.size):
        titles = [f"{names[metric]}, lower is better" for metric, *_ in each]
        height = max(26, layout.ROOM_PER_NAME * len(section.ran))
        figure, panels = layout.sheet(cut, titles, height, 2)
        for axes, (metric, words, cost, ticks) in zip(panels, each, strict=True):
            _panel(axes, section, metric, cost, ticks, cut)
            axes.set_xlabel(words)
    return figure


def real_data(section: Section, metric: Metric) -> list[tuple[str, Stat]]:
    """Names and distances of floors that were measured in this metric: real data at as many images, say."""
    found = [(row.name, floor_distance(row, metric)) for row in section.references]
    return [(name, stat) for name, stat in found if stat and stat.mean > 0 and drawable(stat.mean)]


def _priced(row: Row, metric: Metric, cost: Cost) -> list[Priced]:
    """Settings that can be drawn, the usual one first."""
    found = [(s, x) for s in row.settings() if s.metric == metric and (x := cost(s)) is not None]
    return [(s, x) for s, x in found if x > 0 and drawable(x) and s.distance.mean > 0 and drawable(s.distance.mean)]


def _panel(axes: Axes, section: Section, metric: Metric, cost: Cost, ticks: Callable[[float], str], cut: Cut) -> None:
    priced = [(row, here) for row in section.ran if (here := _priced(row, metric, cost))]
    floors = real_data(section, metric)
    distances = [s.distance.mean for _, here in priced for s, _ in here] + [stat.mean for _, stat in floors]
    layout.scale(axes, "x", [x for _, here in priced for _, x in here], True, ticks, 5)
    layout.scale(axes, "y", distances, True)
    shown = layout.short_names(row.name for row in section.ran)
    usual, others, lines = [], [], []
    for row, here in priced:
        colour, by_cost = colour_of(row), sorted(here, key=lambda one: one[1])
        x, y = [x for _, x in by_cost], [s.distance.mean for s, _ in by_cost]
        axes.plot(x, y, **look_of(row) | {"linestyle": "-", "linewidth": 1, "markersize": 0.42 * cut.size})
        lines.append(np.array([x, y]).T)
        for rank, (setting, cost_here) in enumerate(here):
            at = (cost_here, setting.distance.mean)
            if setting.label == USUAL or rank == 0:
                sd = setting.distance.sd
                axes.errorbar(*at, yerr=sd, capsize=2, markersize=0.85 * cut.size, **look_of(row))
                words = shown[row.name] if setting.label == USUAL else f"{shown[row.name]}, {short(setting.label)}"
                usual.append(Label(words, at, colour, cut.size, bold=True, radius=0.5 * cut.size))
            else:
                others.append(Label(short(setting.label), at, colour, 0.9 * cut.size, optional=True, radius=3))
    for name, stat in floors:
        axes.axhline(stat.mean, color=FLOOR, linestyle="--", linewidth=1)
        right = axes.get_xlim()[1]
        usual.append(Label(short(f"{name}: {number(stat.mean)}"), (right, stat.mean), FLOOR, 0.9 * cut.size, radius=0))
        lines.append(np.array([axes.get_xlim(), (stat.mean, stat.mean)]).T)
    front = [(c, s.distance.mean) for _, s in section.front(metric, cost) if (c := cost(s)) and drawable(c)]
    lines += _front(axes, [(x, y) for x, y in front if y > 0 and drawable(y)])
    place(axes, [*usual, *others], lines)


def _front(axes: Axes, points: list[tuple[float, float]]) -> list[NDArray[np.float64]]:
    """The boundary of what the points, by rising x and falling y, reach: up and to the right of it all is worse."""
    if not points:
        return []
    corners = [(points[0][0], axes.get_ylim()[1])]
    for x, y in points:
        corners += [(x, corners[-1][1]), (x, y)]
    line = np.array([*corners, (axes.get_xlim()[1], corners[-1][1])])
    axes.plot(*line.T, color=BAR, linewidth=4, zorder=1, solid_capstyle="butt")
    return [line]
