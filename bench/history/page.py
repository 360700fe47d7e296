"""A history as a page: one file that works offline, in the style of the report's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from equibench import outputs
from equibench.history import steps
from equibench.history.figure import can_draw, draw
from equibench.history.history import History
from equibench.history.judged import Judged
from equibench.history.overview import date_of, numbers_table, points_table, setting_of, steps_table, title_of
from equibench.report.figures import style
from equibench.report.figures.images import Picture
from equibench.report.pages import fill
from equibench.report.tables.table import Table

MOST_CHARTS = 60
_MARK = b'<meta name="generator" content="equibench history">'
_BEFORE_MARK = 2000  # bytes: the mark stands at the top of every page


class Chart(NamedTuple):
    """One number of one row, drawn, and its points as tables."""

    title: str
    setting: str
    picture: Picture | None  # where it can be drawn
    points: list[Table]


def refuse(out: Path) -> None:
    """Raises UserError where something lies at `out` that is no such page."""
    outputs.refuse_foreign(out, _is_page, "the page of a history", "choose another --out")


def write(found: History, out: Path) -> None:
    """Write the page to the file `out`. Raises UserError where that cannot be done, or something else lies there."""
    refuse(out)
    outputs.put(out, page(found), "choose another --out")


def page(found: History) -> bytes:
    """The page, HTML in UTF-8 that needs no other file."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of characters that its font lacks
    rows: dict[tuple[str, ...], list[Judged]] = {}
    for one in found.judged:
        rows.setdefault(one.series.row, []).append(one)
    points = [point for one in found.judged for point in one.series.points]
    dates = sorted(date_of(point, found.order) for point in points)
    context: dict[str, Any] = {
        "names": list(dict.fromkeys(one.series.identity["entrant"] for one in found.judged)),
        "commits": len({point.code for point in points}),
        "first": f"{dates[0]:%Y-%m-%d}",
        "last": f"{dates[-1]:%Y-%m-%d}",
        "ordered_by": found.order.source,
        "left_out": found.left_out,
        "colours": style.COLOURS,
        "steps": steps_table(found.judged, found.order),
        "numbers": numbers_table(found.judged, found.order, found.baseline),
        "charts": [_chart(of_row, found) for of_row in list(rows.values())[:MOST_CHARTS]],
        "not_drawn": max(len(rows) - MOST_CHARTS, 0),
        "alone": steps.LEAST_POINTS_ALONE,
        "least": steps.LEAST_POINTS,
        "least_df": steps.LEAST_DF,
        "significance": f"{100 * steps.FALSE_DISCOVERY_RATE:g}",
    }
    return fill.fill("history.html.j2", context)


def _chart(of_row: list[Judged], found: History) -> Chart:
    title = title_of(of_row[0].series)
    picture = None
    if can_draw(of_row):
        picture = Picture("chart.svg", style.render(draw(of_row, found.order), "svg"), f"{title}, over commits", {})
    return Chart(title, setting_of(of_row[0].series), picture, [points_table(one, found.order) for one in of_row])


def _is_page(path: Path) -> bool:
    with path.open("rb") as stream:
        return _MARK in stream.read(_BEFORE_MARK)
