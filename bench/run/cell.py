"""One cell, in this process: data -> train or load -> the stages of measuring -> record. The only place with a broad
`except`: a cell, or a stage of it, that fails is a reason in its record, and the others go on. Who may not be ended by
it either, as it crashes or hangs, gives it a process of its own: supervise.py.
"""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from equibench.errors import UserError, is_of_the_machine
from equibench.hashing import digest
from equibench.machine.clock import Clock
from equibench.machine.code import code_version, package_versions
from equibench.machine.device import synchronizer
from equibench.machine.numerics import libraries, numerics
from equibench.record import files as record_files
from equibench.record.budget import budget_missed
from equibench.record.schema import Record, Status
from equibench.record.surroundings import Attempt
from equibench.run.arithmetic import compilation, multiplying_as
from equibench.run.floors import measure_floor
from equibench.run.kept import Keeping
from equibench.run.loaded import scalars
from equibench.run.obtain import obtain
from equibench.run.plan import Plan, plan
from equibench.run.session import Session, Tell
from equibench.run.stages import STAGES, TIMED, stages_of
from equibench.run.status import POINTS
from equibench.run.train import StoppedError, Watch
from equibench.run.unfinished import Progress, Unfinished
from equibench.run.work import Found, Work, attempt, failure
from equibench.suite import Cell
from equibench_models.contract import Shape


class Ending(NamedTuple):
    """What became of a cell."""

    found: Found
    status: Status = "ok"
    reason: str | None = None


def measure_cell(
    cell: Cell,
    session: Session,
    clock: Clock,
    tell: Tell = lambda what, share: None,
    stopping: Callable[[], bool] = lambda: False,
    unfinished: Unfinished | None = None,
) -> Ending:
    """Train or load the cell's model and measure it. With `unfinished` each stage is kept as it is done, and what was
    kept before is not done again.

    Raises UserError for a user's mistake and OSError where the machine has failed, a full disk say, neither of which is
    the cell's; StoppedError where `stopping` says so. Any other failure becomes the status, or the reason of an empty
    part.
    """
    with multiplying_as(cell):
        if cell.entrant is None:
            ending = _floor(cell, session, clock)
        else:
            ending = _entrant(cell, session, clock, tell, stopping, unfinished)
        of_features = "bfloat16" if session.extractor.bfloat16 else "float32"
        how = numerics(session.device, of_features, compilation(cell, session.device, team=session.team is not None))
    return ending._replace(found=ending.found.plus(numerics=how, libraries=libraries(session.device)))


def _entrant(
    cell: Cell,
    session: Session,
    clock: Clock,
    tell: Tell,
    stopping: Callable[[], bool],
    unfinished: Unfinished | None,
) -> Ending:
    assert cell.entrant is not None
    identity = session.identity(cell)
    progress, found = unfinished.load(identity) if unfinished else (Progress(identity=identity), Found())
    if unfinished and not progress.done:
        unfinished.clear()
    keeping = Keeping(unfinished.training, identity, session.suite.checkpoint_sec) if unfinished else None
    try:
        model, results = obtain(cell, session, clock, Watch(partial(tell, "train"), stopping=stopping), keeping)
        found = found if progress.done else Found(results)
        if unfinished:
            _keep(unfinished, progress, found, clock)  # that it is trained
        config = model.config.model_dump()
        work = Work(session, model, cell.entrant.family, config, cell.entrant.sampler, cell.seed, clock, tell)
        for name in stages_of(cell, session):
            if name not in progress.done:
                session.device_lock.yield_to_waiters()
                tell(name.replace("_", " "), 0.0)
                with session.device_lock.exclusive() if name in TIMED else nullcontext():
                    found = run_stage(name, work, found)
                progress.done.append(name)
                if unfinished:
                    _keep(unfinished, progress, found, clock)
    except (UserError, StoppedError):
        raise
    except (Exception, SystemExit) as error:
        if is_of_the_machine(error):
            raise
        return Ending(configured(cell, session, found), *failure(error))
    return finished(cell, found)


