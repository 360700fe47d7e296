"""Trains fresh seeds of an entrant, by the suite and settings of its records; what records do not hold is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from equibench.errors import UserError
from equibench.judge.rerun import Rerun, rebuilt, suite_of, threads_of
from equibench.record import find
from equibench.record.schema import Record

if TYPE_CHECKING:
    from equibench.run.crew import Crew
    from equibench.run.session import Session
    from equibench.run.taking import Finished
    from equibench.suite import Cell


@dataclass(frozen=True)
class Trainer:
    """`files`: where the records of the run lie, by key. `tell` hears of each cell that is done, and `crew` says who
    does a session's cells; None has each done in its turn.
    """

    files: Mapping[str, Path]
    out: Path
    given: Rerun
    tell: Callable[[Finished], None] = lambda done: None
    crew: Callable[[Session], Crew | None] = lambda session: None

    def __call__(self, row: Mapping[int, Record], seeds: Sequence[int]) -> list[Record]:
        """Records of these seeds of the entrant whose records are in `row`; those that are there already are taken.

        Raises UserError where the suite, the data, the feature network or the code are not those of the run.
        """
        from equibench.run.loop import run_cells

        one, found = row[min(row)], []
        with threads_of(one):
            cell, session = rebuilt(one, self.files[one.key], self.given, self.out)
            _refuse_other(one, cell, session)
            session = replace(session, wanted=tuple(replace(cell, seed=seed) for seed in seeds))
            for done in run_cells(session, lambda cell, doing, share: None, crew=self.crew(session)):
                self.tell(done)
                found.append(done.record)
        return sorted(found, key=lambda record: record.seed)


def trainer(
    results: Sequence[Path],
    out: Path,
    given: Rerun,
    tell: Callable[[Finished], None],
    crew: Callable[[Session], Crew | None] = lambda session: None,
) -> Trainer:
    """For the records at `results`. Raises UserError where a suite is not to be had, now and not once it is needed."""
    found = find.read_all(list(results))
    for one in _trained(one for _, one in found):
        suite_of(one, given)
    return Trainer({one.key: path for path, one in found}, out, given, tell, crew)


def _trained(records: Iterable[Record]) -> list[Record]:
    """One record for each suite of which entrants were trained."""
    return list({one.suite: one for one in records if one.role == "entrant" and one.budget}.values())


def _refuse_other(one: Record, cell: Cell, session: Session) -> None:
    """Raises UserError for a suite that is not the run's, as far as this machine can tell (a cell's key holds the
    machine's), and for other code.
    """
    from equibench.machine.code import record_changed
    from equibench.machine.provenance import describe_machine

    fields = cell.entrant.config if cell.entrant else {}
    changed = one.config and any(one.config.get(name) != value for name, value in fields.items())
    here = describe_machine(session.device).key == one.machine.key
    if changed or (here and session.key(cell) != one.key):
        raise UserError(
            f"the suite {cell.suite.name} has other settings than {one.entrant} was run with, so that fresh seeds "
            "would be of another recipe; give the run's own by --suite"
        )
    if why := record_changed(one, session.own(cell)):
        raise UserError(
            f"the record of {one.entrant} {why}, so that fresh seeds would be of another version; run the suite again"
        )
