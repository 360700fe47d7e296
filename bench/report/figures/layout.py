"""Where the panels of a figure lie, and the ticks of their axes. Lengths are points, which are pixels of a page."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from equibench.quantities.text import TIMES, superscript
from equibench.report.figures.style import INK, drawn

POINTS_PER_INCH = 72
SENSIBLE = 1e-100, 1e100  # far beyond, sums and squares of what is drawn leave the range of floats
ROOM_PER_NAME = 2.2  # of a panel's height, in letters, for each name in it
NAMES_AT_SIDE = 22  # letters of a name at the left of its row
LONGEST = 30  # letters of a name in a figure; the tables have the whole


@dataclass(frozen=True)
class Cut:
    """A size that a figure is drawn in: its width, the size of its letters, and how many panels lie beside each
    other at most. Nothing is scaled: the same figure is laid out anew for each.
    """

    width: float
    size: float
    columns: int


WIDE, PHONE = Cut(1100, 12.5, 3), Cut(358, 11.5, 1)
HALF = Cut(540, 12.5, 1)  # beside another figure on a wide page
PAPER = Cut(504, 8, 3)  # the text width of a page of a paper


@dataclass(frozen=True)
class Margins:
    """Around a panel, in heights of a letter: room for the ticks, the label of the x-axis, the title."""

    left: float = 4.6
    right: float = 1.2
    bottom: float = 3.6
    top: float = 0.9


def sheet(
    cut: Cut, titles: Sequence[str], height: float | Sequence[float], columns: int, margins: Margins = Margins()
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel a title, so many letters high (or each row its own), at most `columns` beside each other;
    the title stands above, wrapped. To be called within `style`.
    """
    em = cut.size
    columns = max(1, min(columns, cut.columns, len(titles)))
    width = cut.width / columns
    room = width - (margins.left + margins.right) * em
    wrapped = [wrap(title, room + (margins.left - 0.5) * em, em, bold=True) for title in titles]
    rows = [range(i, min(i + columns, len(titles))) for i in range(0, len(titles), columns)]
    lines = [max(len(wrapped[i]) for i in row) for row in rows]
    plots = [height] * len(rows) if isinstance(height, float | int) else list(height)
    heights = [plot + margins.top + margins.bottom + 1.35 * n for plot, n in zip(plots, lines, strict=True)]
    whole = sum(heights) * em
    figure = Figure(figsize=(cut.width / POINTS_PER_INCH, whole / POINTS_PER_INCH), dpi=POINTS_PER_INCH)
    panels, top = [], whole
    for row, high, of_row in zip(rows, plots, heights, strict=True):
        for place, i in enumerate(row):
            left = place * width + margins.left * em
            bottom = top - (of_row - margins.bottom) * em
            box = (left / cut.width, bottom / whole, room / cut.width, high * em / whole)
            panels.append(figure.add_axes(box))
            figure.text(
                (place * width + 0.3 * em) / cut.width, (top - 0.2 * em) / whole, "\n".join(wrapped[i]),
                va="top", fontweight="bold", color=INK, linespacing=1.25,
            )  # fmt: skip
        top -= of_row * em
    for axes in panels:
        axes.tick_params(length=0, which="both", pad=4)
        axes.set_axisbelow(True)
    return figure, panels


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, POINTS_PER_INCH)


