"""A cell's own process: what runs in it, and what it says to the process that waits for it.

What it finds goes to the cell's folder; the socket carries short messages in JSON, each whole or not at all, of which
none is the result.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import Any

import torch

from equibench.errors import UserError, is_of_the_machine
from equibench.machine import processes
from equibench.machine.clock import Clock
from equibench.machine.device import asked_precision, synchronizer, work_on
from equibench.record.cost import Memory, ModeSpeed
from equibench.run.attempts import Tries
from equibench.run.cell import Ending, measure_cell
from equibench.run.ranks import TeamExtractor, lead
from equibench.run.session import Session
from equibench.run.train import StoppedError
from equibench.run.unfinished import Unfinished
from equibench.suite import Cell

LONGEST_MESSAGE = 2**15  # bytes
LOOK_SEC = 0.5  # between two looks at whether to stop, where another process works
TELL_SEC = 0.1  # between two messages of how far the work is
NOBODY = "nobody waits for it any more"


@dataclass(frozen=True)
class Task:
    """A cell, and what its process needs; `session` is without the feature network, which no process can be handed."""

    cell: Cell
    session: Session
    unfinished: Unfinished
    identity: str  # of the cell, as the process that waits for it has it
    threads: int
    begun_sec: float  # since the epoch: when what the cell's clock counts as its start began


class Messenger:
    """The worker's end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._last, self._last_sec = "", 0.0
        self.stopping = False

    def stop(self, *_: object) -> None:
        """Handler of a signal: the work stops where it can be kept."""
        self.stopping = True

    def tell(self, what: str, share: float) -> None:
        """How far the work is. Raises StoppedError where it should stop; training does so after its update."""
        if self.stopping and what != "train":
            raise StoppedError(f"{what} was stopped")
        if what != self._last or time.monotonic() - self._last_sec > TELL_SEC:
            self._last, self._last_sec = what, time.monotonic()
            self.send({"doing": what[:200], "share": share})

    def send(self, message: dict[str, Any]) -> None:
        """Raises StoppedError where nobody listens any more: the program was killed, and this process will be."""
        try:
            self._end.send(json.dumps(message).encode()[:LONGEST_MESSAGE])
        except ConnectionError as error:  # of the socket: a stage must not take it for a failure of its own
            raise StoppedError(NOBODY) from error

    def waits(self, begins: bool) -> None:
        """Say that a wait for the device begins or ends, which no limit of the cell counts."""
        self.send({"waits": begins})

    def peak_memory(self, *arguments: Any, **named: Any) -> Memory:
        return Memory.model_validate_json(self._apart("memory", arguments, named))

    def mode_speed(self, *arguments: Any, **named: Any) -> ModeSpeed:
        return ModeSpeed.model_validate_json(self._apart("speed", arguments, named))

    def _apart(self, stage: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> bytes:
        """The waiting process has it measured: the processes that it takes are not this one's to start."""
        plain = [dict(one) if isinstance(one, Mapping) else one for one in arguments[:-1]]
        self.send({"apart": [stage, [*plain, str(arguments[-1])], named, asked_precision()]})
        while not connection.wait([self._end], timeout=LOOK_SEC):
            self.tell(stage, 0.0)
        try:
            answer = self._end.recv(LONGEST_MESSAGE)
        except ConnectionError:
            answer = b""
        if not answer:
            raise StoppedError(NOBODY)
        return answer


def work(task: Task, end: socket.socket) -> None:
    """Measure the task's cell, in a process that the fork server made."""
    processes.settle(task.unfinished.output)
    messenger = Messenger(end)
    signal.signal(signal.SIGTERM, messenger.stop)
    try:
        _measure(task, messenger)
    except StoppedError:
        with contextlib.suppress(StoppedError):
            messenger.send({"stopped": True})
    except UserError as error:
        messenger.send({"mistake": str(error)[:2000]})
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        messenger.send({"mistake": machine_failed(task.cell, error)})


def machine_failed(cell: Cell, error: OSError) -> str:
    """What to do about a full disk, a lost mount and the like."""
    where = f" ({error.filename})" if error.filename else ""
    return (
        f"{cell.name} with seed {cell.seed} cannot go on: {error.strerror}{where}; make room or mend it and run again: "
        "what was done is kept"
    )


def _measure(task: Task, messenger: Messenger) -> None:
    torch.set_num_threads(task.threads)
    session, cell = task.session, task.cell
    device_lock = replace(session.device_lock, waits=messenger.waits)
    device_lock.acquire_shared()
    work_on(session.device)
    session = replace(
        session.equipped(),
        peak_memory=messenger.peak_memory,
        mode_speed=messenger.mode_speed,
        device_lock=device_lock,
    )
    if session.identity(cell) != task.identity:
        raise UserError(
            f"what {cell.name} is measured with changed as the run went on: code, a package or the feature network "
            f"{session.extractor.info.name}; run again"
        )
    if session.ranks and cell.entrant:
        team = lead(session.ranks, cell, session.device)
        together = TeamExtractor(**vars(session.extractor), team=team)
        session = replace(session, team=team, extractor=together)
    before = task.unfinished.progress_of(task.identity).clock
    start_sec = before.get("start", 0.0) + max(time.time() - task.begun_sec, 0.0)
    clock = Clock(synchronize=synchronizer(session.device), before={**before, "start": start_sec})
    messenger.send({"ready": True})
    Tries(task.unfinished, task.identity).start()
    ending = measure_cell(cell, session, clock, messenger.tell, lambda: messenger.stopping, task.unfinished)
    finish(task.unfinished, task.identity, ending, clock)
    if session.team:
        session.team.order("end")
        session.team.leave()
    messenger.send({"done": True})


def finish(unfinished: Unfinished, identity: str, ending: Ending, clock: Clock) -> None:
    """Keep how the cell ended, for the process that writes its record. Raises OSError."""
    progress = unfinished.progress_of(identity)
    changes = {"clock": clock.parts(), "status": ending.status, "reason": ending.reason, "ended_sec": time.time()}
    unfinished.save(progress.model_copy(update=changes), ending.found)