def run_here(cell: Cell, session: Session) -> tuple[Path, Record]:
    """The cell's record: the one that is there already, or a new one, written, measured in this process. For studies
    that put something of their own in place of a part of it; `supervise.run_cell` is for all else. Raises UserError.
    """
    path = session.path(cell)
    if path.exists():
        return path, record_files.read(path)
    clock = Clock(synchronize=synchronizer(session.device))
    written = publish(cell, session, measure_cell(cell, session, clock), clock.seconds())
    if written[1].status != "incomplete":
        shutil.rmtree(session.folder(cell) / POINTS, ignore_errors=True)
    return written


def _keep(unfinished: Unfinished, progress: Progress, found: Found, clock: Clock) -> None:
    unfinished.save(progress.model_copy(update={"clock": clock.parts(), "ended_sec": time.time()}), found)


def record_of(
    cell: Cell, session: Session, ending: Ending, clock_sec: dict[str, float], attempts: Sequence[Attempt] = ()
) -> Record:
    """The cell's record, not yet written. `clock_sec` is what its clock says."""
    tuning = cell.entrant.tuning if cell.entrant else None
    return Record(
        **dict(ending.found.plus(tuning=tuning).results),
        key=session.key(cell),
        measuring_sha256=digest([session.suite.measure.defining, cell.entrant.sampler if cell.entrant else {}]),
        suite=session.suite.name,
        entrant=cell.name,
        role="floor" if cell.entrant is None else "entrant",
        family=cell.entrant.family if cell.entrant else None,
        seed=cell.seed,
        status=ending.status,
        reason=ending.reason,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data=session.data.info(),
        budget=None if cell.loaded else cell.budget,
        clock=clock_sec,
        invocation=session.invocation,
        attempts=list(attempts),
        machine=session.machine,
        versions=package_versions(),
        code=code_version(session.own(cell)),
    )


def publish(
    cell: Cell, session: Session, ending: Ending, clock_sec: dict[str, float], attempts: Sequence[Attempt] = ()
) -> tuple[Path, Record]:
    """Write the cell's record, or take the one that another process has written meanwhile. Raises UserError."""
    record = record_of(cell, session, ending, clock_sec, attempts)
    path = session.path(cell)
    try:
        return record_files.write(record, session.out, dict(ending.found.arrays)), record
    except FileExistsError:
        return path, record_files.read(path)
    except OSError as error:
        raise UserError(
            f"cannot write the record {path} ({error.strerror}); make room or give another --out, and run again: what "
            "was trained is kept"
        ) from None


def run_stage(name: str, work: Work, found: Found) -> Found:
    """What the stages found with that one's added, or with the reason why it failed. Raises as `attempt` does."""
    added, with_reason = attempt(found, name, lambda: STAGES[name](work, found))
    return added or with_reason


def _floor(cell: Cell, session: Session, clock: Clock) -> Ending:
    try:
        return Ending(measure_floor(cell.name, session, clock))
    except UserError:
        raise
    except Exception as error:
        if is_of_the_machine(error):
            raise
        return Ending(Found(), *failure(error))


def configured(
    cell: Cell, session: Session, found: Found, planned: Callable[[Cell, Shape], Plan | None] = plan
) -> Found:
    """What was found, with the config that the plan gives where training did not come to say it; or else the suite."""
    if found.results.config or cell.loaded or cell.entrant is None:
        return found
    there = planned(cell, session.data.shape)
    return found.plus(config=scalars(there.config if there else cell.entrant.config))


def finished(cell: Cell, found: Found) -> Ending:
    """The ending of a cell whose stages all ran, some perhaps without success."""
    spent, failures = found.results.spent, found.results.failures
    missed = budget_missed(cell.budget, spent) if spent and cell.budget and not cell.loaded else None
    if failures:
        parts = [*([missed] if missed else []), *(f"{name.replace('_', ' ')}: {why}" for name, why in failures.items())]
        return Ending(found, "incomplete", "; ".join(parts))
    return Ending(found, "budget missed" if missed else "ok", missed)