@functools.lru_cache(maxsize=4096)
def extent(text: str, size: float, bold: bool = False) -> tuple[float, float]:
    """Width and height of a line of text in the font of exported figures, which is wider than what pages are set in."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, height, _ = _renderer().get_text_width_height_descent(text, font, ismath=False)
    _, line, _ = _renderer().get_text_width_height_descent("lp", font, ismath=False)  # as matplotlib has it
    return width, max(height, line)


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Lines that are no wider than `width` where words allow it."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and extent(f"{lines[-1]} {word}", size, bold)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def short(name: str, longest: int = LONGEST) -> str:
    """A name as figures show it, cut in its middle where it is long."""
    shown = drawn(name)
    half = (longest - 1) // 2
    return shown if len(shown) <= longest else f"{shown[:half].rstrip()}…{shown[-half:].lstrip()}"


def short_names(names: Iterable[str], longest: int = LONGEST) -> dict[str, str]:
    """Each name in short, and different names differently: those that the cut makes equal are cut less."""
    found = {name: short(name, longest) for name in names}
    for cut in list(found.values()):
        alike = [name for name in found if found[name] == cut]
        length = longest
        while len({found[name] for name in alike}) < len(alike) and length < max(map(len, alike)):
            length += 2
            found |= {name: short(name, length) for name in alike}
    return found


def narrow(cut: Cut) -> bool:
    """Whether there is room for few words alone."""
    return cut.width < 30 * cut.size + 100


def side_names(axes: Axes, names: Iterable[tuple[float, str, str]]) -> None:
    """Names (y, text, colour) at the left of a panel."""
    for y, text, colour in names:
        axes.annotate(
            text, (0, y), (-8, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right",
            va="center", color=colour, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def side_margin(names: Iterable[str], cut: Cut) -> float:
    """Room for such names, in heights of a letter."""
    return (max((extent(name, cut.size, bold=True)[0] for name in names), default=0.0) + 14) / cut.size


def plain(value: float) -> str:
    """A tick in words: 2,000 and 0.05, and beyond them powers of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{round(value, 6):,g}" if abs(value) < 1000 else f"{value:,.0f}"
    mantissa, power = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else f"{value:.3e}".split("e")
    mantissa = f"{float(mantissa):g}"
    return f"{'' if mantissa == '1' else mantissa + TIMES}10{superscript(int(power))}"


def seconds(value: float) -> str:
    """A time of a tick in the unit that suits it."""
    for unit, length_sec in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= length_sec * (1 - 1e-9):
            return f"{plain(value / length_sec)} {unit}"
    return f"{plain(value / 1e-9)} ns"


def drawable(value: float) -> bool:
    return value == 0 or SENSIBLE[0] < abs(value) < SENSIBLE[1]


Which = Literal["x", "y"]


def scale(
    axes: Axes, which: Which, values: Iterable[float], log: bool, words: Callable[[float], str] = plain, most: int = 6
) -> None:
    """Limits around the values, and at most about `most` ticks in words. Logarithmic where that was asked for and all
    values are above zero. Limits hold from here on: nothing drawn later moves them.
    """
    found = [value for value in values if math.isfinite(value) and drawable(value)]
    log = log and bool(found) and min(found) > 0
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    axis: Axis = getattr(axes, f"{which}axis")
    if log:
        room = max(0.06 * math.log10(high / low), 0.03)
        ends = low / 10**room, high * 10**room
        getattr(axes, f"set_{which}scale")("log")
        axis.set_major_locator(FixedLocator(_log_ticks(*ends, most)))
    else:
        room = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
        ends = low - room, high + room
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    getattr(axes, f"set_{which}lim")(*ends)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """The ladder of ticks that has most within the limits and is still short enough; round numbers at equal distances
    where the limits are too near for two ticks of a ladder.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    best: list[float] = []
    for factors, step in (((1,), 100), ((1,), 20), ((1,), 6), ((1,), 3), ((1,), 2), ((1,), 1), ((1, 3), 1),
                          ((1, 2, 5), 1), ((1, 1.5, 2, 3, 4, 5, 7), 1)):  # fmt: skip
        start = -(-first // step) * step if step > 1 else first
        decades = range(start, last + 1, step)
        found = [x for d in decades for f in factors if low <= (x := f * 10.0**d) <= high]
        if len(found) <= most:
            best = max(best, found, key=len)
    if len(best) >= 3 or (len(best) == 2 and best[1] / best[0] >= 3):
        return best
    even = [float(x) for x in MaxNLocator(max(most - 1, 2), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    return [x for x in even if low <= x <= high] or best
