"""The loop over the cells of a run, which any number of processes may work on at once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil

from equibench.machine import processes
from equibench.record.schema import Record
from equibench.run import claims
from equibench.run.arithmetic import check_arithmetic
from equibench.run.crew import LOOK_SEC, Crew, work_at_once
from equibench.run.isolated import isolated_plan
from equibench.run.session import Session, Tell
from equibench.run.standing import Again, look_over
from equibench.run.status import want
from equibench.run.supervise import run_cell
from equibench.run.taking import Beat, Finished, LostError, take, writing
from equibench.suite import Cell


def run_cells(
    session: Session,
    tell: Callable[[Cell, str, float], None],
    retry: bool = False,
    announce: Callable[[list[Again]], None] = lambda again: None,
    crew: Crew | None = None,
) -> Iterator[Finished]:
    """Run the suite's cells in their order, each as it is asked for and in a process of its own; those that another
    process is working on come last, as it finishes them or ends. `tell` hears of each what is being done, and the share
    done. `retry`: cells whose record is not "ok" are done again. `announce` hears first what is there and does not
    stand for what runs now, so that it is made again; what that replaces is kept. With a `crew` several are done at
    once.

    Raises UserError, before anything is trained, for a mistake in any entrant; and where the machine fails, with what
    was done kept.
    """
    processes.adopt_orphans()
    processes.warm_up()
    todo = list(session.cells)
    for cell in todo:
        if session.machine_key is None:  # cells run here
            check_arithmetic(cell, session.device)
        if cell.entrant is not None and not cell.loaded:
            isolated_plan(cell, session.data.shape)
    with writing(session.out):
        want(session.out, session.suite.name, [(cell.name, cell.seed, session.path(cell)) for cell in todo])
    # time since then that no record's clock holds counts as the start of the next cell
    begun_sec = psutil.Process().create_time()
    observer = claims.Observer()
    # records are read before anything is trained: one that cannot be read is to be mended first
    looked = look_over(session, retry)
    announce(looked)
    again = {session.path(one.cell): one.record for one in looked if one.record}
    if crew is not None:
        yield from work_at_once(session, crew, again, tell)
        return
    try:
        while todo:
            held = []
            for cell in todo:
                done = _one(cell, session, observer, partial(tell, cell), begun_sec, again.get(session.path(cell)))
                if done is None:
                    held.append(cell)
                    again.pop(session.path(cell), None)  # what the other makes of it stands
                    continue
                if not done.found:
                    begun_sec = time.time()
                    session = knowing(session, done.record)
                yield done
            todo = held
            if held:
                tell(held[0], "done by another process", 0.0)
                time.sleep(LOOK_SEC)
    finally:
        processes.end_all()


def _one(
    cell: Cell, session: Session, observer: claims.Observer, tell: Tell, begun_sec: float, again: Record | None
) -> Finished | None:
    """The cell, done now or before; None where another process is working on it. `again`: the record to replace."""
    there = take(cell, session, observer, again)
    if not isinstance(there, claims.Claim):
        return there
    beat = Beat(there)
    beat("start", 0.0)
    try:
        path, record = run_cell(cell, session, tell, begun_sec, beat)
    except LostError:  # it was stopped for long: what the other makes of the cell stands
        return None
    finally:
        there.give_back()
    return Finished(cell, path, record, found=False)


def knowing(session: Session, record: Record) -> Session:
    """With what a cell measured for all that follow."""
    if session.known_products or record.matrix_products is None:
        return session
    return dataclasses.replace(session, known_products=record.matrix_products)
