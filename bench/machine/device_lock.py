"""A shared and exclusive lock on a device that several cells of one run use: what is timed has it alone.

It is a readers-writer lock with a gate, so that a writer does not starve: each cell's process holds the device's lock
shared as it works; who times something takes the gate, at which the others stop where their work can wait, and then the
device's lock for itself. The locks are the system's (flock), so that a process that ends in any way leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


def _nobody(_begins: bool) -> None:
    """Hears of waits."""


def device_lock_of(run: str, device: str) -> DeviceLock:
    """The lock that the cells of one run share at a device of this machine."""
    return DeviceLock(Path(tempfile.gettempdir()) / f"equibench-turns-{run}" / device)


def forget_device_locks(run: str) -> None:
    """The run is over."""
    shutil.rmtree(Path(tempfile.gettempdir()) / f"equibench-turns-{run}", ignore_errors=True)


@dataclass
class DeviceLock:
    """A process's hold on the device that `folder` on its machine stands for; with None nothing is shared, and nothing
    is ever waited for. `waits` hears True as a wait begins and False as it ends.
    """

    folder: Path | None = None
    waits: Callable[[bool], None] = _nobody
    _gate: int = field(default=-1, init=False)
    _device: int = field(default=-1, init=False)

    def acquire_shared(self) -> None:
        """Begin to use the device together with others. Raises OSError."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._gate, self._device = (
            os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666) for name in ("gate", "device")
        )
        self._join()

    def is_wanted(self) -> bool:
        """Whether another waits to have the device alone."""
        if self._gate < 0:
            return False
        try:
            fcntl.flock(self._gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return False

    def yield_to_waiters(self) -> None:
        """Wait while others have the device alone. The device's queue must be empty."""
        if self.is_wanted():
            fcntl.flock(self._device, fcntl.LOCK_UN)
            self._join()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The block has the device alone."""
        if self._gate < 0:
            yield
            return
        fcntl.flock(self._device, fcntl.LOCK_UN)  # or two that ask would wait for each other
        self._wait_for(self._gate, fcntl.LOCK_EX)
        self._wait_for(self._device, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._device, fcntl.LOCK_SH)
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _join(self) -> None:
        self._wait_for(self._gate, fcntl.LOCK_SH)
        self._wait_for(self._device, fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _wait_for(self, lock: int, kind: int) -> None:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self.waits(True)
            fcntl.flock(lock, kind)
            self.waits(False)
