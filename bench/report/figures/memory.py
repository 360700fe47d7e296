"""Peak memory of training and of sampling, an entrant a pair of bars."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.quantities.glossary import MIB
from equibench.quantities.text import number
from equibench.report.figures.layout import (
    NAMES_AT_SIDE,
    PAPER,
    Cut,
    Margins,
    drawable,
    extent,
    narrow,
    scale,
    sheet,
    short_names,
    side_margin,
    side_names,
)
from equibench.report.figures.style import INK, SOFT, colour_of, drawn, style
from equibench.summary.sections import Section

PARTS = {"train": "training", "sample": "sampling"}


def memory(section: Section, cut: Cut = PAPER) -> Figure | None:
    """A panel for each quantity that was measured: solid bars are training, light ones sampling."""
    if not section.quantities or not section.ran:
        return None
    with style(cut.size):
        names = short_names((row.name for row in section.ran), NAMES_AT_SIDE)
        margins = Margins(left=side_margin(names.values(), cut), right=1.6, bottom=2.2)
        titles = [f"MiB ({drawn(quantity)}), lower is better" for quantity in section.quantities]
        figure, panels = sheet(cut, titles, 3.4 * len(section.ran), 1, margins)
        for axes, quantity in zip(panels, section.quantities, strict=True):
            _panel(axes, section, quantity, cut)
    return figure


def _panel(axes: Axes, section: Section, quantity: str, cut: Cut) -> None:
    found = [
        (y, part, row, stat)
        for y, row in enumerate(section.ran)
        for part in PARTS
        if (stat := row.memory(part, quantity)) and drawable(stat.mean)
    ]
    most = max((stat.mean / MIB.scale for *_, stat in found), default=1.0)
    widest = extent("sampling 00,000", cut.size)[0] / max(axes.get_window_extent().width, 1)
    scale(axes, "x", [0.0, most * (1 + 1.2 * widest)], log=False, most=4 if narrow(cut) else 7)
    axes.set_xlim(left=0)
    axes.set_ylim(len(section.ran) - 0.4, -0.6)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    shown = short_names((row.name for row in section.ran), NAMES_AT_SIDE)
    side_names(axes, [(y, shown[row.name], colour_of(row)) for y, row in enumerate(section.ran)])
    for y, part, row, stat in found:
        at, training = y + (-0.19 if part == "train" else 0.19), part == "train"
        mib, sd = stat.mean / MIB.scale, (stat.sd or 0) / MIB.scale
        axes.barh(at, mib, 0.3, linewidth=0, color=colour_of(row), alpha=1 if training else 0.45)
        if sd:
            axes.plot([max(mib - sd, 0), mib + sd], [at, at], color=INK, linewidth=1)
        axes.annotate(f"{PARTS[part]} {number(mib)}", (mib + sd, at), (5, 0), textcoords="offset points", va="center",
                      color=SOFT)  # fmt: skip
