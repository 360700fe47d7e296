"""The loop over the cells of a run, which any number of processes may work on at once."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from equibench.errors import UserError
from equibench.machine import processes
from equibench.record import files as record_files
from equibench.record.schema import Record
from equibench.run import claims
from equibench.run.isolated import isolated_plan
from equibench.run.session import Session, Tell
from equibench.run.standing import Again, look_over
from equibench.run.status import want
from equibench.run.supervise import run_cell
from equibench.run.weights import set_aside, weights_of
from equibench.suite import Cell

LOOK_SEC = 1.0  # between two looks at cells that others are working on


class Finished(NamedTuple):
    """A cell that is done; `found`: its record was there already, or another process wrote it meanwhile."""

    cell: Cell
    path: Path
    record: Record
    found: bool


def run_cells(
    session: Session,
    tell: Callable[[Cell, str, float], None],
    retry: bool = False,
    announce: Callable[[list[Again]], None] = lambda again: None,
) -> Iterator[Finished]:
    """Run the suite's cells in their order, each as it is asked for and in a process of its own; those that another
    process is working on come last, as it finishes them or ends. `tell` hears of each what is being done, and the share
    done. `retry`: cells whose record is not "ok" are done again. `announce` hears first what is there and does not
    stand for what runs now, so that it is made again; what that replaces is kept.

    Raises UserError, before anything is trained, for a mistake in any entrant; and where the machine fails, with what
    was done kept.
    """
    processes.adopt_orphans()
    processes.warm_up()
    todo = list(session.cells)
    for cell in todo:
        if cell.entrant is not None and not cell.loaded:
            isolated_plan(cell, session.data.shape)
    with _writing(session.out):
        want(session.out, session.suite.name, [(cell.name, cell.seed, session.path(cell)) for cell in todo])
    # of the time now, what no record's clock holds yet: it is the next one's
    begun_sec = psutil.Process().create_time()
    observer = claims.Observer()
    # records are read before anything is trained: one that cannot be read is to be mended first
    looked = look_over(session, retry)
    announce(looked)
    again = {session.path(one.cell): one.record for one in looked if one.record}
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
                    session = _knowing(session, done.record)
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
    path, folder = session.path(cell), session.folder(cell)
    if path.exists() and again is None:
        return Finished(cell, path, record_files.read(path), found=True)
    with _writing(folder):
        try:
            claim = claims.take(folder, observer)
        except FileNotFoundError:  # its folder went as it was finished, just now
            return None
    if claim is None:
        return None
    if again is not None and path.exists() and _same(again, record_files.read(path)):
        with _writing(path):
            _replace(path, again, session)
    if path.exists():  # it was finished between the look and the claim
        claim.give_back()
        return Finished(cell, path, record_files.read(path), found=True)
    beat = _Beat(claim)
    beat("start", 0.0)
    try:
        path, record = run_cell(cell, session, tell, begun_sec, beat)
    except _LostError:  # it was stopped for long: what the other makes of the cell stands
        return None
    finally:
        claim.give_back()
    return Finished(cell, path, record, found=False)


@contextlib.contextmanager
def _writing(where: Path) -> Iterator[None]:
    """What cannot be written in here is said in a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {where} ({error.strerror}); make room or give another --out, and run again: what was "
            "done is kept"
        ) from None


def _same(before: Record, now: Record) -> bool:
    """Whether nobody has done the cell again meanwhile. NaN, which is not equal to itself, is the same as text."""
    return before.model_dump_json() == now.model_dump_json()


class _LostError(Exception):
    """Another process has taken the cell over."""


class _Beat:
    """Shows that this process works on a cell, no oftener than others have to look. Raises _LostError."""

    def __init__(self, claim: claims.Claim) -> None:
        self._claim, self._last_sec = claim, -claims.BEAT_SEC

    def __call__(self, doing: str, share: float) -> None:
        if time.monotonic() - self._last_sec >= claims.BEAT_SEC:
            self._last_sec = time.monotonic()
            if self._claim.is_lost():
                raise _LostError
            self._claim.beat(doing, share)


def _replace(path: Path, record: Record, session: Session) -> None:
    """Keep a record that is to be replaced, out of sight. What was trained stays, unless the budget was missed; whether
    it may, if the code has changed since, is seen as it is loaded.
    """
    weights = [weights_of(path)] if record.status == "budget missed" else []
    for file in (path, path.with_suffix(".npz"), *weights):
        set_aside(file, session.out, record.created)


def _knowing(session: Session, record: Record) -> Session:
    """With what a cell measured for all that follow."""
    if session.known_products or record.matrix_products is None:
        return session
    return dataclasses.replace(session, known_products=record.matrix_products)
