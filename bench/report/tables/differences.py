"""Tables of differences: between entrants, between sections, and between seeds."""

from __future__ import annotations

from dataclasses import replace

from equibench.quantities.glossary import BITS, Quantity, of
from equibench.quantities.metric import metric_names, metric_of
from equibench.quantities.text import number, p_number
from equibench.record.paths import value_at
from equibench.report.tables.cells import of_row
from equibench.report.tables.table import Column, Entry, How, Origin, Table, fill_table, value_entry
from equibench.summary.beside import against_trained
from equibench.summary.bounds import bound_words
from equibench.summary.changes import Change, changes_between, is_better, opposed, worst_first
from equibench.summary.noise import Noise, noise_of, noise_of_bits
from equibench.summary.pairs import Pair, tests
from equibench.summary.sections import Row, Section


def comparison(sections: list[Section]) -> Table:
    """Every entrant that stands in several sections, a line for each quantity; empty with one section."""
    columns: list[Column[Change]] = [
        ("entrant", "Entrant", _entrant),
        ("quantity", "Quantity", lambda change: value_entry(_title(change))),
        ("from", "From", lambda change: value_entry(change.places[0].letter)),
        ("to", "To", lambda change: value_entry(change.places[1].letter)),
        ("before", "Before", lambda change: _value(change.before, change.quantity)),
        ("after", "After", lambda change: _value(change.after, change.quantity)),
        ("difference", "Difference", _difference),
        ("p_holm", "p (Holm)", _p),
        ("verdict", "Verdict", lambda change: value_entry(_verdict(change))),
        ("basis", "Holds for", _basis),
    ]
    found = worst_first(change for base, section in opposed(sections) for change in changes_between(base, section))
    return fill_table("comparison", columns, found, lambda change: change.before.first)


def _title(change: Change) -> str:
    quality = change.before.first.quality
    metric = metric_of(quality) if quality and change.quantity.path == "quality.value" else None
    if metric:
        return metric_names([metric])[metric]
    kind = bound_words(change.before.first, BITS) if change.quantity.path == BITS else ""
    return f"{change.quantity.in_raw_units} ({kind})" if kind else change.quantity.in_raw_units


def _entrant(change: Change) -> Entry:
    old, new = change.before.first.config, change.after.first.config
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return Entry(
        change.before.label, change.before.label, ", ".join(f"{k} {old.get(k)} → {new.get(k)}" for k in differing)
    )


def _value(row: Row, quantity: Quantity) -> Entry:
    stat, records = row.stat(quantity.path), row.having(quantity.path)
    assert stat is not None
    source = Origin(records, quantity.path, "mean" if stat.n > 1 else "value")
    return replace(value_entry(stat.mean, 4, source), detail=f"± {number(stat.sd, 2)}" if stat.sd else "")


def _difference(change: Change) -> Entry:
    if change.why_not:
        return Entry()
    path = change.quantity.path
    records = change.pair.records if change.pair else (change.after.having(path), change.before.having(path))
    new, old = (sum(float(value_at(r, path)) for r in group) / len(group) for group in records)
    share = f"{100 * (new - old) / old:+.1f} %" if old else ""
    return replace(value_entry(new - old, 3, Origin(records[0], path, "difference of means", records[1])), detail=share)


def _p(change: Change) -> Entry:
    if change.pair is None:
        return Entry()
    source = Origin(change.pair.records[0], change.quantity.path, "p (Holm)", change.pair.records[1])
    return _p_entry(change.pair.p_holm, source)


def _p_entry(p: float, source: Origin) -> Entry:
    return replace(value_entry(p, 2, source), text=p_number(p))


def _verdict(change: Change) -> str:
    if change.why_not:
        return f"not compared: {change.why_not}"
    if change.by_tighter:
        return "compared by a tighter bound, below"
    if change.pair is None:
        return "not tested"
    if not change.pair.decided:
        return "equal" if change.pair.difference == 0 else "not decided"
    return "better" if is_better(change) else "worse"


def _basis(change: Change) -> Entry:
    return value_entry(change.pair.basis if change.pair else "")


def noise(section: Section) -> Table:
    """A line for each entrant with two seeds or more, for each metric of the section and for bits per dimension."""
    names = metric_names(section.metrics)
    found = [n for metric in section.metrics for row in section.ran if (n := noise_of(row, metric))]
    found += [n for row in section.ran if (n := noise_of_bits(row))]

    def entry(item: Noise, value: float, path: str, how: How, digits: int = 3) -> Entry:
        return value_entry(value, digits, Origin(item.records, path, how))

    columns: list[Column[Noise]] = [
        ("entrant", "Entrant", lambda item: of_row(item.row)),
        ("metric", "Number", lambda item: value_entry(names[item.metric] if item.metric else of(item.path).label)),
        ("n_seeds", "Seeds", lambda item: entry(item, len(item.records), "seed", "count")),
        ("mean", "Mean", lambda item: entry(item, item.mean, item.path, "mean", 4)),
        ("sd", "Standard deviation over seeds", lambda item: entry(item, item.total, item.path, "standard deviation")),
        ("evaluation_sd", "of evaluation", lambda item: entry(item, item.evaluation, item.error, "root mean square")),
        ("training_sd", "of training", lambda item: entry(item, item.training, item.path, "training noise")),
    ]
    return fill_table("noise", columns, found, lambda item: item.row.first)


def pairs(section: Section) -> Table:
    """Each pair of entrants in each measure: the difference, and whether it is decided."""

    def source(pair: Pair, how: How) -> Origin:
        return Origin(pair.records[0], pair.measure.path, how, pair.records[1])

    columns: list[Column[Pair]] = [
        ("entrant", "Entrant", lambda pair: of_row(pair.a)),
        ("other", "Other", lambda pair: of_row(pair.b)),
        ("measure", "Measure", lambda pair: value_entry(pair.measure.name)),
        (
            "difference",
            "Difference",
            lambda pair: _scaled(pair, source(pair, "difference of means")),
        ),
        ("ratio", "Ratio", _ratio),
        ("p_holm", "p (Holm)", lambda pair: _p_entry(pair.p_holm, source(pair, "p (Holm)"))),
        ("verdict", "Verdict", _pair_verdict),
        ("basis", "Holds for", lambda pair: value_entry(pair.basis)),
    ]
    return fill_table("pairs", columns, [*tests(section), *against_trained(section)], lambda _: None)


def _scaled(pair: Pair, source: Origin) -> Entry:
    """The difference in the unit that tables show the number in."""
    quantity = of(pair.measure.path)
    entry = value_entry(pair.difference, 4, source)
    return replace(
        entry, text=number(pair.difference / quantity.scale, 4), detail=quantity.unit_shown, scale=quantity.scale
    )


def _ratio(pair: Pair) -> Entry:
    """The ratio of geometric means, with its 95 % interval over seeds; empty where the difference itself was tested."""
    effect = pair.effect
    if not effect.is_ratio:
        return Entry()
    source = Origin(pair.records[0], pair.measure.path, "ratio of geometric means", pair.records[1])
    entry = value_entry(effect.value, 3, source)
    if effect.low is None or effect.high is None:
        return entry
    detail = f"{number(effect.low, 3)} to {number(effect.high, 3)}"
    return replace(entry, detail=detail, more={"_low": effect.low, "_high": effect.high})


def _pair_verdict(pair: Pair) -> Entry:
    side = "higher" if pair.measure.higher else "lower"
    return value_entry(f"{pair.better.name} is {side}" if pair.decided else "not decided")
