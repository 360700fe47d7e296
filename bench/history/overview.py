"""What a history says, as tables for a page and a terminal: a line a number, a line a step, a line a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from equibench.history.judged import Judged, Moved, Range, Shift
from equibench.history.order import Order
from equibench.history.points import Point, Series
from equibench.quantities.identity import kind_of
from equibench.quantities.text import join, number, settings
from equibench.record.schema import Record
from equibench.report.tables.table import Column, Entry, Notes, Table, fill_table

NO_STEP = "none"


def label_of(one: Series) -> str:
    """What the number is: a distance by its whole name, others by their label, with their kind, unit and arrow."""
    kind = kind_of(one.points[-1].first, one.path)
    if one.path in ("quality.value", "quality.corrected"):
        return one.quantity.heading(kind)
    return one.quantity.heading(f"{one.quantity.label} ({kind})" if kind else "")


def title_of(one: Series) -> str:
    return f"{one.identity['entrant']}: {label_of(one)}"


def numbers_table(judged: Sequence[Judged], order: Order, baseline: str = "") -> Table:
    """A line a number: where it stands, and when it moved."""
    notes = Notes()
    columns: list[Column[Judged]] = [
        ("entrant", "Entrant", lambda one: Entry(one.series.identity["entrant"], one.series.identity["entrant"])),
        ("number", "Number", lambda one: Entry(label_of(one.series), one.series.path, setting_of(one.series))),
        ("commits", "Commits", lambda one: Entry(str(len(one.points)), len(one.points))),
        ("last", "Last", lambda one: _range(one.series, one.points[-1])),
        ("level", "Level", lambda one: _level(one, notes)),
        ("steps", "Steps", lambda one: _steps(one, order)),
        ("against_best", "Against the best level", _against_best),
    ]
    if baseline:
        columns.append(
            ("against_baseline", f"Against {baseline}", lambda one: _change(one.series, one.against_baseline))
        )
    lines = fill_table("numbers", columns, judged, lambda one: one.series.points[0].first)
    return replace(lines, notes=tuple(notes))


def steps_table(judged: Sequence[Judged], order: Order) -> Table:
    """A line a step, and a line a last point that may become one."""
    items: list[tuple[Judged, Shift | None]] = [(one, shift) for one in judged for shift in one.shifts]
    items += [(one, None) for one in judged if one.suspected]
    columns: list[Column[tuple[Judged, Shift | None]]] = [
        ("entrant", "Entrant", lambda x: Entry(x[0].series.identity["entrant"])),
        ("number", "Number", lambda x: Entry(label_of(x[0].series), x[0].series.path, setting_of(x[0].series))),
        ("change", "Change", lambda x: _change(x[0].series, x[1].change if x[1] else x[0].suspected)),
        ("verdict", "Verdict", lambda x: Entry(_verdict(x[1]) if x[1] else "suspected: a spike, or a step")),
        ("after", "After", lambda x: _at(x[1].before if x[1] else x[0].series.points[-2], order)),
        ("at", "At or before", lambda x: _at(x[1].after if x[1] else x[0].series.points[-1], order)),
        ("between", "Commits between", lambda x: _between(x[1], order)),
        ("confirmed_by", "Confirmed by", lambda x: _confirmed(x[1])),
        ("p", "p", lambda x: Entry(number(x[1].p, 2), x[1].p) if x[1] else Entry()),
        (
            "also_changed",
            "Changed with it",
            lambda x: Entry(join(x[1].also_changed) if x[1] and x[1].also_changed else ""),
        ),
    ]
    return fill_table("steps", columns, items, lambda _: None)


def points_table(one: Judged, order: Order) -> Table:
    """A line a commit of one series."""
    columns: list[Column[tuple[Point, Range]]] = [
        ("commit", "Commit", lambda x: Entry(x[0].label)),
        ("date", "Date", lambda x: Entry(date_of(x[0], order).isoformat(), detail="")),
        ("value", label_of(one.series), lambda x: _range(one.series, x[1])),
        ("over", "Interval over", lambda x: Entry(x[1].over)),
        ("measurements", "Measurements", lambda x: Entry(str(len(x[0].measured)), len(x[0].measured))),
        ("seeds", "Seeds", lambda x: Entry(_seeds(x[0].records))),
        ("records", "Records", lambda x: Entry(" ".join(record.key[:8] for record in x[0].records))),
    ]
    return fill_table("points", columns, list(zip(one.series.points, one.points, strict=True)), lambda _: None)


def date_of(point: Point, order: Order) -> datetime:
    return order.date_of(point.code, point.created).replace(microsecond=0, tzinfo=None)


def change_words(one: Series, found: Moved) -> str:
    """A change with its interval, in per cent, or in the unit that tables show."""
    if found.relative:
        return f"{_signed(100 * found.value)} % ({_signed(100 * found.low)} to {_signed(100 * found.high)})"
    value, low, high = (_signed(x / one.quantity.scale) for x in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def setting_of(one: Series) -> str:
    """What sets rows of one entrant and number apart, beside what their names say."""
    shown = {key: value for key, value in one.identity.items() if key in ("data", "ref", "sampler", "budget")}
    parts = [f"{key} {value}" for key, value in shown.items() if value not in ("default", "none")]
    parts += [settings(one.points[-1].first.config)] if one.row[-1] else []  # where that sets it apart
    parts += [f"protocol {one.protocol}", *([f"machine {one.machine[:8]}"] if one.machine else [])]
    return ", ".join(parts)


def _range(one: Series, found: Range) -> Entry:
    scale = one.quantity.scale
    ends = [number(end / scale) for end in (found.low, found.high) if end is not None]
    return Entry(number(found.value / scale), found.value, f"{ends[0]} to {ends[1]}" if len(ends) == 2 else "")


def _level(one: Judged, notes: Notes) -> Entry:
    return _range(one.series, one.levels[-1].value) if one.levels else notes.missing(one.why_not)


def _steps(one: Judged, order: Order) -> Entry:
    if not one.levels:
        return Entry("not judged")
    found = [
        f"{change_words(one.series, x.change)} at {x.after.label}, {date_of(x.after, order):%Y-%m-%d}"
        for x in one.shifts
    ]
    if one.suspected:
        found.append(f"suspected: {change_words(one.series, one.suspected)} at {one.series.points[-1].label}")
    return Entry("; ".join(found) or NO_STEP, len(one.shifts), strong=any(x.worse for x in one.shifts))


def _against_best(one: Judged) -> Entry:
    if one.against_best is None:
        return Entry("is the best" if one.levels and one.series.quantity.better else "")
    return _change(one.series, one.against_best)


def _change(one: Series, found: Moved | None) -> Entry:
    return Entry(change_words(one, found), found.value) if found else Entry()


def _verdict(found: Shift) -> str:
    return {True: "worse", False: "better", None: "changed"}[found.worse]


def _at(point: Point, order: Order) -> Entry:
    return Entry(point.label, detail=f"{date_of(point, order):%Y-%m-%d %H:%M}")


def _between(found: Shift | None, order: Order) -> Entry:
    many = order.between(found.before.code, found.after.code) if found else None
    return Entry("not known" if found else "") if many is None else Entry(str(many), many)


def _confirmed(found: Shift | None) -> Entry:
    return Entry(f"{found.confirmed_by} commits", found.confirmed_by) if found else Entry("the next commit will say")


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(dict.fromkeys(str(seed) for seed in sorted(record.seed for record in records)))


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else ''}{number(value)}"
