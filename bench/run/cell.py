"""Runs one cell: data -> train or load -> the stages of measuring -> record. The only place with a broad `except`: a
cell, or a stage of it, that fails is a reason in its record, and the others go on.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import NamedTuple

from equibench.errors import UserError, first_line
from equibench.machine.clock import Clock
from equibench.machine.device import is_out_of_memory, synchronizer
from equibench.machine.provenance import code_version, describe_machine, package_versions
from equibench.measure.features.extractor import FeaturesError
from equibench.measure.likelihood.bounds import NotFiniteError
from equibench.measure.likelihood.floors import floor
from equibench.measure.quality.reference import features_of
from equibench.record import files as record_files
from equibench.record.budget import budget_missed
from equibench.record.schema import Record, Results, Status
from equibench.run.obtain import obtain, scalars
from equibench.run.plan import plan
from equibench.run.session import Session, Tell
from equibench.run.stages import STAGES, Found, Work
from equibench.run.train import DivergedError
from equibench.suite import Cell


class TimedOutError(Exception):
    """A cell took longer than its suite allows."""


class Ending(NamedTuple):
    """What became of a cell."""

    found: Found
    status: Status = "ok"
    reason: str | None = None


def run_cell(
    cell: Cell, session: Session, tell: Tell = lambda what, share: None, start_sec: float = 0.0
) -> tuple[Path, Record]:
    """The cell's record: the one that is there already, or a new one, written. `start_sec` is what it took to get here:
    the start of the program, or what follows the clock of the cell before. Raises UserError for a user's mistake; any
    other failure becomes the record's status, or the reason of an empty part.
    """
    path = session.path(cell)
    if path.exists():
        return path, record_files.read(path)
    clock = Clock(synchronize=synchronizer(session.device), before={"start": start_sec})
    ending = _floor(cell, session, clock) if cell.entrant is None else _entrant(cell, session, clock, tell)
    finished = Record(
        **dict(ending.found.results),
        key=session.key(cell),
        suite=session.suite.name,
        entrant=cell.name,
        role="floor" if cell.entrant is None else "entrant",
        family=cell.entrant.family if cell.entrant else None,
        seed=cell.seed,
        status=ending.status,
        reason=ending.reason,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data=session.data.info(),
        budget=None if session.loaded else cell.budget,
        clock=clock.seconds(),
        machine=describe_machine(session.device),
        versions=package_versions(),
        code=code_version(),
    )
    try:
        return record_files.write(finished, session.out, dict(ending.found.arrays)), finished
    except OSError as error:
        raise UserError(
            f"cannot write the record {path} ({error.strerror}); make room or give another --out, and run again: what "
            "was trained is kept"
        ) from None


def _entrant(cell: Cell, session: Session, clock: Clock, tell: Tell) -> Ending:
    assert cell.entrant is not None
    tell = _in_time(tell, clock, session.suite.cell_limit_sec)
    found = Found()
    try:
        model, results = obtain(cell, session, clock, tell)
        found = Found(results)
        config = model.config.model_dump()
        work = Work(session, model, cell.entrant.family, config, cell.entrant.sampler, cell.seed, clock, tell)
        for name in STAGES:
            found = run_stage(name, work, found)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if not found.results.config and not session.loaded:
            found = Found(Results(config=scalars(plan(cell, session.data.shape).config)))
        return Ending(found, *_failure(error))
    return _ending(cell, session, found)


def run_stage(name: str, work: Work, found: Found) -> Found:
    """What the stages found with that one's added, or with the reason why it failed. Raises UserError and
    TimedOutError, which end the cell.
    """
    try:
        return STAGES[name](work, found)
    except TimedOutError:
        raise
    except UserError as error:
        if not isinstance(error, FeaturesError):
            raise
        return found.plus(failures={**found.results.failures, name: str(error)})
    except (Exception, SystemExit) as error:  # a family of a user's own may call sys.exit
        status, reason = _failure(error)
        why = reason if status in ("crashed", reason) else f"{status}: {reason}"
        return found.plus(failures={**found.results.failures, name: why})


def _floor(cell: Cell, session: Session, clock: Clock) -> Ending:
    measure, data = session.suite.measure, session.data
    try:
        if cell.name == "real data":
            with clock.part("features"):
                train = features_of(data.train[: measure.samples], session.extractor)
                _ = session.reference_features  # computed on first use
            with clock.part("quality"):
                return Ending(Found(Results(quality=session.quality(train, {}))))
        with clock.part("likelihood"):
            bits = floor(cell.name, data.train, data.test[: measure.likelihood_images])
        return Ending(Found(Results(likelihood=bits)))
    except UserError:
        raise
    except Exception as error:
        return Ending(Found(), *_failure(error))


def _ending(cell: Cell, session: Session, found: Found) -> Ending:
    """Of a cell whose stages all ran, some perhaps without success."""
    spent, failures = found.results.spent, found.results.failures
    missed = budget_missed(cell.budget, spent) if spent and cell.budget and not session.loaded else None
    if failures:
        parts = [*([missed] if missed else []), *(f"{name.replace('_', ' ')}: {why}" for name, why in failures.items())]
        return Ending(found, "incomplete", "; ".join(parts))
    return Ending(found, "budget missed" if missed else "ok", missed)


def _in_time(tell: Tell, clock: Clock, limit_sec: float | None) -> Tell:
    """`tell`, which raises TimedOutError once the cell has taken longer than its suite allows."""

    def tell_in_time(what: str, share: float) -> None:
        if limit_sec is not None and (taken_sec := clock.elapsed("start")) > limit_sec:
            raise TimedOutError(f"stopped in {what} after {taken_sec:.3g} s; the suite allows {limit_sec:g} s a cell")
        tell(what, share)

    return tell_in_time


def _failure(error: BaseException) -> tuple[Status, str]:
    text = first_line(error)
    if isinstance(error, DivergedError | NotFiniteError):
        return "diverged", text
    if isinstance(error, TimedOutError):
        return "timed out", text
    if is_out_of_memory(error):
        return "out of memory", text
    return "crashed", f"{type(error).__name__}: {text}"
