"""Screen, then confirm: whoever looks worse trains fresh seeds, and they alone decide.

One seed against a baseline says little. Where every entrant with p <= `SCREEN` trains some more, at a far wider error
rate than a single look could have, most faults are found, and equal code seldom fails: it has to look bad twice. What
is proved (a cell that crashed, a floor that moved, equal weights with another number) is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any, Protocol

from equibench.errors import UserError
from equibench.judge.check import Check, Comparison
from equibench.judge.gates import ALPHAS, Gates
from equibench.quantities.glossary import Category
from equibench.quantities.text import join, number
from equibench.record.schema import Record
from equibench.summary.sort import RowKey, Rows, rows

SCREEN = 0.2  # highest p with which an entrant, checked as if it were alone, is a suspect
TIMES_ALPHA = 3  # of a category's error rate, in what confirms: 6 and 3 %
CONFIRMED: tuple[Category, ...] = ("quality", "likelihood")  # what training decides
TESTED = ("passed", "within", "regression")  # lines that rest on a test
Train = Callable[[Mapping[int, Record], Sequence[int]], list[Record]]  # (row of the run, seeds) -> their records


class Judge(Protocol):
    """`compare` of check.py with all but the records and the gates given."""

    def __call__(self, baseline: Sequence[Record], run: Sequence[Record], *, gates: Gates) -> Check: ...


def confirm(
    screen: Check, baseline: Sequence[Record], run: Sequence[Record], gates: Gates, judge: Judge, many: int,
    train: Train,
) -> Check:  # fmt: skip
    """The check of these records with the lines of suspects decided by `many` fresh seeds each. Raises UserError where
    they cannot be trained.
    """
    before, after = rows(baseline, "the baseline"), rows(run, "the run")
    found = suspects(before, after, gates, judge)
    if not found:
        note = f"no entrant had p <= {SCREEN} in quality or likelihood, so that none trained fresh seeds"
        return replace(screen, notes=(*screen.notes, note))
    names = [str(key) for key in after]
    if twice := next((key for key in found if names.count(str(key)) > 1), None):
        raise UserError(
            f"{twice} is there with several budgets or data sets, and lines of a check go by its name alone; check one "
            "of them at a time with --confirm"
        )
    seeds = fresh_seeds(before, after, many)
    fresh = [one for key in found for one in train(after[key], seeds)]
    others = [one for key in after if key not in found for one in after[key].values()]
    return decided(screen, judge(baseline, [*fresh, *others], gates=wider(gates, screen)), found, seeds)


def suspects(before: Rows, after: Rows, gates: Gates, judge: Judge) -> dict[RowKey, float]:
    """Entrants that the screen is not sure of, with the p of each: that of its own numbers, as if it were alone."""
    found = {}
    for key in after:
        if key not in before or key.role != "entrant" or key.budget is None:  # what was loaded is not trained
            continue
        try:
            alone = judge(list(before[key].values()), list(after[key].values()), gates=gates)
        except UserError:  # nothing of it compares; the whole check has said so
            continue
        values = [line.p for line in alone.lines if _decides(line) and line.p is not None]
        if values and min(values) <= SCREEN:
            found[key] = min(values)
    return found


def fresh_seeds(before: Rows, after: Rows, many: int) -> list[int]:
    """The least seeds that no record of either side has."""
    used = {seed for side in (before, after) for row in side.values() for seed in row}
    return list(islice((seed for seed in count() if seed not in used), many))


def wider(gates: Gates, screen: Check) -> Gates:
    """The gates with the error rates of what confirms. A category that is not judged leaves its rate to the others,
    which is prevented here: they have theirs already.
    """
    there = {line.category for line in screen.lines if _decides(line)}
    tables: dict[str, Any] = {}
    for category in ALPHAS:
        alpha = min(TIMES_ALPHA * gates.alpha(category), 0.5) if category in there else _NONE
        tables[category] = getattr(gates, category).model_copy(update={"alpha": alpha})
    return gates.model_copy(update=tables)


_NONE = 1e-12  # an error rate that is to be above zero


def decided(screen: Check, final: Check, found: Mapping[RowKey, float], seeds: Sequence[int]) -> Check:
    """The screen's lines, with those of suspects that rest on a test replaced by what fresh seeds say."""
    names = {str(key) for key in found}
    told = f"decided by fresh seed{'s' * (len(seeds) > 1)} {join(map(str, seeds))}"
    says = {
        (line.row, line.number): replace(line, sentence=f"{line.sentence}; {told}")
        for line in final.lines
        if line.row in names and (_decides(line) or (line.number == "row" and line.verdict == "regression"))
    }
    lines = [
        says.pop((line.row, line.number), line) if line.row in names and _decides(line) else line
        for line in screen.lines
    ]
    notes = [
        f"{key} had p = {number(p, 2)} with the seeds of the run, and trained {len(seeds)} more: {told}"
        for key, p in found.items()
    ]
    return Check((*lines, *says.values()), (*screen.notes, *notes))


def _decides(line: Comparison) -> bool:
    return line.category in CONFIRMED and line.verdict in TESTED
