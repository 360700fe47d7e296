"""Who works on which cell of a folder, so that any number of processes, on any number of machines that share it, do
each cell once. That a record is written once is what keeps results right; claims only save work.

A claim is a file that is made once, `claim-N` for the N-th attempt, and never changed. Who finds N's owner dead makes
`claim-(N+1)`: nothing is removed, so that two can never take over the same. An owner shows that it lives by a beat, a
file that it writes again and again. Its change is what counts, not its date: clocks of two machines differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from equibench import atomic

BEAT_SEC = 10.0
DEAD_SEC = 60.0  # without a beat


@dataclass(frozen=True)
class Owner:
    """A process, told from all others that were or will be."""

    machine: str  # its name, boot and process numbers' name space
    pid: int
    started: float  # when the process began, by the machine's own count
    token: str  # of the claim: a process may make several

    def ended(self) -> bool:
        """Whether it is a process of this machine that is no more; of another machine's nothing is known."""
        return self.machine == _machine() and _started(self.pid) != self.started


@dataclass(frozen=True)
class Claim:
    """One attempt at a cell. `number` counts from 1."""

    folder: Path
    number: int
    owner: Owner

    @property
    def beat_file(self) -> Path:
        return self.folder / f"beat-{self.number}"

    def is_lost(self) -> bool:
        """Whether another process has taken over, as this one showed no beat for long: it was stopped, or the folder
        was out of reach.
        """
        try:
            latest = last(self.folder)
        except OSError:
            return False
        return latest is not None and latest.number >= self.number and latest.owner.token != self.owner.token

    def beat(self, doing: str = "", share: float = 0.0) -> None:
        """Show that the owner lives, and what it is doing. A beat that cannot be written is left out: it decides
        nothing that was done.
        """
        what = {"time": time.time(), "doing": doing, "share": round(share, 4), "token": secrets.token_hex(4)}
        with contextlib.suppress(OSError):
            atomic.write(self.beat_file, json.dumps(what).encode())

    def give_back(self) -> None:
        """Let others have the cell, finished or not."""
        for file in (self.beat_file, self.folder / f"claim-{self.number}"):
            with contextlib.suppress(OSError):
                file.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # where nothing is left to go on from

    def last_beat(self) -> dict[str, Any]:
        """What the owner said last; empty where it said nothing."""
        return _json(self.beat_file)


@dataclass
class Observer:
    """Tells whether the owners of claims live, by what it has seen of each. `now` is a monotonic clock in seconds."""

    now: Callable[[], float] = time.monotonic
    _seen: dict[tuple[Path, int], tuple[bytes, float]] = field(default_factory=dict)

    def is_dead(self, claim: Claim) -> bool:
        """Whether the owner is known to have ended, or has shown no beat for DEAD_SEC while this one watched."""
        if claim.owner.ended():
            return True
        try:
            beat = claim.beat_file.read_bytes()
        except OSError:
            beat = b""
        before, since = self._seen.get((claim.folder, claim.number), (None, 0.0))
        if beat != before:
            self._seen[claim.folder, claim.number] = beat, self.now()
            return False
        return self.now() - since > DEAD_SEC


def take(folder: Path, observer: Observer) -> Claim | None:
    """A claim of this process on the cell whose claims lie in `folder`; None where another's holds. Raises OSError."""
    before = last(folder)
    if before is not None and not observer.is_dead(before):
        return None
    number = before.number + 1 if before else 1
    owner = Owner(_machine(), os.getpid(), _started(os.getpid()), secrets.token_hex(8))
    content = json.dumps(owner.__dict__, sort_keys=True).encode()
    return Claim(folder, number, owner) if atomic.write_once(folder / f"claim-{number}", content) else None


def last(folder: Path) -> Claim | None:
    """The latest claim on a cell, dead or alive; None where there is none. Raises OSError."""
    numbers = [int(name.removeprefix("claim-")) for name in _names(folder) if name.removeprefix("claim-").isdecimal()]
    if not numbers:
        return None
    found = _json(folder / f"claim-{max(numbers)}")
    try:
        owner = Owner(**found)
    except TypeError:  # half written, where there are no hard links: who writes it will show a beat
        owner = Owner("", 0, 0.0, "")
    return Claim(folder, max(numbers), owner)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _machine() -> str:
    """This machine, since it was started, and the container that this process sees of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time()}"


def _started(pid: int) -> float:
    """When the process began; 0 where there is none, or it has ended and only waits to be asked how."""
    try:
        if Path("/proc/self/stat").exists():  # ticks since the boot, which no setting of the clock moves
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return 0.0 if state in "ZX" else float(rest[18])
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (OSError, ValueError, IndexError, psutil.Error):
        return 0.0
