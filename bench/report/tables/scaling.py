"""Tables over a ladder of budgets: the laws, the numbers that they were fitted to, and the order of entrants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from equibench.quantities.text import number
from equibench.record.paths import value_at
from equibench.record.schema import Interval
from equibench.report.tables.table import Column, Entry, How, Origin, Table, fill_table, stat_entry, value_entry
from equibench.stats import stat_of
from equibench.summary.ladders import Ladder, Rung, Trend
from equibench.summary.order import Crossing, Ordering, orders
from equibench.summary.scaling import better_words, steady_words


class _Place(NamedTuple):
    series: Trend
    rung: Rung
    place: int


class _Compared(NamedTuple):
    order: Ordering
    crossing: Crossing | None


def tables(ladders: Sequence[Ladder]) -> dict[str, list[Table]]:
    """The tables of ladders by name; none without a ladder."""
    found = [laws(ladders), points(ladders), order(ladders)] if ladders else []
    return {table.name: [table] for table in found}


def laws(ladders: Sequence[Ladder]) -> Table:
    """A line a law: an entrant's number along a ladder."""

    def fitted(series: Trend, value: float | None, how: How, digits: int = 3, known: Interval | None = None) -> Entry:
        entry = value_entry(value, digits, Origin(series.records, series.measure.path, how))
        if known is None:
            return entry
        words = f"{number(known.low, digits)} to {number(known.high, digits)}"
        return replace(entry, detail=words, more={"_low": known.low, "_high": known.high})

    def amount(series: Trend, place: int) -> Entry:
        rung = series.rungs[place]
        return value_entry(rung.amount, 3, Origin(rung.records[:1], "budget.amount"))

    columns: list[Column[Trend]] = [
        ("entrant", "Entrant", lambda s: Entry(s.name, s.label)),
        ("measure", "Number", lambda s: value_entry(s.measure.name)),
        ("from", "From", lambda s: value_entry(s.rungs[0].section.letter)),
        ("to", "To", lambda s: value_entry(s.rungs[-1].section.letter)),
        ("from_flops", "From, FLOPs", lambda s: amount(s, 0)),
        ("to_flops", "To, FLOPs", lambda s: amount(s, -1)),
        ("n_budgets", "Budgets", lambda s: fitted(s, len(s.rungs), "count of budgets")),
        ("n_seeds", "Seeds", lambda s: fitted(s, s.fit.seeds, "count of seeds")),
        ("law", "Law", lambda s: value_entry("d + a · C^-b" if s.fit.law.to_floor else "a · C^-b")),
        ("exponent", "b", lambda s: fitted(s, s.fit.law.exponent, "fitted exponent", known=s.fit.exponent)),
        ("factor", "a", lambda s: fitted(s, s.fit.law.factor, "fitted factor")),
        (
            "floor",
            "d",
            lambda s: (
                fitted(s, s.fit.law.floor, "fitted floor", 4, s.fit.floor) if s.fit.law.to_floor else value_entry(None)
            ),
        ),
        ("p_no_floor", "p if there is no d", lambda s: fitted(s, s.fit.p_floor, "p (a floor)", 2)),
        ("rms_deviation", "Deviation, %", _deviation),
        ("p_holds", "p (Holm) if it holds", lambda s: fitted(s, s.fit.p_holds, "p (lack of fit, Holm)", 2)),
        ("verdict", "Does it hold?", lambda s: value_entry(_holds(s))),
    ]
    return fill_table("scaling", columns, _all(ladders), lambda series: series.rungs[0].row.first)


def _all(ladders: Sequence[Ladder]) -> list[Trend]:
    return [series for ladder in ladders for series in ladder.series]


def _deviation(series: Trend) -> Entry:
    value = series.fit.rms_deviation
    return Entry(
        number(100 * value, 2),
        value,
        source=Origin(series.records, series.measure.path, "deviation of a law"),
        scale=0.01,
        digits=2,
    )


