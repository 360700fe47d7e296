"""Cores that this process may use: fewer than there are, where a container, a batch system or the user limits it."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

THREADS = "OMP_NUM_THREADS"  # which PyTorch and the libraries behind it read as they are loaded


def usable_cores(root: Path = Path("/")) -> int:
    """By the cores that the process is bound to, and by its control groups' limit on processor time, of which a part
    of a core counts as one. `root` is the system's.
    """
    return min([_bound(), *map(math.ceil, _limits(root))])


def limit_threads(root: Path = Path("/")) -> None:
    """Where the processor's time is limited, let libraries start no more threads than it is good for: they see how many
    cores there are, and a limit of two on 64 cores would leave 64 threads waiting for each other. What the user has set
    holds.
    """
    if (usable := usable_cores(root)) < _bound():
        os.environ.setdefault(THREADS, str(usable))


def _bound() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limits(root: Path) -> Iterator[float]:
    """Cores' worth of time that each of the process's control groups allows it, where they set a limit."""
    groups = root / "sys/fs/cgroup"
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):  # in a container, its own may be what is mounted as the root
            with contextlib.suppress(OSError, ValueError):
                if not controllers:
                    quota, period = (groups / group / "cpu.max").read_text().split()
                elif "cpu" in controllers.split(","):
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    quota, period = ((groups / "cpu" / group / name).read_text() for name in names)
                else:
                    continue
                if (limit := int(quota) / int(period)) > 0:  # "max" and -1 are none
                    yield limit
