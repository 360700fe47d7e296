"""Spends a training budget on any model; knows nothing of families."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.errors import UserError
from equibench.machine.beside import Around
from equibench.machine.device import autocast, synchronizer
from equibench.machine.device_lock import DeviceLock
from equibench.machine.energy import NO_COUNTER, Counter, NoCounter
from equibench.record.schema import Budget, Curve, Spent
from equibench.run.course import Course
from equibench.run.kept import Keeping, start_alike
from equibench.run.points import Points
from equibench.run.ranks import Team
from equibench.updates import Updates
from equibench_models.contract import Model
from equibench_models.parts import BatchPart

CURVE_POINTS = 100


class StoppedError(Exception):
    """The work was asked to stop; what it had done is kept."""


@dataclass(frozen=True)
class Allowance:
    """A budget, and what an update takes of it."""

    budget: Budget
    batch_size: int  # images
    flops_per_update: float  # the mean, where updates differ
    cycle: tuple[
        float, ...
    ] = ()  # FLOPs of each update, after the last of which they repeat; empty where all are alike

    @property
    def _costs(self) -> tuple[float, ...]:
        return self.cycle or (self.flops_per_update,)

    def flops(self, update: int) -> float:
        """What the update of this number takes; the first is 0."""
        return self._costs[update % len(self._costs)]

    def total_flops(self, updates: int) -> float:
        """What so many updates from the first take."""
        cycles, rest = divmod(updates, len(self._costs))
        return cycles * sum(self._costs) + sum(self._costs[:rest])

    @property
    def updates(self) -> int | None:
        """Updates that the budget buys, rounded down; None for seconds. Raises UserError if it does not buy one."""
        budget = self.budget
        if budget.unit == "sec":
            return None
        prices = {"flops": self._costs, "images": (float(self.batch_size),), "updates": (1.0,)}[budget.unit]
        cycles, rest = divmod(budget.amount, sum(prices))
        updates = int(cycles) * len(prices) + bisect.bisect_right(list(itertools.accumulate(prices)), rest)
        if updates < 1:
            raise UserError(
                f"the budget of {budget.amount:g} {budget.unit} is too small for one update, which takes {prices[0]:g}"
            )
        return updates


@dataclass(frozen=True)
class Watch:
    """Who follows a training: `progress` hears the share of the budget spent, `counter` counts the energy, `now` is a
    monotonic clock in seconds, `stopping` says whether to stop after the update, `around` takes note of the machine,
    `device_lock` lets others have the device alone between updates, off the clock.
    """

    progress: Callable[[float], None] = lambda share: None
    counter: Counter | NoCounter = NO_COUNTER
    now: Callable[[], float] = time.perf_counter
    stopping: Callable[[], bool] = lambda: False
    around: Around | None = None
    device_lock: DeviceLock = field(default_factory=DeviceLock)


def train(
    model: Model,
    images: NDArray[np.uint8],
    allowance: Allowance,
    *,
    seed: int,
    device: torch.device,
    watch: Watch | None = None,
    keeping: Keeping | None = None,
    points: Points | None = None,
    team: Team | None = None,
    labels: NDArray[np.int64] | None = None,
    updates: Updates | None = None,
) -> tuple[Spent, Curve]:
    """Update `model` on shuffled `images` (uint8 `[N, C, H, W]`), a class-conditional one with their `labels`, until
    one more update would pass the budget. With `keeping` a training that was stopped goes on where it was last saved;
    at `points` before the end the weights are kept, off the clock. With a `team` each of its processes does its part of
    every update, from where the first one's training is; that one decides when it ends. `updates` are the model's.

    The device is waited for only where losses are read, at most `CURVE_POINTS` times, where an epoch's order is copied
    to it, and where the training is saved; a budget in seconds waits after every update, as the clock must be read.
    What "data" queues on the device is therefore charged to "update", which waits. Raises UserError for a budget below
    one update, DivergedError when a loss is not finite, StoppedError when the watch says so.
    """
    watch, updates = watch or Watch(), updates or Updates(model)
    planned, budget = allowance.updates, allowance.budget
    synchronize = synchronizer(device)
    course = Course(images, allowance.batch_size, seed, device, watch.counter, watch.now, watch.around, points, labels)
    _begin(model, course, keeping, team, device)
    clock, meter, done = course.clock, course.meter, False
    while not done:
        with clock.part("data"):
            batch, *batch_labels = course.batches.draw_labelled()
        with clock.part("update"):
            progress = min(meter.updates / planned if planned else meter.share(budget), 1.0)
            with autocast(device):
                course.curve.add(_whole(updates.run(batch, progress, *batch_labels), model.part))
            meter.add(allowance.batch_size, allowance.flops(meter.updates))
            done, share = _spent_share(course, planned, budget, team, synchronize)
            at_point = done or share - course.logged >= 1 / CURVE_POINTS
            kept_point = None if done else course.points.due(share)
            if kept_point or at_point:
                synchronize()
                if planned:  # else the clock was read for the share
                    meter.sec = clock.elapsed("measurement")
        if kept_point:
            with course.off_the_clock():
                course.points.keep(model, kept_point, share, meter)
        if at_point:
            _log(course, share, watch)
        stopping = bool(_of_first(team, watch.stopping()))
        if keeping and not done and (stopping or keeping.is_due(clock.elapsed("measurement"))):
            _keep(keeping, updates, model, course, device)
        if stopping:
            raise StoppedError("training was stopped")
        _give_way(course, watch, synchronize)
    updates.settle()
    if team:
        team.check_alike(model)
    return _spent(model, allowance, course), course.curve.curve()


def _begin(model: Model, course: Course, keeping: Keeping | None, team: Team | None, device: torch.device) -> None:
    """From where it was kept, if it was; all of a team from where the first of it is."""
    model.part = team.part if team else BatchPart()
    if keeping:
        keeping.load(model, course, device)
    if team:
        start_alike(team, model, course, device)


def _keep(keeping: Keeping, updates: Updates, model: Model, course: Course, device: torch.device) -> None:
    with course.clock.part("checkpoint"):
        updates.settle()
        synchronizer(device)()
        keeping.save(model, course, device)


def _spent_share(
    course: Course, updates: int | None, budget: Budget, team: Team | None, synchronize: Callable[[], None]
) -> tuple[bool, float]:
    """Whether the training is done, and the share of the budget that is spent."""
    meter = course.meter
    if updates is not None:
        return meter.updates == updates, meter.updates / updates
    synchronize()  # seconds: the clock must be read, so the device must be waited for
    meter.sec = _of_first(team, course.clock.elapsed("measurement"))
    # the last update must end within the budget: stop when one more of average length would not
    return meter.sec * (1 + 1 / meter.updates) > budget.amount, meter.share(budget)


def _give_way(course: Course, watch: Watch, synchronize: Callable[[], None]) -> None:
    if watch.device_lock.is_wanted():
        synchronize()
        with course.off_the_clock():
            watch.device_lock.yield_to_waiters()


def _of_first(team: Team | None, value: float) -> float:
    return team.of_first(value) if team else value


def _whole(losses: dict[str, Tensor], part: BatchPart) -> dict[str, Tensor]:
    """Losses of the whole batch, of which a model gives this process's part."""
    if part.ranks == 1:
        return losses
    total = torch.stack([value.detach().float() for value in losses.values()])
    part.add_up([total])
    return dict(zip(losses, total.unbind(), strict=True))


def _log(course: Course, share: float, watch: Watch) -> None:
    with course.clock.part("measurement"):
        course.curve.close(course.meter)
        course.logged = share
        watch.progress(share)
        course.look()


def _spent(model: Model, allowance: Allowance, course: Course) -> Spent:
    meter, parts_sec = course.meter, course.clock.seconds()
    return Spent(
        params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        sampling_params=model.sampling_parameters(),
        flops=meter.flops,
        flops_per_image=allowance.flops_per_update / allowance.batch_size,
        images=meter.images,
        updates=meter.updates,
        train_sec=parts_sec.pop("wall") - parts_sec["measurement"],
        parts_sec=parts_sec,
        energy=course.energy.energy(meter.images),
    )
