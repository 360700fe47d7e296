"""The same entrant in several settings or runs: before and after, two machines, two budgets.

Each section of a report is set against the earlier one that it differs least from. What the rules forbid to compare
(other data, metric, kind of likelihood; speeds and memory of other machines) is shown with the reason, not compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from equibench.quantities import glossary
from equibench.quantities.glossary import Quantity
from equibench.quantities.identity import MADE_BY, Difference, differs
from equibench.quantities.text import budget_words, commit, join, number
from equibench.stats import holm
from equibench.summary.bounds import bound_words
from equibench.summary.pairs import Criterion, Pair, p_of_bits, p_of_distances, pair_of, tightest
from equibench.summary.sections import Row, Section

# what entrants are compared in; a test of the two models stands behind those that have one
COMPARED = tuple(
    glossary.of(path)
    for path in (
        "quality.value",
        glossary.BITS,
        "speed.images_per_sec",
        "speed.latency_p50_sec",
        "memory.train_peak_bytes",
        "memory.sample_peak_bytes",
        "spent.train_sec",
    )
)
MOST_SAID = 12  # sentences
TESTS = {"quality.value": p_of_distances, glossary.BITS: p_of_bits}


@dataclass(frozen=True)
class Change:
    """One quantity of one entrant in two sections; `pair` is the test of it, where there may be one."""

    quantity: Quantity
    before: Row
    after: Row
    places: tuple[Section, Section]
    why_not: Difference | None
    pair: Pair | None
    by_tighter: bool = False  # the two are compared by a tighter bound than this one, in a change of its own


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


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """What is worse by a test, then what is better by one, then what no test decides, each from the largest share; what
    may not be compared stands last.
    """
    return sorted(changes, key=lambda change: (_rank(change), -abs(share(change) or 0.0)))


def _rank(change: Change) -> int:
    if change.why_not or change.by_tighter:
        return 4
    if change.pair is None:
        return 3
    if not change.pair.decided or change.pair.difference == 0:
        return 2
    return int(is_better(change))


def is_better(change: Change) -> bool:
    """Whether the test of the change says that the number became better, not worse."""
    return change.pair is not None and (change.pair.difference > 0) == (change.quantity.better == "higher")


def share(change: Change) -> float | None:
    """The change of the mean as a share of what it was; None where that was 0."""
    path = change.quantity.path
    old, new = change.before.stat(path), change.after.stat(path)
    return (new.mean - old.mean) / old.mean if old and new and old.mean else None


def change_sentences(sections: list[Section]) -> list[str]:
    """What the tests decide of the changes, worst first, and how many more than `MOST_SAID` they decide; that they
    decide nothing, where they do not.
    """
    found = worst_first(change for base, section in opposed(sections) for change in changes_between(base, section))
    sentences = [_sentence(change) for change in found if _rank(change) < 2]
    if len(sentences) > MOST_SAID:
        sentences[MOST_SAID - 1 :] = [
            f"{len(sentences) - MOST_SAID + 1} more changes that a test decides are in the table."
        ]
    tested = any(change.pair for change in found)
    return sentences or (["No test tells any number of one setting from the other's."] if tested else [])


def _sentence(change: Change) -> str:
    assert change.pair is not None
    part = share(change)
    by = f" by {100 * abs(part):.2g} %" if part else ""
    places = " to ".join(place.letter for place in change.places)
    side = "better" if is_better(change) else "worse"
    return (
        f"From {places}, {change.before.spoken} is {side} in {_what(change)}{by} (p = {number(change.pair.p_holm, 2)}, "
        f"{change.pair.basis})."
    )


def _what(change: Change) -> str:
    return "distance" if change.quantity.path == "quality.value" else change.quantity.label


def opposed(sections: list[Section]) -> Iterator[tuple[Section, Section]]:
    """Each section with the earlier one on the same data that it differs from in the fewest respects; among equals with
    one of the same machine, then with that of the nearest budget.
    """
    for index, section in enumerate(sections):
        earlier = [base for base in sections[:index] if base.data.sha256 == section.data.sha256 and base.entrants]
        if earlier and section.entrants:
            yield min(earlier, key=lambda base: _farness(base, section)), section


def _farness(base: Section, section: Section) -> tuple[int, bool, float]:
    """The number of respects, whether the machine is among them, and the ratio of the budgets, the larger over the
    smaller; infinite where there is none, or another unit or cap.
    """
    one, other = base.budget, section.budget
    ratio = math.inf
    if one and other and (one.unit, one.params) == (other.unit, other.params):
        ratio = max(one.amount, other.amount) / min(one.amount, other.amount)
    return len(_apart(base, section)), base.machine.key != section.machine.key, ratio


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
    """All changes between two sections, p corrected over the entrants in each quantity. Likelihoods are compared by the
    tightest bound that was measured in both.
    """
    before = {row.label: row for row in base.ran}
    found = []
    for quantity in COMPARED:
        changes: list[Change] = []
        for row in section.ran:
            old = before.get(row.label)
            if old is None or not old.having(quantity.path) or not row.having(quantity.path):
                continue
            first = old.having(quantity.path)[0], row.having(quantity.path)[0]
            why_not = differs(*first, quantity.path, but=("budget", *MADE_BY))
            change = Change(quantity, old, row, (base, section), why_not, None)
            test = TESTS.get(quantity.path)
            if test and not why_not:
                of_bounds = quantity.path == glossary.BITS and "bound" in bound_words(first[0], quantity.path)
                measure = Criterion(quantity.label, quantity.path, (), test, of_bounds)
                closer = tightest(measure, row, old)
                pair = pair_of(closer, row, old)
                if closer is not measure:
                    changes.append(replace(change, by_tighter=True))
                    change = replace(change, quantity=replace(quantity, label=closer.name, path=closer.path))
                change = replace(change, pair=pair)
            changes.append(change)
        corrected = iter(holm([change.pair.p for change in changes if change.pair]))
        found += [
            replace(change, pair=replace(change.pair, p_holm=next(corrected))) if change.pair else change
            for change in changes
        ]
    return found
