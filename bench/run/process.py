"""Waits for a cell's own process, whatever it does: crash, hang, exit, fill the disk with words, or end well."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from equibench.errors import LONGEST_REASON, UserError
from equibench.machine import processes
from equibench.machine.device import PRECISIONS, multiplying_in
from equibench.measure.cost import in_mode, memory
from equibench.record.cost import Memory, ModeSpeed
from equibench.run.session import Tell
from equibench.run.worker import LONGEST_MESSAGE, Task, work
from equibench.terminal import visible

STOP_SEC = 10.0  # for a process that was asked to stop, to keep what it has
START_SEC = 120.0  # for a process to import and read what it needs, which no limit of a cell counts
LOOK_SEC = 1.0  # between two looks at the clock and the output
LONGEST_OUTPUT = 2**20  # bytes of what a cell prints
MOST_MESSAGES = 1000  # at a time: some code may never stop talking


@dataclass
class Watched:
    """How a process ended. `doing` is what it was at, as it last said."""

    doing: str = "start"
    ready: bool = False  # it began with the cell itself: what ended it before was not the cell's own
    done: bool = False  # it said so, and ended well
    timed_out: bool = False
    out_of_memory: bool = False
    how: str = ""  # it ended, where not done
    mistake: str | None = None  # a sentence for the user, which ends the run


def run_process(
    task: Task, limit_sec: float | None, tell: Tell, alive: Callable[[str, float], None] = lambda doing, share: None
) -> Watched:
    """Do the task in a process of its own, and leave nothing of it behind. When the cell has taken `limit_sec` it is
    killed. `alive` hears of it about every second. Raises KeyboardInterrupt, after the process has kept what it has,
    and UserError where the system gives no process.
    """
    before, kills = processes.children(), processes.out_of_memory_kills()
    task.unfinished.folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    begun_sec = time.monotonic()
    process = processes.start(work, (task, theirs))
    theirs.close()
    watch = _Watch(process, ours, task.unfinished.output, tell, alive)
    try:
        watch.wait(lambda: watch.waited(begun_sec) + (math.inf if limit_sec is None else limit_sec))
        if not watch.found.done:
            time.sleep(processes.SETTLE_SEC)  # who ends all processes of a job ends this one a little later
    except KeyboardInterrupt:
        process.terminate()
        until_sec = time.monotonic() + STOP_SEC
        watch.wait(lambda: until_sec)
        raise
    finally:
        watch.close(before)
    found = watch.found
    if process.exitcode != 0 or not found.done:
        found.done = False
        code = -signal.SIGTERM if watch.stopped else process.exitcode
        found.out_of_memory, found.how = processes.ending(code, kills)
        if code and code > 0 and (words := _last_words(task.unfinished.output)):  # Python's, of what nobody caught
            found.how += f" ({words})"
        if processes.server_pid() is None and not found.timed_out and not found.mistake:
            raise UserError("the process that starts cells was killed; run again: what was done is kept")
    return found


class _Watch:
    """What is seen of one process."""

    def __init__(
        self,
        process: ForkServerProcess,
        bell: socket.socket,
        output: Path,
        tell: Tell,
        alive: Callable[[str, float], None],
    ) -> None:
        self.found = Watched()
        self._process, self._bell, self._output, self._tell, self._alive = process, bell, output, tell, alive
        self.stopped = False  # by a signal
        self.ready_sec: float | None = None  # when it began with the cell itself
        self._waited_sec = 0.0  # for a device that another cell had alone
        self._waits_since_sec: float | None = None
        self._share = 0.0
        self._over = False
        self._measuring: threading.Thread | None = None

    def waited(self, begun_sec: float) -> float:
        """The moment from which the cell's limit counts, if it waited for its device no more."""
        if self._waits_since_sec is not None:
            return math.inf
        return (self.ready_sec or begun_sec + START_SEC) + self._waited_sec

    def close(self, before: set[int]) -> None:
        """End the process and all that it started, and what measures apart for it; `before` is for `processes.end`."""
        self._over = True
        processes.end(self._process, before)
        if self._measuring is not None and self._measuring.is_alive():
            self._measuring.join(processes.GONE_SEC)
            processes.end(self._process, before)  # one more may have been started meanwhile
        self._bell.close()

    def wait(self, until_sec: Callable[[], float]) -> None:
        """Until the process ends, or this moment of the monotonic clock passes."""
        looked_sec = -math.inf
        while True:
            left_sec = until_sec() - time.monotonic()
            if left_sec <= 0:
                self.found.timed_out = True
                return
            ready = connection.wait([self._process.sentinel, self._bell], timeout=min(left_sec, LOOK_SEC))
            ended = self._process.sentinel in ready
            for _ in range(MOST_MESSAGES):
                if not self._hear():
                    break
            if ended or self.found.mistake:
                return
            if time.monotonic() - looked_sec >= LOOK_SEC:
                looked_sec = time.monotonic()
                self._alive(self.found.doing, self._share)
                with contextlib.suppress(OSError):
                    if self._output.stat().st_size > LONGEST_OUTPUT:
                        os.truncate(self._output, 0)  # it goes on at the new end, as it appends

    def _hear(self) -> bool:
        """Whether something was said. Code of the entrant's own can speak here too, so that it may be anything."""
        try:
            message = json.loads(self._bell.recv(LONGEST_MESSAGE))
        except OSError:
            return False
        except (ValueError, RecursionError):
            return True
        if not isinstance(message, dict):
            return True
        if isinstance(doing := message.get("doing"), str):
            self.found.doing, self._share = doing, _share(message.get("share"))
            self._tell(doing, self._share)
        if "ready" in message and not self.found.ready:
            self.found.ready, self.ready_sec, self._waited_sec = True, time.monotonic(), 0.0
        if isinstance(waits := message.get("waits"), bool):
            if self._waits_since_sec is not None:
                self._waited_sec += time.monotonic() - self._waits_since_sec
            self._waits_since_sec = time.monotonic() if waits else None
        if isinstance(mistake := message.get("mistake"), str):
            self.found.mistake = mistake
        self.stopped = self.stopped or bool(message.get("stopped"))
        if "apart" in message:
            self._measuring = threading.Thread(target=self._measure_apart, args=(message["apart"],), daemon=True)
            try:
                self._measuring.start()
            except RuntimeError:
                self.found.mistake = "this system starts no further thread; end other programs and run again"
        self.found.done = self.found.done or bool(message.get("done"))
        return True

    def _measure_apart(self, wanted: Any) -> None:
        """What a stage needs processes of its own for, which the cell's process does not start."""
        try:
            stage, (*arguments, device), named, precision = wanted
            by_stage: dict[str, Callable[..., Memory | ModeSpeed]]
            by_stage = {"memory": memory.peak_memory, "speed": in_mode.mode_speed}
            measure = by_stage[stage]
            arguments = [tuple(one) if isinstance(one, list) else one for one in arguments]  # JSON has no tuples
            on, known = torch.device(device), dict(named)
            if precision not in (None, *PRECISIONS):
                return
        except (TypeError, ValueError, KeyError, RuntimeError):  # of code of the entrant's own, and of no stage
            return
        try:
            with multiplying_in(precision):
                found = measure(*arguments, on, **known, wanted=lambda: not self._over)
        except UserError as error:
            self.found.mistake = str(error)
            return
        with contextlib.suppress(OSError):  # the cell may have ended meanwhile
            self._bell.send(found.model_dump_json().encode())


def _share(value: Any) -> float:
    return float(min(max(value, 0.0), 1.0)) if isinstance(value, int | float) else 0.0


def _last_words(output: Path) -> str:
    """The last line that a process printed, cut where it is long."""
    with contextlib.suppress(OSError), output.open("rb") as stream:
        stream.seek(max(output.stat().st_size - LONGEST_MESSAGE, 0))
        lines = stream.read(LONGEST_MESSAGE).decode(errors="replace").split("\n")
        return next((visible(line.strip())[:LONGEST_REASON] for line in reversed(lines) if line.strip()), "")
    return ""