def _holds(series: Trend) -> str:
    fit = series.fit
    if fit.holds is None:
        return "one seed does not tell"
    bend = "above and below it without a pattern" if fit.bend == "irregular" else fit.bend
    return "no deviation is shown" if fit.holds else f"no: {bend}"


def points(ladders: Sequence[Ladder]) -> Table:
    """A line a rung of each law: the data of the figure."""

    def value(place: _Place) -> Entry:
        path, records = place.series.measure.path, place.rung.records
        stat = stat_of([value_at(record, path) for record in records])
        assert stat is not None
        detail = f"{stat.n} seed{'s' * (stat.n > 1)}"
        return stat_entry(stat, Origin(records, path, "mean" if stat.n > 1 else "value"), digits=4, detail=detail)

    def spent(place: _Place) -> Entry:
        records = place.rung.records
        flops = stat_of([record.spent.flops for record in records if record.spent])
        assert flops is not None
        return value_entry(flops.mean, 4, Origin(records, "spent.flops", "mean" if flops.n > 1 else "value"))

    def by_law(place: _Place) -> Entry:
        flops = spent(place).raw
        assert isinstance(flops, float)
        series = place.series
        return value_entry(series.fit.law.at(flops), 4, Origin(series.records, series.measure.path, "fitted value"))

    def deviation(place: _Place) -> Entry:
        series, found = place.series, place.series.fit.deviations[place.place]
        source = Origin(series.records, series.measure.path, "deviation of a law")
        return Entry(f"{'+' * (found > 0)}{number(100 * found, 2)}", found, source=source, scale=0.01, digits=2)

    columns: list[Column[_Place]] = [
        ("entrant", "Entrant", lambda place: Entry(place.series.name, place.series.label)),
        ("measure", "Number", lambda place: value_entry(place.series.measure.name)),
        ("setting", "Setting", lambda place: value_entry(place.rung.section.letter)),
        ("flops", "Train FLOPs", spent),
        ("value", "Mean over seeds", value),
        ("by_law", "By the law", by_law),
        ("deviation", "Deviation, %", deviation),
    ]
    found = [_Place(one, rung, place) for one in _all(ladders) for place, rung in enumerate(one.rungs)]
    return fill_table("scaling_points", columns, found, lambda place: place.rung.row.first)


def order(ladders: Sequence[Ladder]) -> Table:
    """A line a pair of entrants in each number, or a line for each change of their order."""

    def rung(found: _Compared, high: bool) -> Entry:
        if found.crossing is None:
            return value_entry(None)
        rung = found.crossing.high if high else found.crossing.low
        return value_entry(rung.amount, 3, Origin(rung.records[:1], "budget.amount"))

    def about(found: _Compared) -> Entry:
        if found.crossing is None or found.crossing.about_flops is None:
            return value_entry(None)
        mine, theirs = found.order.a.records, found.order.b.records
        source = Origin(mine, found.order.measure.path, "crossing of means", theirs)
        return value_entry(found.crossing.about_flops, 2, source)

    def verdict(found: _Compared) -> Entry:
        if found.crossing is None:
            return value_entry(f"no change is shown: {steady_words(found.order)}")
        before, after, how = found.crossing.before.name, found.crossing.after.name, better_words(found.order)
        return value_entry(f"{before} {how} {after} below, {after} {how} {before} above")

    columns: list[Column[_Compared]] = [
        ("entrant", "Entrant", lambda found: Entry(found.order.a.name, found.order.a.label)),
        ("other", "Other", lambda found: Entry(found.order.b.name, found.order.b.label)),
        ("measure", "Number", lambda found: value_entry(found.order.measure.name)),
        ("low_flops", "Changes between, FLOPs", lambda found: rung(found, high=False)),
        ("high_flops", "and, FLOPs", lambda found: rung(found, high=True)),
        ("about_flops", "Means cross at, FLOPs", about),
        ("verdict", "Order", verdict),
    ]
    compared = [
        _Compared(found, crossing)
        for ladder in ladders
        for found in orders(ladder)
        for crossing in found.crossings or (None,)
    ]
    return fill_table("scaling_order", columns, compared, lambda _: None)
