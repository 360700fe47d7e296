"""A lane: a process that does one cell after another, each in a process of its own as `run_cell` does, for a program
that has several lanes, or has them on other machines.

Between a lane and who waits for it go messages over a socket: pickled ones from the program, which the lane trusts as
it was started by it, and JSON back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from equibench.errors import UserError
from equibench.machine import processes
from equibench.machine.device_lock import DeviceLock, device_lock_of
from equibench.run.arithmetic import check_arithmetic
from equibench.run.loop import knowing
from equibench.run.session import Session
from equibench.run.supervise import run_cell
from equibench.suite import Cell

STOP_SEC = 20.0  # for a lane that was asked to stop, whose cell keeps what it has


@dataclass(frozen=True)
class Calling:
    """What all cells of a lane share. `session` is without the feature network, which the lane loads."""

    session: Session
    threads: int
    folder: str  # that the program works in, where modules of a user's own are found


@dataclass(frozen=True)
class Errand:
    """A cell to do, and its identity where the program is: here it must be the same."""

    cell: Cell
    identity: str


def calling(session: Session, device: str) -> Calling:
    """What lanes of this program share; `device` is the one of their machine that they share, or "own" where
    each has another.
    """
    device_lock = DeviceLock() if device == "own" else device_lock_of(session.invocation, device)
    # what machine it is on, a lane finds out
    bare = dataclasses.replace(session.bare, device_lock=device_lock, machine_key=None)
    return Calling(bare, torch.get_num_threads(), os.getcwd())


class Lane:
    """The program's end."""

    def __init__(self, calling: Calling, environment: Mapping[str, str]) -> None:
        """Start one. Raises UserError where the system gives no process."""
        ours, theirs = socket.socketpair()
        # asked to stop as it imports, it ends without a word: `main` has Python raise KeyboardInterrupt again
        code = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        code += f"sys.path[:] = {sys.path!r}; from equibench.engine.lane import main; "
        code += f"main({theirs.fileno()}, {os.getpid()})"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is its program's to hear
            )
        except OSError as error:
            raise UserError(
                f"this system starts no further process ({error.strerror}); end others and run again"
            ) from None
        finally:
            theirs.close()
        self.end = Connection(ours.detach())
        self._say(calling)

    def begin(self, errand: Errand) -> None:
        """Do a cell, when those before it are done."""
        self._say(errand)

    def hear(self) -> dict[str, Any]:
        """The next message, for which this waits: what is being `doing` and the `share` of it, the path of a record
        that is `done`, or a `mistake`.
        """
        try:
            found: dict[str, Any] = json.loads(self.end.recv_bytes())
        except (EOFError, OSError):
            how = f"with code {self._process.wait()}"
            return {"mistake": f"a process that waits for a cell ended {how}; run again: what was done is kept"}
        return found

    def ask_to_stop(self) -> None:
        """Do what Ctrl-C does: its cell keeps what it has."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Wait until it has stopped, which it was asked to before, or kill it."""
        try:
            self._process.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.end.close()

    def _say(self, message: Calling | Errand) -> None:
        with contextlib.suppress(OSError):  # it has ended, which is heard
            self.end.send(message)


def main(descriptor: int, program: int) -> None:
    """What a lane does, in its process."""
    processes.end_with(program)
    end = Connection(descriptor)
    with contextlib.suppress(KeyboardInterrupt, EOFError, ConnectionError):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            _work(end)
        except UserError as error:
            end.send_bytes(json.dumps({"mistake": str(error)}).encode())
        finally:
            processes.end_all()


def _work(end: Connection) -> None:
    begun_sec = time.time()
    calling: Calling = end.recv()
    if Path(calling.folder).is_dir():
        os.chdir(calling.folder)
    torch.set_num_threads(calling.threads)
    processes.adopt_orphans()
    processes.warm_up()
    session = calling.session
    session = session.equipped()
    while True:
        errand: Errand = end.recv()
        path, session = _one(errand, session, begun_sec, end)
        end.send_bytes(json.dumps({"done": str(path)}).encode())
        begun_sec = time.time()


def _one(errand: Errand, session: Session, begun_sec: float, end: Connection) -> tuple[Path, Session]:
    cell = errand.cell
    if session.identity(cell) != errand.identity:
        raise UserError(
            f"{socket.gethostname()} is another kind of machine than the run is for, or has other code, packages or "
            "another feature network; give all nodes the same, and name those of one kind with --node"
        )

    check_arithmetic(cell, session.device)

    def tell(doing: str, share: float) -> None:
        end.send_bytes(json.dumps({"doing": doing, "share": share}).encode())

    path, record = run_cell(cell, session, tell, begun_sec)
    return path, knowing(session, record)
