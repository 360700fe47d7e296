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
from equibench.machine.energy import Counter, used
from equibench.record.schema import Budget, Curve, Spent
from equibench_models import Model

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


def planned_updates(budget: Budget, flops_per_update: float, batch_size: int) -> int | None:
    """Updates that the budget buys, rounded down; None for seconds. Raises UserError if it does not buy one."""
    if budget.unit == "sec":
        return None
    price = {"flops": flops_per_update, "images": float(batch_size), "updates": 1.0}[budget.unit]
    updates = int(budget.amount // price)
    if updates < 1:
        raise UserError(
            f"the budget of {budget.amount:g} {budget.unit} is too small for one update, which takes {price:g}"
        )
    return updates


def train(
    model: Model,
    images: NDArray[np.uint8],
    budget: Budget,
    *,
    batch_size: int,
    flops_per_update: float,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None] = lambda share: None,
    counter: Counter | str = "no counter was given",
    now: Callable[[], float] = time.perf_counter,
) -> tuple[Spent, Curve]:
    """Update `model` on shuffled `images` (uint8 `[N, C, H, W]`) until one more update would pass the budget.

    `progress` hears the share of the budget spent. `counter` counts the energy. `now` is a monotonic clock in seconds.
    The device is waited for only where the losses are read, at most `CURVE_POINTS` times; work that "data" queues on a
    device is therefore charged to "update", in whose part the waiting is.
    Raises UserError for a budget below one update, DivergedError when a loss is not finite.
    """
    updates = planned_updates(budget, flops_per_update, batch_size)
    order = np.random.default_rng(seed)
    data = torch.from_numpy(images).to(device)
    synchronize = synchronizer(device)
    meter = Meter()
    curve = _CurveWriter()
    queue = torch.empty(0, dtype=torch.int64)
    logged = 0.0
    done = False
    clock = Clock(now)
    with used(counter) as energy:
        while not done:
            with clock.part("data"):
                if len(queue) < batch_size:  # a new epoch; its start joins the rest of the one before
                    rounds = math.ceil(batch_size / len(data))
                    fresh = np.concatenate([order.permutation(len(data)) for _ in range(rounds)])
                    queue = torch.cat([queue, torch.from_numpy(fresh)])
                batch, queue = data[queue[:batch_size].to(device)], queue[batch_size:]
            with clock.part("update"):
                share = min(meter.updates / updates if updates else meter.share(budget), 1.0)
                with autocast(device):
                    losses = model.update(batch, share)
                meter.updates += 1
                meter.images += batch_size
                meter.flops += flops_per_update
                curve.add(losses)
                done = meter.updates == updates
                if updates is None:  # seconds: the clock must be read, so the device must be waited for
                    synchronize()
                    meter.sec = clock.elapsed("measurement")
                    # the last update must end within the budget: stop when one more of average length would not
                    done = meter.sec * (1 + 1 / meter.updates) > budget.amount
                    share = meter.share(budget)
                else:
                    share = meter.updates / updates
                if at_point := done or share - logged >= 1 / CURVE_POINTS:
                    synchronize()
                    meter.sec = clock.elapsed("measurement")
            if at_point:
                with clock.part("measurement"):
                    curve.close(meter)
                    logged = share
                    if not isinstance(counter, str):
                        counter.joules()  # often enough that its count does not wrap unseen
                    progress(share)
        parts = clock.seconds()
    spent = Spent(
        params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        sampling_params=model.sampling_parameters(),
        flops=meter.flops,
        flops_per_image=flops_per_update / batch_size,
        images=meter.images,
        updates=meter.updates,
        train_sec=parts.pop("wall") - parts["measurement"],
        parts_sec=parts,
        energy=energy.energy(meter.images),
    )
    return spent, curve.curve()


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
