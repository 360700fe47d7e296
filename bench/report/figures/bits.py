"""Bits per dimension: where the models are, and below them the floors that need no training."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.quantities.glossary import BITS
from equibench.quantities.metric import bits_kind
from equibench.report.figures.labels import Label, place
from equibench.report.figures.layout import (
    NAMES_AT_SIDE,
    PAPER,
    Cut,
    Margins,
    drawable,
    narrow,
    scale,
    sheet,
    short,
    short_names,
    side_margin,
    side_names,
)
from equibench.report.figures.style import FLOOR, INK, SOFT, colour_of, drawn, look_of, style
from equibench.stats import Stat
from equibench.summary.sections import Row, Section

SIGNS = {"upper bound": "≤ ", "estimate": "≈ "}


def bits_per_dim(section: Section, cut: Cut = PAPER) -> Figure | None:
    """Bits per dimension of each entrant, those without any named as such; the floors on an axis of their own."""
    rows = [row for row in section.ran if row.first.likelihood]
    measured = [(row, stat) for row in rows if (stat := row.stat(BITS)) and drawable(stat.mean)]
    floors = [(row.name, stat.mean) for row in section.references if (stat := row.stat(BITS))]
    if section.data.entropy_bits_per_dim is not None:
        floors.append(("entropy of the data", section.data.entropy_bits_per_dim))
    floors = [(name, value) for name, value in floors if drawable(value)]
    if not measured and not floors:
        return None
    with style(cut.size):
        left = side_margin(short_names((row.name for row in rows), NAMES_AT_SIDE).values(), cut) if measured else 1.2
        titles = (["Bits per dimension, lower is better"] if measured else []) + ["The same beside the floors"] * bool(
            floors
        )
        heights = [2.6 * len(rows) + 0.6] * bool(measured) + [7.5] * bool(floors)
        figure, panels = sheet(cut, titles, heights, 1, Margins(left=left, right=1.6, bottom=2.2))
        if measured:
            _models(panels[0], rows, cut)
        if floors:
            _floors(panels[-1], measured, floors, cut)
    return figure


def _models(axes: Axes, rows: list[Row], cut: Cut) -> None:
    stats = [row.stat(BITS) for row in rows]
    known = [stat for stat in stats if stat]
    reach = [x for stat in known for x in (stat.mean - (stat.sd or 0), stat.mean + (stat.sd or 0), *stat.values)]
    scale(axes, "x", reach, log=False, most=4 if narrow(cut) else 6)
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.set_ylim(len(rows) - 0.4, -0.75)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    names, place_of, bars = [], axes.get_yaxis_transform(), []
    shown = short_names((row.name for row in rows), NAMES_AT_SIDE)
    side_names(axes, [(y, shown[row.name], colour_of(row)) for y, row in enumerate(rows)])
    for y, (row, stat) in enumerate(zip(rows, stats, strict=True)):
        if stat is None or not drawable(stat.mean):
            axes.text(0.01, y, _without(row), transform=place_of, ha="left", va="center", color=SOFT)
            continue
        if stat.n > 1:
            axes.plot(stat.values, [y + 0.27] * stat.n, "|", color=colour_of(row), markersize=0.5 * cut.size)
        axes.errorbar(stat.mean, y, xerr=stat.sd, markersize=0.75 * cut.size, capsize=2, **look_of(row))
        bars.append(np.array([(stat.mean - (stat.sd or 0), y), (stat.mean + (stat.sd or 0), y)]))
        names.append(_value(row, stat, y, cut))
    place(axes, names, bars)


def _value(row: Row, stat: Stat, y: float, cut: Cut) -> Label:
    likelihood = row.first.likelihood
    sign = SIGNS.get(likelihood.kind, "") if likelihood else ""
    words = f"{sign}{stat.mean:.3f}"
    if likelihood and not narrow(cut):
        words += f"  {drawn(bits_kind(likelihood))}"
    return Label(words, (stat.mean, y), colour_of(row), cut.size, radius=0.4 * cut.size)


def _without(row: Row) -> str:
    likelihood = row.first.likelihood
    return "has no likelihood" if likelihood and likelihood.kind == "none" else "not measured"


def _floors(axes: Axes, measured: list[tuple[Row, Stat]], floors: list[tuple[str, float]], cut: Cut) -> None:
    values = [value for _, value in floors] + [stat.mean for _, stat in measured]
    scale(axes, "x", values, log=False, most=4 if narrow(cut) else 6)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.axhline(0.4, color=FLOOR, linewidth=1)
    names = []
    for name, value in sorted(floors, key=lambda one: one[1]):
        axes.plot(value, 0.4, "|", color=FLOOR, markersize=cut.size)
        names.append(Label(short(f"{name} {value:.2f}"), (value, 0.4), FLOOR, 0.95 * cut.size, radius=3))
    for row, stat in measured:
        axes.plot(stat.mean, 0.4, markersize=0.6 * cut.size, zorder=4, **look_of(row))
    if measured:
        middle = sorted(stat.mean for _, stat in measured)[len(measured) // 2]
        names.insert(0, Label("entrants", (middle, 0.4), INK, 0.95 * cut.size, bold=True, radius=6))
    place(axes, names, [np.array([axes.get_xlim(), (0.4, 0.4)]).T])
