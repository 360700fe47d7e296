"""Runs the cells of a suite: data -> train or load -> sample -> measure -> record. The only file that knows this
order, and the only broad `except`: a cell that fails is a record with a reason, and the others go on.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from equibench.errors import UserError
from equibench.machine.clock import Clock
from equibench.machine.device import is_out_of_memory, synchronizer
from equibench.machine.provenance import code_version, describe_machine, package_versions
from equibench.measure.likelihood import bounds
from equibench.record import files as record_files
from equibench.record.budget import budget_missed
from equibench.record.schema import Record, Status
from equibench.run.session import Session, Tell
from equibench.run.stages import measure_entrant, measure_floor
from equibench.run.train import DivergedError
from equibench.suite import Cell


class TimedOutError(Exception):
    """A cell took longer than its suite allows."""


def run_cell(
    cell: Cell, session: Session, tell: Tell = lambda what, share: None, start_sec: float = 0.0
) -> tuple[Path, Record]:
    """The cell's record: the one that is there already, or a new one, written. `start_sec` is what it took to get here:
    the start of the program, or what follows the clock of the cell before. Raises UserError for a user's mistake; any
    other failure becomes the record's status.
    """
    path = session.path(cell)
    if path.exists():
        return path, record_files.read(path)
    clock = Clock(synchronize=synchronizer(session.device), before={"start": start_sec})
    limit_sec = session.suite.cell_limit_sec

    def tell_in_time(what: str, share: float) -> None:
        if limit_sec is not None and (taken_sec := clock.elapsed("start")) > limit_sec:
            raise TimedOutError(f"stopped in {what} after {taken_sec:.3g} s; the suite allows {limit_sec:g} s a cell")
        tell(what, share)

    parts: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    status: Status = "ok"
    reason: str | None = None
    try:
        if cell.entrant is None:
            measure_floor(cell, session, clock, parts)
        else:
            measure_entrant(cell, session, clock, parts, arrays, tell_in_time)
        if (spent := parts.get("spent")) and cell.budget and not session.loaded:
            reason = budget_missed(cell.budget, spent)
            status = "budget missed" if reason else "ok"
    except UserError:
        raise
    except Exception as error:
        status, reason = _failure(error)
    finished = Record(
        key=session.key(cell),
        suite=session.suite.name,
        entrant=cell.name,
        role="floor" if cell.entrant is None else "entrant",
        family=cell.entrant.family if cell.entrant else None,
        seed=cell.seed,
        status=status,
        reason=reason,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data=session.data.info(),
        budget=None if session.loaded else cell.budget,
        clock=clock.seconds(),
        machine=describe_machine(session.device),
        versions=package_versions(),
        code=code_version(),
        **parts,
    )
    return record_files.write(finished, session.out, arrays), finished


def _failure(error: Exception) -> tuple[Status, str]:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, DivergedError | bounds.NotFiniteError):
        return "diverged", text
    if isinstance(error, TimedOutError):
        return "timed out", text
    if is_out_of_memory(error):
        return "out of memory", text
    return "crashed", f"{type(error).__name__}: {text}"
