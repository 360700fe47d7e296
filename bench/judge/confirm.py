"""Screen, then confirm: whoever looks worse trains fresh seeds, and they alone decide.

One seed against a baseline says little. Where every entrant with p <= `SCREEN` trains some more, at a far wider error
rate than a single look could have, most faults are found, and equal code seldom fails: it has to look bad twice. What
is proved (a cell that crashed, a floor that moved, equal weights with another number) is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from equibench.errors import UserError
from equibench.judge.comparison import Check, Comparison
from equibench.judge.gates import Gates
from equibench.judge.rerun import Rerun, rebuilt, suite_of
from equibench.quantities.glossary import Category
from equibench.quantities.text import join, number
from equibench.record.schema import Record
from equibench.summary.sort import RowKey, Rows, rows

if TYPE_CHECKING:
    from equibench.run.loop import Finished
    from equibench.run.session import Session
    from equibench.suite import Cell

SCREEN = 0.2  # p of an entrant's own numbers, before any correction
TIMES_ALPHA = 3  # of a category's error rate, in what confirms: 6 and 3 %
CONFIRMED: tuple[Category, ...] = ("quality", "likelihood")  # what training decides
TESTED = ("passed", "within", "regression")  # lines that rest on a test
Filed = Sequence[tuple[Path, Record]]


class Judge(Protocol):
    """`compare` of check.py with all but the records and the gates given."""

    def __call__(self, baseline: Sequence[Record], run: Sequence[Record], *, gates: Gates) -> Check: ...


class Asked(NamedTuple):
    """Of the person who checks: how many fresh seeds, where they go, and what records do not hold."""

    seeds: int
    out: Path
    given: Rerun
    tell: Callable[[Finished], None] = lambda done: None


def confirm(screen: Check, baseline: Sequence[Record], run: Filed, gates: Gates, judge: Judge, asked: Asked) -> Check:
    """The check with the lines of suspects decided by fresh seeds, which are trained here. Raises UserError where the
    suite, the data or the feature network of the run are not to be had, before anything is judged by them.
    """
    before, after = rows(baseline, "the baseline"), rows([one for _, one in run], "the run")
    for key in after:
        if key.role == "entrant" and key.budget:
            suite_of(next(iter(after[key].values())), asked.given)  # said now, not with the first suspect
    found = suspects(before, after, gates, judge)
    if not found:
        note = f"no entrant had p <= {SCREEN} in quality or likelihood, so that none trained fresh seeds"
        return replace(screen, notes=(*screen.notes, note))
    seeds = fresh_seeds(before, after, asked.seeds)
    fresh = [one for key in found for one in _trained(after[key], run, seeds, asked)]
    others = [one for key in after if key not in found for one in after[key].values()]
    final = judge(baseline, [*fresh, *others], gates=wider(gates, screen))
    return decided(screen, final, found, seeds)


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
    tables = {}
    for category in ("quality", "likelihood", "speed", "memory"):
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


def _trained(row: Mapping[int, Record], run: Filed, seeds: Sequence[int], asked: Asked) -> list[Record]:
    """Records of an entrant's fresh seeds, by the suite and settings of the run. Raises UserError."""
    from equibench.run.loop import run_cells

    one = row[min(row)]
    file = next(path for path, found in run if found.key == one.key)
    cell, session = rebuilt(one, file, asked.given, asked.out)
    _refuse_other_settings(one, cell, session)
    wanted = [replace(cell, seed=seed) for seed in seeds]
    found = []
    for done in run_cells(session, lambda cell, doing, share: None, wanted=wanted):
        asked.tell(done)
        found.append(done.record)
    return found


def _refuse_other_settings(one: Record, cell: Cell, session: Session) -> None:
    """Raises UserError for a suite that is not the run's, as far as this machine can tell: a cell's key holds the
    machine's.
    """
    from equibench.machine.provenance import describe_machine

    fields = cell.entrant.config if cell.entrant else {}
    changed = one.config and any(one.config.get(name) != value for name, value in fields.items())
    here = describe_machine(session.device).key == one.machine.key
    if changed or (here and session.key(cell) != one.key):
        raise UserError(
            f"the suite {cell.suite.name} has other settings than {one.entrant} was run with, so that fresh seeds "
            "would be of another recipe; give the run's own by --suite, and run again where it was changed"
        )
