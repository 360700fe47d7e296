"""One number of one row over commits, drawn: points with intervals, levels as bars, steps and breaks as lines."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equibench.history.judged import Judged
from equibench.history.order import Order
from equibench.history.overview import label_of
from equibench.history.points import Point
from equibench.report.figures.style import FLOOR, PALETTE, drawn, style

_LABELS = 16  # commits that are named along the axis
_DRAWN = 1e100  # and its inverse: far beyond, sums and squares of what is drawn leave the range of floats
WORSE, BETTER, OTHER = PALETTE[3], PALETTE[2], PALETTE[0]


def draw(of_row: Sequence[Judged], order: Order) -> Figure:
    """All series of one number of one row, one for each machine where machines matter; commits at equal distances."""
    points = in_order(of_row, order)
    place = {id(point): x for x, (point, _) in enumerate(points)}
    one = of_row[0].series
    with style():
        figure = Figure(figsize=(9.6, 3.1), layout="constrained")
        axes = figure.subplots()
        for number, judged in enumerate(of_row):
            _series(axes, judged, place, PALETTE[(0, 4, 1, 6, 8, 9)[number % 6]])
        for x, point in breaks(points):
            axes.axvline(x - 0.5, color=FLOOR, linestyle=":", linewidth=1.2)
            axes.annotate(
                drawn(f"machine {point.first.machine.key[:8]}"), (x - 0.45, 1), xycoords=axes.get_xaxis_transform(),
                fontsize=8, color=FLOOR, va="top",
            )  # fmt: skip
        step = max(1, -(-len(points) // _LABELS))
        named = [x for x in range(len(points)) if (len(points) - 1 - x) % step == 0]
        axes.set_xticks(named, [drawn(points[x][0].label) for x in named], rotation=35, ha="right", fontsize=8)
        axes.set_xlim(-0.7, len(points) - 0.3)
        axes.set_ylabel(drawn(label_of(one)), fontsize=9)
        axes.grid(axis="x", visible=False)
    return figure


def can_draw(of_row: Sequence[Judged]) -> bool:
    """Whether the values leave an axis room for its arithmetic."""
    scale = of_row[0].series.quantity.scale
    found = [x for judged in of_row for point in judged.points for x in (point.value, point.low, point.high)]
    most = max(abs(x / scale) for x in found if x is not None)
    return most == 0 or 1 / _DRAWN < most < _DRAWN


def in_order(of_row: Sequence[Judged], order: Order) -> list[tuple[Point, Judged]]:
    """The points of all machines, in one order."""
    found = [(point, judged) for judged in of_row for point in judged.series.points]
    return sorted(found, key=lambda item: order.key(item[0].code, item[0].created))


def breaks(points: Sequence[tuple[Point, Judged]]) -> list[tuple[int, Point]]:
    """Places at which the machine is another one than before, each with its first point; none where none matters."""
    return [
        (x, points[x][0])
        for x in range(1, len(points))
        if points[x][1].series.machine != points[x - 1][1].series.machine
    ]


def _series(axes: Axes, judged: Judged, place: dict[int, int], colour: str) -> None:
    scale = judged.series.quantity.scale
    xs = [place[id(point)] for point in judged.series.points]
    for x, found in zip(xs, judged.points, strict=True):
        value = found.value / scale
        ends = None
        if found.low is not None and found.high is not None:
            ends = [[max(value - found.low / scale, 0)], [max(found.high / scale - value, 0)]]
        axes.errorbar(x, value, yerr=ends, fmt="o", markersize=4, capsize=2, linewidth=1, color=colour)
    for piece in judged.levels:
        span = (xs[piece.begin] - 0.4, xs[piece.end - 1] + 0.4)
        axes.plot(span, [piece.value.value / scale] * 2, color=colour, linewidth=2.5, alpha=0.55)
        if piece.value.low is not None and piece.value.high is not None:
            axes.fill_between(
                span, piece.value.low / scale, piece.value.high / scale, color=colour, alpha=0.12, linewidth=0
            )
    for shift in judged.shifts:
        between = (place[id(shift.before)] + place[id(shift.after)]) / 2
        mark = {True: WORSE, False: BETTER, None: OTHER}[shift.worse]
        axes.axvline(between, color=mark, linestyle="--", linewidth=1.2)
    if judged.suspected:
        axes.plot(xs[-1], judged.points[-1].value / scale, "o", markersize=12, fillstyle="none", color=WORSE)
