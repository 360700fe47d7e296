"""A history as JSON: every number raw, in the unit of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equibench.history.figure import breaks, in_order
from equibench.history.judged import Judged, Moved, Range, Shift
from equibench.history.order import Order
from equibench.history.overview import date_of
from equibench.history.points import Point
from equibench.protocol import __version__


def as_json(judged: Sequence[Judged], order: Order, left_out: Sequence[str]) -> dict[str, Any]:
    """`{"equibench", "ordered_by", "left_out", "series": [...]}`. A change is a share of the earlier value (0.12 is
    12 % more) where its `relative` is true, else in the unit of the number.
    """
    return {
        "equibench": __version__,
        "ordered_by": order.source,
        "left_out": list(left_out),
        "series": [_series(one, [x for x in judged if x.series.row == one.series.row], order) for one in judged],
    }


def _series(one: Judged, of_row: Sequence[Judged], order: Order) -> dict[str, Any]:
    series, points = one.series, in_order(of_row, order)
    noise = {"why_not": one.why_not} if one.noise is None else {
        "sd": one.noise.sd, "df": one.noise.df, "from": one.noise.source, "of_logarithm": series.by_logarithm,
    }  # fmt: skip
    return {
        "entrant": series.identity["entrant"],
        "role": series.points[0].first.role,
        "number": series.name,
        "path": series.path,
        "unit": series.quantity.unit,
        "better": series.quantity.better or None,
        "protocol": series.protocol,
        "machine": series.machine,
        "identity": series.identity,
        "noise": noise,
        "points": [
            {
                **_commit(point, order), **_range(found), "measurements": [x.value for x in point.measured],
                "seeds": sorted({record.seed for record in point.records}),
                "records": [record.key for record in point.records],
            }
            for point, found in zip(series.points, one.points, strict=True)
        ],
        "levels": [
            {
                "from": _commit(series.points[x.begin], order), "to": _commit(series.points[x.end - 1], order),
                "points": x.end - x.begin, **_range(x.value),
            }
            for x in one.levels
        ],
        "steps": [_shift(x, order) for x in one.shifts],
        "suspected": {**_commit(series.points[-1], order), **_change(one.suspected)} if one.suspected else None,
        "breaks": [{**_commit(point, order), "machine": point.first.machine.key} for _, point in breaks(points)],
        "drift": {
            "against_best": _against_best(one, order),
            "against_baseline": _change(one.against_baseline) if one.against_baseline else None,
        },
    }  # fmt: skip


def _shift(found: Shift, order: Order) -> dict[str, Any]:
    return {
        "after": _commit(found.before, order),
        "at": _commit(found.after, order),
        "unmeasured_commits_between": order.between(found.before.code, found.after.code),
        **_change(found.change),
        "worse": found.worse,
        "p": found.p,
        "confirmed_by": found.confirmed_by,
        "also_changed": list(found.also_changed),
    }


def _against_best(one: Judged, order: Order) -> dict[str, Any] | None:
    if one.against_best is None or one.best is None:
        return None
    points = one.series.points[one.best.begin : one.best.end]
    return {**_change(one.against_best), "from": _commit(points[0], order), "to": _commit(points[-1], order)}


def _commit(point: Point, order: Order) -> dict[str, Any]:
    code = point.code
    return {
        "commit": code.commit,
        "dirty": code.dirty,
        "version": code.version,
        "sources_sha256": code.sources_sha256,
        "date": date_of(point, order).isoformat() + "Z",
    }


def _range(found: Range) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "interval_over": found.over or None}


def _change(found: Moved) -> dict[str, Any]:
    return {"change": found.value, "low": found.low, "high": found.high, "relative": found.relative}
