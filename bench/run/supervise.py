"""A cell in a process of its own: what may not be lost with it is on disk, and how it ended becomes the record."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from equibench.errors import UserError
from equibench.record.schema import Record, Status
from equibench.run.attempts import MOST_DEATHS, Tries
from equibench.run.cell import Ending, configured, publish
from equibench.run.isolated import isolated_plan
from equibench.run.process import Watched, run_process
from equibench.run.session import Session, Tell
from equibench.run.stages import stages_of
from equibench.run.unfinished import Progress, Unfinished
from equibench.run.work import Found
from equibench.run.worker import Task, machine_failed
from equibench.suite import Cell


def run_cell(
    cell: Cell,
    session: Session,
    tell: Tell = lambda what, share: None,
    begun_sec: float | None = None,
    alive: Callable[[str, float], None] = lambda doing, share: None,
) -> tuple[Path, Record]:
    """The cell's record, written. A process that ends as a stage of measuring runs leaves that stage empty, with the
    reason, and another goes on with the stages after it.

    `begun_sec`, since the epoch, is when what the clock calls the start began: that of the program, or the end of the
    cell before. `alive` hears about every second that the cell is being worked on.
    Raises UserError for a user's mistake and where the machine has failed, with all that was done kept.
    """
    unfinished = Unfinished(session.folder(cell).absolute())
    identity = session.identity(cell)
    # the entrant's own code may change the working folder of its process
    bare = dataclasses.replace(session.bare, out=session.out.absolute())
    begun_sec = time.time() if begun_sec is None else begun_sec
    tries = Tries(unfinished, identity)
    while True:
        task = Task(cell, bare, unfinished, identity, torch.get_num_threads(), begun_sec)
        with _told(cell):
            deaths = tries.begin()
        ended_well = False
        if deaths >= MOST_DEATHS:
            _give_up(task, session, alive)
        else:
            ended_well = _try(task, session, tries, tell, alive)
        if unfinished.progress_of(identity).status is not None:
            break
        begun_sec = time.time()
    progress, found = unfinished.load(identity)
    assert progress.status is not None
    clock = {**progress.clock, "wall": sum(progress.clock.values())}
    attempts = tries.all(found.results.spent.updates if found.results.spent else None)
    path, record = publish(cell, session, Ending(found, progress.status, progress.reason), clock, attempts)
    if ended_well:
        unfinished.remove(record.status == "incomplete")
    else:  # what its process said before it ended is worth keeping, and a training that ran out of time
        unfinished.clear()
        tries.forget()
    return path, record


def _try(task: Task, session: Session, tries: Tries, tell: Tell, alive: Callable[[str, float], None]) -> bool:
    """Do the cell in a process, and keep what became of it: its status is None where others of its stages are still to
    come. Whether the process ended well.
    """
    cell, unfinished, identity = task.cell, task.unfinished, task.identity
    try:
        watched = run_process(task, _left_sec(session, unfinished.progress_of(identity)), tell, alive)
    except KeyboardInterrupt:
        tries.end("the run was stopped")
        raise
    alive(watched.doing, 1.0)  # raises if another process took the cell over, before anything is written
    if not watched.done:
        with _told(cell):
            tries.end(watched.mistake or watched.how or "it took longer than the suite allows a cell")
    if watched.mistake:
        raise UserError(watched.mistake)
    if not watched.ready:
        how = "its process was not ready in time" if watched.timed_out else watched.how
        raise UserError(
            f"{cell.name} with seed {cell.seed} was not begun: {how} as it got the data and the feature network "
            f"{session.extractor.info.name}; mend that and run again: what was done is kept"
        )
    progress, found = unfinished.load(identity)
    if not watched.done or progress.status is None:
        ending = _verdict(cell, session, watched, progress, found, partial(alive, watched.doing, 1.0))
        _keep(unfinished, progress, ending, task.begun_sec)
    return watched.done


def _give_up(task: Task, session: Session, alive: Callable[[str, float], None]) -> None:
    """The cell ended the whole program each time that it was tried, and never got any further: that is its result."""
    progress, found = task.unfinished.load(task.identity)
    at = next((name for name in stages_of(task.cell, session) if name not in progress.done), "the end")
    place = at.replace("_", " ") if found.results.weights_sha256 else "train"
    reason = (
        f"the whole program was killed, or its machine stopped, {MOST_DEATHS} times in {place} without getting any "
        "further; `run --retry` tries again"
    )
    planned = partial(isolated_plan, alive=partial(alive, "plan", 0.0))
    ending = Ending(configured(task.cell, session, found, planned), "crashed", reason)
    _keep(task.unfinished, progress, ending, task.begun_sec)


@contextlib.contextmanager
def _told(cell: Cell) -> Iterator[None]:
    """What cannot be written in here is said in a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(machine_failed(cell, error)) from None


def _left_sec(session: Session, before: Progress) -> float | None:
    """What is left of the seconds that the suite allows a cell, which its start is not part of."""
    limit_sec = session.suite.cell_limit_sec
    if limit_sec is None:
        return None
    return max(limit_sec - sum(sec for part, sec in before.clock.items() if part != "start"), 0.0)


def _verdict(
    cell: Cell, session: Session, watched: Watched, progress: Progress, found: Found, alive: Callable[[], None]
) -> Ending:
    """What a process that did not end well means for its cell: "ok" where others of its stages are still to come."""
    planned = partial(isolated_plan, alive=alive)
    if watched.timed_out:
        limit_sec = session.suite.cell_limit_sec
        reason = f"stopped in {watched.doing} as it had taken the {limit_sec:g} s that the suite allows a cell"
        return Ending(configured(cell, session, found, planned), "timed out", reason)
    status: Status = "out of memory" if watched.out_of_memory else "crashed"
    reason = f"{watched.how or 'what its process had found was gone at the end'} in {watched.doing}"
    at = next((name for name in stages_of(cell, session) if name not in progress.done), None)
    if cell.entrant is None or not found.results.weights_sha256 or at is None:
        return Ending(configured(cell, session, found, planned), status, reason)
    why = f"{status}: {reason}" if status == "out of memory" else reason
    progress.done.append(at)
    return Ending(found.failed(at, why))


def _keep(unfinished: Unfinished, progress: Progress, ending: Ending, begun_sec: float) -> None:
    """The verdict, in place of what the process would have kept. Its time since its last word is of no part."""
    lost_sec = max(time.time() - max(progress.ended_sec, begun_sec), 0.0)
    clock = {**progress.clock, "other": progress.clock.get("other", 0.0) + lost_sec}
    status = None if ending.status == "ok" else ending.status
    changes = {"clock": clock, "status": status, "reason": ending.reason, "ended_sec": time.time()}
    unfinished.save(progress.model_copy(update=changes), ending.found)
