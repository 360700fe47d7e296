"""Takes note of what the machine does around the timed blocks of a cell: its load, and the time of the reference
workload right before and after each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch

from equibench.machine.load import LOOK_SEC, LoadMeter, Totals
from equibench.machine.others_on_gpu import others_on_gpu
from equibench.machine.reference import ReferenceWork
from equibench.record.base import Strict
from equibench.record.surroundings import ReferenceWorkload, TimedBlock


class Seen(Strict):
    """What was seen of a block that goes on, perhaps in another process."""

    load: Totals
    before_sec: list[float]


class Around:
    """A timed block, which begins as this is made, with some repeats of the reference workload."""

    def __init__(self, name: str, meter: LoadMeter, work: ReferenceWork, limit_sec: float = 1.0) -> None:
        self._name, self._meter, self._work, self._limit_sec = name, meter, work, limit_sec
        self._before_sec = work.seconds(limit_sec)

    def look(self) -> None:
        """Take note, now and then, while the block goes on."""
        self._meter.look(LOOK_SEC)

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What runs in here is none of the block."""
        self._meter.look()
        yield
        self._meter.skip()

    def end(self) -> TimedBlock:
        """The block is over."""
        after_sec = self._work.seconds(self._limit_sec)
        reference = ReferenceWorkload(name=self._work.name, before_sec=self._before_sec, after_sec=after_sec)
        self._meter.lengthen()
        return TimedBlock(name=self._name, load=self._meter.load(), reference=reference)

    def state(self) -> dict[str, Any]:
        """What `resume` goes on from, as JSON holds it."""
        return Seen(load=self._meter.totals(), before_sec=self._before_sec).model_dump()

    def resume(self, state: Any) -> None:
        """What an earlier process saw of the block counts too. Raises ValueError where `state` is something else."""
        before = Seen.model_validate(state)
        self._meter.resume(before.load)
        self._before_sec = [*before.before_sec, *self._before_sec]


class Beside:
    """Makes the above for the blocks of one device; the reference workload is set up at its first use, and takes some
    `limit_sec` each time at most.
    """

    def __init__(self, device: torch.device, limit_sec: float = 1.0) -> None:
        self._device, self._limit_sec = device, limit_sec

    def around(self, name: str) -> Around:
        """The block `name` begins."""
        return Around(name, LoadMeter(others_on_gpu(self._device)), self._work, self._limit_sec)

    @contextmanager
    def block(self, name: str, into: list[TimedBlock]) -> Iterator[None]:
        """The block is what runs in here; what was seen of it is added to `into`."""
        around = self.around(name)
        yield
        into.append(around.end())

    @cached_property
    def _work(self) -> ReferenceWork:
        return ReferenceWork(self._device)
