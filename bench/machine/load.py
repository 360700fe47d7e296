"""How busy the machine is with other work than this process's and its children's, over a stretch of time. It starts
without torch: what it is told of a GPU comes from others_on_gpu.py.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import psutil

from equibench.errors import first_line
from equibench.record.base import Strict
from equibench.record.surroundings import Load

LOOK_SEC = 10.0  # between two looks while work goes on: each costs some ms, and a GPU remembers some seconds
# of all cores together, from which a share is told: the system counts in ticks of 10 ms, of which one or two may be
# counted for the wrong process
SHORTEST_SEC = 1.0
MOST_LOOKS = 40  # while a short stretch is made longer, of which each takes SHORTEST_SEC / MOST_LOOKS


class Usage(NamedTuple):
    """Seconds of processor time since some fixed moment, of the cores that this process may use."""

    all_sec: float  # idle ones too
    busy_sec: float  # of every process, or of other machines on the same hardware (steal)
    own_sec: float  # of this process and its children, those that have ended too


class Others(Protocol):
    """Says what share of a GPU's time other processes took, mean over the time since `since_sec` of the epoch; None
    where nobody looked since then. Raises LookupError with a clause where it cannot be told.
    """

    def __call__(self, since_sec: float) -> float | None: ...


class Totals(Strict):
    """Sums over all stretches so far; they are kept with a training that may go on in another process."""

    all_sec: float = 0.0  # of all cores
    others_sec: float = 0.0
    gpu_sec: float = 0.0
    gpu_others_sec: float = 0.0
    free_memory_bytes: int | None = None
    clock_hz_sum: float = 0.0
    clock_looks: int = 0
    load_average: float | None = None
    reason: str | None = None


class LoadMeter:
    """Counts from when it is made; reads the counters again at each look. `usage` and `others_on_gpu` are where it
    reads; `now` is in seconds since the epoch.
    """

    def __init__(
        self,
        others_on_gpu: Others | None = None,
        usage: Callable[[], Usage] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._others_on_gpu, self._usage, self._now = others_on_gpu, usage or processor_usage, now
        self._totals = Totals()
        self._last, self._last_sec = self._read(), now()

    def look(self, at_least_sec: float = 0.0) -> None:
        """Take note of what happened since the last look, if that is `at_least_sec` ago."""
        now_sec = self._now()
        elapsed_sec = now_sec - self._last_sec
        if elapsed_sec < at_least_sec:
            return
        usage = self._read()
        if usage and self._last:
            others_sec = usage.busy_sec - self._last.busy_sec - (usage.own_sec - self._last.own_sec)
            self._add(all_sec=usage.all_sec - self._last.all_sec, others_sec=others_sec)
        if self._others_on_gpu:
            try:
                share = self._others_on_gpu(self._last_sec)
                if share is not None:
                    self._add(gpu_sec=elapsed_sec, gpu_others_sec=share * elapsed_sec)
            except LookupError as error:
                self._set(reason=str(error.args[0]))
        self._set(free_memory_bytes=_least(self._totals.free_memory_bytes, psutil.virtual_memory().available))
        with contextlib.suppress(OSError, AttributeError):  # Windows has none
            self._set(load_average=os.getloadavg()[0])
        if hz := _clock_hz():
            self._add(clock_hz_sum=hz, clock_looks=1)
        self._last, self._last_sec = usage, now_sec

    def skip(self) -> None:
        """Leave out what happened since the last look."""
        self._last, self._last_sec = self._read(), self._now()

    def lengthen(self) -> None:
        """Go on watching, idle, until a share can be told of the stretch: a block may be far shorter than that."""
        for _ in range(MOST_LOOKS):
            self.look()
            if self._totals.all_sec >= SHORTEST_SEC or self._last is None:
                return
            time.sleep(SHORTEST_SEC / MOST_LOOKS)

    def load(self) -> Load:
        """Up to now."""
        self.look()
        totals = self._totals
        told = totals.all_sec >= SHORTEST_SEC
        unseen = self._others_on_gpu is not None and totals.gpu_sec == 0
        reason = (
            totals.reason
            or (None if told else "the system counted too little processor time to tell")
            or ("the GPU's driver took no sample in so short a time" if unseen else None)
        )
        return Load(
            others_cpu_share=min(max(totals.others_sec / totals.all_sec, 0.0), 1.0) if told else None,
            others_gpu_share=min(max(totals.gpu_others_sec / totals.gpu_sec, 0.0), 1.0) if totals.gpu_sec > 0 else None,
            load_average=totals.load_average,
            free_memory_bytes=totals.free_memory_bytes,
            clock_hz=totals.clock_hz_sum / totals.clock_looks if totals.clock_looks else None,
            reason=reason,
        )

    def totals(self) -> Totals:
        """Up to now: what `resume` goes on from."""
        self.look()
        return self._totals

    def resume(self, before: Totals) -> None:
        """Count what an earlier process saw of the same work too."""
        names = ("all_sec", "others_sec", "gpu_sec", "gpu_others_sec", "clock_hz_sum", "clock_looks")
        self._add(**{name: getattr(before, name) for name in names})
        self._set(
            free_memory_bytes=_least(self._totals.free_memory_bytes, before.free_memory_bytes),
            reason=self._totals.reason or before.reason,
        )

    def _add(self, **more: float) -> None:
        self._set(**{name: getattr(self._totals, name) + value for name, value in more.items()})

    def _set(self, **changes: Any) -> None:
        self._totals = self._totals.model_copy(update=changes)

    def _read(self) -> Usage | None:
        try:
            return self._usage()
        except (OSError, psutil.Error, RuntimeError, NotImplementedError) as error:
            self._set(reason=f"the system's count of processor time cannot be read ({first_line(error)})")
            return None


def _least(*found: int | None) -> int | None:
    return min((one for one in found if one is not None), default=None)


def processor_usage() -> Usage:
    """By the kernel's counters. Raises OSError or psutil.Error where they may not be read.

    In a container the counters are of the host: of those of its cores that the container may use. A limit on the time
    of all cores together does not show in them.
    """
    per_core = psutil.cpu_times(percpu=True)
    usable = _usable_cores(len(per_core))
    all_sec = busy_sec = 0.0
    for number in usable:
        times = per_core[number]._asdict()
        guests = times.get("guest", 0.0) + times.get("guest_nice", 0.0)  # which user and nice hold already
        whole = sum(times.values()) - guests
        all_sec += whole
        busy_sec += whole - times["idle"] - times.get("iowait", 0.0)
    return Usage(all_sec, busy_sec, _own_sec())


def _usable_cores(count: int) -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        if usable and usable[-1] < count:
            return usable
    return list(range(count))


def _own_sec() -> float:
    me, total = psutil.Process(), 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def _clock_hz() -> float | None:
    try:
        found = psutil.cpu_freq()
    except (OSError, ValueError, RuntimeError, NotImplementedError, AttributeError):
        return None
    return found.current * 1e6 if found and found.current else None
