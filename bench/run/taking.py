"""Takes a cell for this process, among any number that work in one folder, and shows that it is being worked on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from equibench.errors import UserError
from equibench.record import files as record_files
from equibench.record.schema import Record
from equibench.run import claims
from equibench.run.session import Session
from equibench.run.weights import set_aside, weights_of
from equibench.suite import Cell


class Finished(NamedTuple):
    """A cell that is done; `found`: its record was there already, or another process wrote it meanwhile."""

    cell: Cell
    path: Path
    record: Record
    found: bool


class LostError(Exception):
    """Another process has taken the cell over."""


class Beat:
    """Shows that this process works on a cell, no oftener than others have to look. Raises LostError."""

    def __init__(self, claim: claims.Claim) -> None:
        self._claim, self._last_sec = claim, -claims.BEAT_SEC

    def __call__(self, doing: str, share: float) -> None:
        if time.monotonic() - self._last_sec >= claims.BEAT_SEC:
            self._last_sec = time.monotonic()
            if self._claim.is_lost():
                raise LostError
            self._claim.beat(doing, share)


def take(
    cell: Cell, session: Session, observer: claims.Observer, again: Record | None
) -> Finished | claims.Claim | None:
    """A claim on the cell, which is to be done now; or the cell, done before; None where another process is working on
    it. `again`: the record to replace. Raises UserError.
    """
    path, folder = session.path(cell), session.folder(cell)
    if path.exists() and again is None:
        return Finished(cell, path, record_files.read(path), found=True)
    with writing(folder):
        try:
            claim = claims.take(folder, observer)
        except FileNotFoundError:  # its folder went as it was finished, just now
            return None
    if claim is None:
        return None
    if again is not None and path.exists() and _same(again, record_files.read(path)):
        with writing(path):
            _replace(path, again, session)
    if path.exists():  # it was finished between the look and the claim
        claim.give_back()
        return Finished(cell, path, record_files.read(path), found=True)
    return claim


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
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


def _replace(path: Path, record: Record, session: Session) -> None:
    """Keep a record that is to be replaced, out of sight. What was trained stays, unless the budget was missed; whether
    it may, if the code has changed since, is seen as it is loaded.
    """
    weights = [weights_of(path)] if record.status == "budget missed" else []
    for file in (path, path.with_suffix(".npz"), *weights):
        set_aside(file, session.out, record.created)
