"""The course of one training: what it has spent, which images come next, its curves, its clock and its energy. Each
part says what it holds, so that a training that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.machine.beside import Around
from equibench.machine.clock import Clock
from equibench.machine.energy import Counter, EnergyMeter, NoCounter
from equibench.record.schema import Budget, Curve
from equibench.run.points import Passed, Points


class DivergedError(Exception):
    """A loss was NaN or infinite."""


@dataclass
class Meter:
    """Running totals of what training has spent."""

    flops: float = 0.0
    images: int = 0
    sec: float = 0.0
    updates: int = 0

    def add(self, batch_size: int, flops: float) -> None:
        """One update."""
        self.updates += 1
        self.images += batch_size
        self.flops += flops

    def share(self, budget: Budget) -> float:
        """The share of the budget that is spent, in its own unit."""
        return float(getattr(self, budget.unit)) / budget.amount


class Batches:
    """Shuffled batches without end; an epoch's start joins the rest of the one before. The order is drawn on the
    processor and lies on the data's device, to which it is copied once an epoch: a copy waits for the device. The
    order is the same with labels and without.
    """

    def __init__(self, data: Tensor, size: int, seed: int, labels: Tensor | None = None) -> None:
        self._data, self._size, self._labels = data, size, labels
        self.order = np.random.default_rng(seed)
        self.queue = torch.empty(0, dtype=torch.int64, device=data.device)

    def draw(self) -> Tensor:
        """The next images `[size, C, H, W]`."""
        return self._data[self._rows()]

    def draw_labelled(self) -> tuple[Tensor, ...]:
        """The next images, and their labels `[size]` where there are some."""
        rows = self._rows()
        return (self._data[rows],) if self._labels is None else (self._data[rows], self._labels[rows])

    def _rows(self) -> Tensor:
        n = len(self._data)
        if len(self.queue) < self._size:
            fresh = np.concatenate([self.order.permutation(n) for _ in range(math.ceil(self._size / n))])
            self.queue = torch.cat([self.queue, torch.from_numpy(fresh).to(self._data.device)])
        chosen, self.queue = self.queue[: self._size], self.queue[self._size :]
        return chosen


class CurveWriter:
    """Means of the losses between two points of the curve; reads the device only when a point is closed."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.points: list[tuple[int, float, float]] = []
        self.losses: dict[str, list[float]] = {}

    def add(self, losses: dict[str, Tensor]) -> None:
        for name, value in losses.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def close(self, meter: Meter) -> None:
        """Raises DivergedError where a mean is not finite."""
        for name, total in self.sums.items():
            mean = float(total) / self.count
            if not math.isfinite(mean):
                raise DivergedError(f"{name} was {mean} after {meter.updates} updates")
            self.losses.setdefault(name, []).append(mean)
        self.points.append((meter.updates, meter.flops, meter.sec))
        self.sums, self.count = {}, 0

    def curve(self) -> Curve:
        updates, flops, seconds = (list(column) for column in zip(*self.points, strict=True))
        return Curve(updates=updates, flops=flops, train_sec=seconds, losses=self.losses)


class Course:
    """All of it. `logged` is the share of the budget at the last point of the curve."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        batch_size: int,
        seed: int,
        device: torch.device,
        counter: Counter | NoCounter,
        now: Callable[[], float],
        around: Around | None = None,
        points: Points | None = None,
        labels: NDArray[np.int64] | None = None,
    ) -> None:
        self.meter, self.curve, self.logged = Meter(), CurveWriter(), 0.0
        told = None if labels is None else torch.from_numpy(labels).to(device)
        self.batches = Batches(torch.from_numpy(images).to(device), batch_size, seed, told)
        self.energy, self.clock = EnergyMeter(counter), Clock(now)
        self.points = points or Points(Path(), ())
        self._device, self._counter, self._now, self._around = device, counter, now, around

    def look(self) -> None:
        """Take note of what the machine does beside it, and of the energy."""
        self.energy.read()
        if self._around:
            self._around.look()

    @contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What runs in here is no part of the training's seconds, of its energy, or of the load beside it."""
        with self.clock.part("measurement"), self._around.left_out() if self._around else nullcontext():
            self.energy.read()
            yield
            self.energy.skip()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What it holds, as tensors and as what JSON can hold; the device must have been waited for."""
        self.energy.read()
        sums = {f"sum {name}": total for name, total in self.curve.sums.items()}
        return {"queue": self.batches.queue, **sums}, {
            "order": self.batches.order.bit_generator.state,
            "meter": asdict(self.meter),
            "count": self.curve.count,
            "points": self.curve.points,
            "losses": self.curve.losses,
            "logged": self.logged,
            "passed": [point.model_dump() for point in self.points.passed],
            "joules": self.energy.joules,
            "parts_sec": self.clock.parts(),
            "around": self._around.state() if self._around else None,
        }

    def restore(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Go on from what `state` gave. Raises, and changes nothing, where it is something else."""
        order = np.random.default_rng(0)
        order.bit_generator.state = plain["order"]
        sums = {name: total.to(self._device) for name, total in tensors.items() if name.startswith("sum ")}
        curve = CurveWriter()
        curve.sums = {name.removeprefix("sum "): total for name, total in sums.items()}
        curve.count, curve.losses = plain["count"], plain["losses"]
        curve.points = [(updates, flops, sec) for updates, flops, sec in plain["points"]]
        parts = tensors["queue"].to(self._device), Meter(**plain["meter"]), plain["logged"]
        passed = [Passed.model_validate(point) for point in plain["passed"]]
        counted = plain["joules"] is not None or isinstance(self._counter, NoCounter)
        counter = self._counter if counted else NoCounter("what it took before it was stopped went uncounted")
        measuring = EnergyMeter(counter, plain["joules"] or 0.0), Clock(self._now, before=plain["parts_sec"])
        if self._around and plain["around"] is not None:
            self._around.resume(plain["around"])
        self.batches.order, self.curve = order, curve
        self.batches.queue, self.meter, self.logged = parts
        self.energy, self.clock = measuring
        self.points.passed[:] = passed
