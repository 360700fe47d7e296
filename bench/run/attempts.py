"""The tries at one cell, on disk: each is noted as it begins, so that one that was killed with its whole program, and
could say nothing, is known of by the next.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from dataclasses import dataclass
from pathlib import Path

from equibench import atomic
from equibench.machine.code import what_runs
from equibench.record.base import Strict
from equibench.record.surroundings import Attempt
from equibench.run.kept import peek
from equibench.run.status import ATTEMPTS
from equibench.run.unfinished import Unfinished

MOST_DEATHS = 3  # without progress; then the cell is the reason, whatever kills it
KILLED = "it was killed, or its machine stopped"


class Noted(Strict):
    """An attempt, and where the cell stood as it began."""

    attempt: Attempt
    stood_at: str
    started: bool = False  # its process had data and feature network: what ended it after may be the cell's doing
    died: bool = False  # with its whole program
    begun_sec: float = 0.0  # since the epoch


class Attempts(Strict):
    """The attempts at one identity of a cell, in their order."""

    identity: str
    code: str  # for `status`, which cannot work out an identity
    noted: list[Noted] = []


@dataclass
class Tries:
    """Keeps them in the folder of an unfinished cell. Raises OSError where they cannot be written."""

    unfinished: Unfinished
    identity: str

    def begin(self) -> int:
        """Note that a try begins. Gives how many before it died in a row where the cell stands now, each with its whole
        program and without having got any further; those that died before the cell itself was begun do not count.
        """
        noted, here = self._load(), self._stands_at()
        if noted and noted[-1].attempt.ended is None:
            noted[-1] = self._ended(noted[-1], KILLED, died=True)
        deaths = 0
        for one in reversed(noted):
            if not one.died or one.stood_at != here:
                break
            deaths += one.started
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        attempt = Attempt(name=str(len(noted) + 1), begun=now, from_updates=self._updates())
        self._save([*noted, Noted(attempt=attempt, stood_at=here, begun_sec=time.time())])
        return deaths

    def start(self) -> None:
        """Note that the cell itself is begun."""
        if noted := self._load():
            self._save([*noted[:-1], noted[-1].model_copy(update={"started": True})])

    def end(self, why: str) -> None:
        """Note why the try that goes on ended without a record."""
        noted = self._load()
        if noted and noted[-1].attempt.ended is None:
            self._save([*noted[:-1], self._ended(noted[-1], why)])

    def all(self, updates: int | None) -> list[Attempt]:
        """All attempts as a record holds them, where there were several; the last one gave it, after so many updates in
        all.
        """
        noted = self._load()
        if len(noted) < 2:
            return []
        *before, last = noted
        changes = {"to_updates": updates, "sec": max(time.time() - last.begun_sec, 0.0), "ended": None}
        return [*(one.attempt for one in before), last.attempt.model_copy(update=changes)]

    def forget(self) -> None:
        """The record is written; who tries the cell again begins to count anew."""
        self._file.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        return self.unfinished.folder / ATTEMPTS

    def _load(self) -> list[Noted]:
        with contextlib.suppress(OSError, ValueError):
            found = Attempts.model_validate_json(self._file.read_bytes())
            if found.identity == self.identity:
                return list(found.noted)
        return []

    def _save(self, noted: list[Noted]) -> None:
        whole = Attempts(identity=self.identity, code=what_runs(), noted=noted).model_dump(mode="json")
        atomic.write(self._file, json.dumps(whole, ensure_ascii=False).encode(errors="replace"))

    def _ended(self, one: Noted, why: str, died: bool = False) -> Noted:
        sec = None if died else max(time.time() - one.begun_sec, 0.0)
        changes = {"ended": why, "to_updates": self._updates(), "sec": sec}
        return one.model_copy(update={"attempt": one.attempt.model_copy(update=changes), "died": died})

    def _updates(self) -> int:
        """The updates of a training that goes on from where it was kept; for one that is over, what it took in all."""
        if spent := self.unfinished.progress_of(self.identity).results.spent:
            return spent.updates
        training = peek(self.unfinished.training)
        return training.updates if training and training.identity == self.identity else 0

    def _stands_at(self) -> str:
        """What changes as the cell gets further: the stages that are done, the updates that are kept."""
        done = self.unfinished.progress_of(self.identity).done
        return f"{self._updates()} updates, {len(done)} stages"
