"""The same entrant in several settings or runs: before and after, two machines, two budgets.

Each section of a report is set against the earlier one that it differs least from. What the rules forbid to compare
(other data, metric, kind of likelihood; speeds and memory of other machines) is shown with the reason, not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from equibench.quantities.metric import bits_kind, metric_of
from equibench.quantities.text import budget_words, commit, join
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import holm
from equibench.summary.pairs import BITS, Criterion, Pair, p_of_bits, p_of_distances, pair_of
from equibench.summary.sections import Row, Section


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


def changes_between(base: Section, section: Section) -> list[Change]:
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
            measure = Criterion(quantity.name, quantity.path, (), quantity.p_of_models or (lambda a, b: None))
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
