"""Spends a training budget on any model; knows nothing of families."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from equibench.errors import UserError
from equibench.machine.clock import Clock
from equibench.machine.device import autocast, synchronizer
from equibench.machine.energy import NO_COUNTER, Counter, EnergyMeter, NoCounter
from equibench.record.cost import Energy
from equibench.record.schema import Budget, Curve, Spent
from equibench_models.contract import Model

CURVE_POINTS = 100


class DivergedError(Exception):
    """A loss was NaN or infinite."""


@dataclass
class Meter:
    """Running totals of what training has spent."""

    flops: float = 0.0
    images: int = 0
    sec: float = 0.0
    updates: int = 0

    def add(self, allowance: Allowance) -> None:
        """One update."""
        self.updates += 1
        self.images += allowance.batch_size
        self.flops += allowance.flops_per_update

    def share(self, budget: Budget) -> float:
        """Of the budget, in its own unit."""
        return float(getattr(self, budget.unit)) / budget.amount


def count_flops(model: Model, images: NDArray[np.uint8], device: torch.device) -> float:
    """FLOPs of one real update on `images`: matrix products and convolutions, a multiply-add counted as two, second-
    order passes included. The model is changed by it, so count on a copy.
    """
    with FlopCounterMode(display=False) as counter, autocast(device):
        model.update(torch.from_numpy(images).to(device))
    return float(counter.get_total_flops())


@dataclass(frozen=True)
class Allowance:
    """A budget, and what one update takes of it."""

    budget: Budget
    batch_size: int  # images
    flops_per_update: float

    @property
    def updates(self) -> int | None:
        """Updates that the budget buys, rounded down; None for seconds. Raises UserError if it does not buy one."""
        budget = self.budget
        if budget.unit == "sec":
            return None
        price = {"flops": self.flops_per_update, "images": float(self.batch_size), "updates": 1.0}[budget.unit]
        updates = int(budget.amount // price)
        if updates < 1:
            raise UserError(
                f"the budget of {budget.amount:g} {budget.unit} is too small for one update, which takes {price:g}"
            )
        return updates


@dataclass(frozen=True)
class Watch:
    """Who follows a training: `progress` hears the share of the budget spent, `counter` counts the energy, `now` is a
    monotonic clock in seconds.
    """

    progress: Callable[[float], None] = lambda share: None
    counter: Counter | NoCounter = NO_COUNTER
    now: Callable[[], float] = time.perf_counter


def train(
    model: Model,
    images: NDArray[np.uint8],
    allowance: Allowance,
    *,
    seed: int,
    device: torch.device,
    watch: Watch = Watch(),
) -> tuple[Spent, Curve]:
    """Update `model` on shuffled `images` (uint8 `[N, C, H, W]`) until one more update would pass the budget.

    The device is waited for only where the losses are read, at most `CURVE_POINTS` times; work that "data" queues on a
    device is therefore charged to "update", in whose part the waiting is.
    Raises UserError for a budget below one update, DivergedError when a loss is not finite.
    """
    updates, budget = allowance.updates, allowance.budget
    batches = _Batches(torch.from_numpy(images).to(device), allowance.batch_size, seed)
    synchronize = synchronizer(device)
    meter, energy, curve = Meter(), EnergyMeter(watch.counter), _CurveWriter()
    logged = 0.0
    done = False
    clock = Clock(watch.now)
    while not done:
        with clock.part("data"):
            batch = batches.draw()
        with clock.part("update"):
            share = min(meter.updates / updates if updates else meter.share(budget), 1.0)
            with autocast(device):
                curve.add(model.update(batch, share))
            meter.add(allowance)
            if updates is None:  # seconds: the clock must be read, so the device must be waited for
                synchronize()
                meter.sec = clock.elapsed("measurement")
                # the last update must end within the budget: stop when one more of average length would not
                done = meter.sec * (1 + 1 / meter.updates) > budget.amount
                share = meter.share(budget)
            else:
                done = meter.updates == updates
                share = meter.updates / updates
            if at_point := done or share - logged >= 1 / CURVE_POINTS:
                synchronize()
                meter.sec = clock.elapsed("measurement")
        if at_point:
            with clock.part("measurement"):
                curve.close(meter)
                logged = share
                watch.progress(share)
                energy.read()
    return _spent(model, allowance, meter, clock.seconds(), energy.energy(meter.images)), curve.curve()


def _spent(model: Model, allowance: Allowance, meter: Meter, parts_sec: dict[str, float], energy: Energy) -> Spent:
    return Spent(
        params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        sampling_params=model.sampling_parameters(),
        flops=meter.flops,
        flops_per_image=allowance.flops_per_update / allowance.batch_size,
        images=meter.images,
        updates=meter.updates,
        train_sec=parts_sec.pop("wall") - parts_sec["measurement"],
        parts_sec=parts_sec,
        energy=energy,
    )


class _Batches:
    """Shuffled batches without end; an epoch's start joins the rest of the one before."""

    def __init__(self, data: torch.Tensor, size: int, seed: int) -> None:
        self._data, self._size = data, size
        self._order = np.random.default_rng(seed)
        self._queue = torch.empty(0, dtype=torch.int64)

    def draw(self) -> torch.Tensor:
        n = len(self._data)
        if len(self._queue) < self._size:
            fresh = np.concatenate([self._order.permutation(n) for _ in range(math.ceil(self._size / n))])
            self._queue = torch.cat([self._queue, torch.from_numpy(fresh)])
        chosen, self._queue = self._queue[: self._size], self._queue[self._size :]
        return self._data[chosen.to(self._data.device)]


class _CurveWriter:
    """Means of the losses between two points of the curve; reads the device only when a point is closed."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0
        self._points: list[tuple[int, float, float]] = []
        self._losses: dict[str, list[float]] = {}

    def add(self, losses: dict[str, torch.Tensor]) -> None:
        for name, value in losses.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def close(self, meter: Meter) -> None:
        for name, total in self._sums.items():
            mean = float(total) / self._count
            if not math.isfinite(mean):
                raise DivergedError(f"{name} was {mean} after {meter.updates} updates")
            self._losses.setdefault(name, []).append(mean)
        self._points.append((meter.updates, meter.flops, meter.sec))
        self._sums, self._count = {}, 0

    def curve(self) -> Curve:
        updates, flops, seconds = (list(column) for column in zip(*self._points, strict=True))
        return Curve(updates=updates, flops=flops, train_sec=seconds, losses=self._losses)
