"""The same entrant in several settings or runs: before and after, two machines, two budgets.

Each section of a report is set against the earlier one that it differs least from. What the rules forbid to compare
(other data, metric, kind of likelihood; speeds and memory of other machines) is shown with the reason, not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from equibench.quantities.metric import bits_kind, metric_names, metric_of
from equibench.quantities.text import budget_words, join, number
from equibench.record.schema import Record
from equibench.report.tables.audit import commit
from equibench.report.tables.table import Column, Entry, Source, Table, fill_table, value_entry
from equibench.stats import holm
from equibench.summary.pairs import BITS, Measure, Pair, p_of_bits, p_of_distances, pair_of
from equibench.summary.sections import Row, Section, value_at


@dataclass(frozen=True)
class Quantity:
    """A number that entrants are compared in. `forbids` says why two records may not be, or nothing."""

    name: str
    path: str
    forbids: Callable[[Record, Record], str]
    p_of_models: Callable[[Record, Record], float | None] | None = None  # None: not tested at all
    higher_is_better: bool = False


@dataclass(frozen=True)
class Change:
    """One quantity of one entrant in two sections; `pair` is the test of it, where there may be one."""

    quantity: Quantity
    before: Row
    after: Row
    places: tuple[Section, Section]
    why_not: str
    pair: Pair | None


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
    found = [change for base, section in opposed(sections) for change in _changes(base, section)]
    return fill_table("comparison", columns, found, lambda change: change.before.first)


def differences(sections: list[Section]) -> list[str]:
    """What sets each section apart from the one that it is compared with, or why it is compared with none."""
    partners = {id(section): base for base, section in opposed(sections)}
    found = []
    for section in sections[1:]:
        base = partners.get(id(section))
        if base is None:
            found.append(
                f"{section.letter} is on other data ({section.data.name}) and compared with no section before it."
            )
            continue
        apart = [f"{axis} ({old} → {new})" for axis, old, new in _apart(base, section)]
        old, new = (join(sorted({commit(c.record) for row in s.entrants for c in row.cells})) for s in (base, section))
        if old != new:
            apart.append(f"the code ({old} → {new})")
        found.append(f"{section.letter} differs from {base.letter} in {join(apart)}.")
    return found


def opposed(sections: list[Section]) -> Iterator[tuple[Section, Section]]:
    """Each section after the earlier one on the same data that it differs from in the fewest respects."""
    for index, section in enumerate(sections):
        earlier = [base for base in sections[:index] if base.data.sha256 == section.data.sha256 and base.entrants]
        if earlier and section.entrants:
            yield min(earlier, key=lambda base: len(_apart(base, section))), section


def _apart(base: Section, section: Section) -> list[tuple[str, str, str]]:
    """In what two sections differ: the respect, and how it is in each."""
    respects = [
        ("the budget", budget_words(base.budget), budget_words(section.budget)),
        (
            "the machine",
            f"{base.machine.device} {base.machine.key[:8]}",
            f"{section.machine.device} {section.machine.key[:8]}",
        ),
        ("the folder", base.run.label, section.run.label),
    ]
    return [respect for respect in respects if respect[1] != respect[2]]


def _changes(base: Section, section: Section) -> list[Change]:
    """All changes between two sections, p corrected over the entrants in each quantity."""
    before = {row.label: row for row in base.ran}
    found = []
    for quantity in QUANTITIES:
        changes = []
        for row in section.ran:
            old = before.get(row.label)
            if old is None or not old.having(quantity.path) or not row.having(quantity.path):
                continue
            why_not = quantity.forbids(old.first, row.first)
            measure = Measure(quantity.name, quantity.path, (), quantity.p_of_models or (lambda a, b: None))
            tested = not why_not and quantity.p_of_models
            pair = pair_of(measure, row, old) if tested else None
            changes.append(Change(quantity, old, row, (base, section), why_not, pair))
        corrected = iter(holm([change.pair.p for change in changes if change.pair]))
        found += [
            replace(change, pair=replace(change.pair, p_holm=next(corrected))) if change.pair else change
            for change in changes
        ]
    return found


def _other_metric(a: Record, b: Record) -> str:
    one, two = (metric_of(r.quality) if r.quality else None for r in (a, b))
    if one is None or two is None or one != two:
        return "another metric: extractor, count of samples or reference differ"
    mine, theirs = value_at(a, "quality.reference_sha256"), value_at(b, "quality.reference_sha256")
    return "another reference" if mine and theirs and mine != theirs else ""


def _other_kind(a: Record, b: Record) -> str:
    one, two = a.likelihood, b.likelihood
    assert one is not None
    assert two is not None
    if bits_kind(one) != bits_kind(two):
        return f"another kind: {bits_kind(one)}, {bits_kind(two)}"
    return "" if one.n_images == two.n_images else "other test images"


def _other_machine(a: Record, b: Record) -> str:
    return "" if a.machine.key == b.machine.key else "another machine"


def _other_speed(a: Record, b: Record) -> str:
    same = value_at(a, "speed.options") == value_at(b, "speed.options")
    return _other_machine(a, b) or ("" if same else "another setting of the sampler")


def _other_throughput(a: Record, b: Record) -> str:
    same = value_at(a, "speed.batch_size") == value_at(b, "speed.batch_size")
    return _other_speed(a, b) or ("" if same else "another batch size")


def _other_memory(part: str) -> Callable[[Record, Record], str]:
    def forbids(a: Record, b: Record) -> str:
        if value_at(a, "memory.quantity") != value_at(b, "memory.quantity"):
            return "another quantity of memory"
        same = value_at(a, f"memory.{part}_batch_size") == value_at(b, f"memory.{part}_batch_size")
        return _other_machine(a, b) or ("" if same else "another batch size")

    return forbids


QUANTITIES = (
    Quantity("distance", "quality.value", _other_metric, p_of_distances),
    Quantity("bits/dim", BITS, _other_kind, p_of_bits),
    Quantity("sampling, images/s", "speed.images_per_sec", _other_throughput, higher_is_better=True),
    Quantity("latency p50, s", "speed.latency_p50_sec", _other_speed),
    Quantity("training memory, bytes", "memory.train_peak_bytes", _other_memory("train")),
    Quantity("sampling memory, bytes", "memory.sample_peak_bytes", _other_memory("sample")),
    Quantity("training time, s", "spent.train_sec", _other_machine),
)


def _title(change: Change) -> str:
    quality = change.before.first.quality
    metric = metric_of(quality) if quality and change.quantity.path == "quality.value" else None
    return metric_names([metric])[metric] if metric else change.quantity.name


def _entrant(change: Change) -> Entry:
    old, new = change.before.first.config, change.after.first.config
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return Entry(
        change.before.label, change.before.label, ", ".join(f"{k} {old.get(k)} → {new.get(k)}" for k in differing)
    )


def _value(row: Row, quantity: Quantity) -> Entry:
    stat, records = row.stat(quantity.path), row.having(quantity.path)
    assert stat is not None
    source = Source(records, quantity.path, "mean" if stat.n > 1 else "value")
    return replace(value_entry(stat.mean, 4, source), detail=f"± {number(stat.sd, 2)}" if stat.sd else "")


def _difference(change: Change) -> Entry:
    if change.why_not:
        return Entry()
    path = change.quantity.path
    records = change.pair.records if change.pair else (change.after.having(path), change.before.having(path))
    new, old = (sum(float(value_at(r, path)) for r in group) / len(group) for group in records)
    share = f"{100 * (new - old) / old:+.1f} %" if old else ""
    return replace(value_entry(new - old, 3, Source(records[0], path, "difference of means", records[1])), detail=share)


def _p(change: Change) -> Entry:
    if change.pair is None:
        return Entry()
    source = Source(change.pair.records[0], change.quantity.path, "p (Holm)", change.pair.records[1])
    return value_entry(change.pair.p_holm, 2, source)


def _verdict(change: Change) -> str:
    if change.why_not:
        return f"not compared: {change.why_not}"
    if change.pair is None:
        return "not tested"
    if not change.pair.decided:
        return "equal" if change.pair.difference == 0 else "not decided"
    return "better" if (change.pair.difference > 0) == change.quantity.higher_is_better else "worse"


def _basis(change: Change) -> Entry:
    return value_entry(change.pair.basis if change.pair else "")
