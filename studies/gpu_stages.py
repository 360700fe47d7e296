"""What each stage of a cell takes on a GPU, by arithmetic: parts of a run as studies/roofline.py counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Generator, Tensor

from equibench.measure.cost.speed import LATENCY_REPEATS, THROUGHPUT_REPEATS
from equibench.measure.likelihood import annealing
from equibench.measure.likelihood.bounds import BATCH
from equibench.measuring import Measuring
from equibench.run.estimate import DISTANCE, FEATURES
from equibench.run.plan import Plan
from equibench_models.contract import Model
from studies.roofline import H100, Gpu, Work, count

EXTRACTOR = "inception-v3"  # the dearer of the two that `auto` may mean
SAMPLED_AT_ONCE = 250  # by default
FEW_STEPS = 4  # steps of a solver or a chain that are counted, and twice as many: all steps cost the same
# assumed seconds
START_SEC = 15.0  # of a cell's process, until it has read its data and set the GPU up
MEMORY_SEC = 10.0  # of each of the two processes that measure memory
COMPILING_SEC = {"compile": 120.0, "cuda graph": 5.0}  # at two batch sizes


@dataclass(frozen=True)
class Entrant:
    """One of a suite's, fitted to its budget."""

    planned: Plan
    model: Model
    epochs: float

    @property
    def name(self) -> str:
        return self.planned.cell.name

    @property
    def options(self) -> dict[str, Any]:
        entrant = self.planned.cell.entrant
        assert entrant is not None
        return dict(entrant.sampler)

    @property
    def measure(self) -> Measuring:
        return self.planned.cell.suite.measure

    def images(self, n: int) -> Tensor:
        return torch.zeros((n, *self.model.shape), dtype=torch.uint8)

    def update(self, batch_size: int | None = None, gpu: Gpu = H100) -> Work:
        """The mean of the updates of a cycle, some of which may take more than others."""
        images, cycle = self.images(batch_size or self.planned.allowance.batch_size), self.model.cycle
        return count(lambda: [self.model.update(images, 0.5) for _ in range(cycle)], gpu).times(1 / cycle)

    def training(self, batch_size: int | None = None, gpu: Gpu = H100) -> tuple[float, Work]:
        """Updates that the budget buys at a batch size, and what all of them take."""
        budget, update = self.planned.cell.budget, self.update(batch_size, gpu)
        assert budget is not None
        assert budget.unit == "flops"
        updates = budget.amount // update.flops
        return updates, update.times(updates)


def by_steps(counted: Callable[[int | None], Work], steps: int | None) -> Work:
    """What `counted(steps)` is, where a step costs as much as the next one, so that a few of them tell."""
    if steps is None or steps <= 2 * FEW_STEPS:
        return counted(steps)
    few, more = counted(FEW_STEPS), counted(2 * FEW_STEPS)
    return more.plus(more.plus(few, -1), steps / FEW_STEPS - 2)


def sampling(one: Entrant, n: int, options: dict[str, Any], at_once: int = SAMPLED_AT_ONCE) -> Work:
    """`n` samples with these options, by the operators of a compiled sampler or a CUDA graph, which read no number on
    the way: where eager mode looks for what is left to do, these do it for all.
    """
    size = min(n, at_once)

    def counted(steps: int | None) -> Work:
        chosen = {**options, **({} if steps is None else {"steps": steps})}
        with mock.patch.object(torch.compiler, "is_compiling", return_value=True):
            return count(lambda: one.model.sample(size, Generator(), batch_size=size, **chosen))

    steps = one.model.network_evaluations(**options)
    return by_steps(counted, steps if steps > 1 else None).times(n / size)


def settings(one: Entrant) -> list[dict[str, Any]]:
    """The settings of the sampler, the headline's first."""
    others = [{**one.options, **changed} for changed in one.model.samplers.values()]
    known = [o for o in others if one.model.network_evaluations(**o) <= one.measure.sweep_evaluations]
    return [one.options, *(known if one.measure.sampler_points else [])]


def likelihood(one: Entrant, images: int, passes: int, bound: str = "", steps: int | None = None) -> Work:
    """Passes over images, by the usual way or a bound with its steps."""
    size = min(images, BATCH)

    def counted(few: int | None) -> Work:
        way = one.model.bounds[bound].way(one.model, few) if bound else one.model.nats
        return count(lambda: way(one.images(size), Generator()))

    return by_steps(counted, steps).times(passes * images / size)


def bounds(one: Entrant) -> Work:
    """All the other ways, and images that are no data."""
    total = Work()
    if one.model.likelihood == "none":
        return total
    for setting in one.measure.bound:
        if setting.name in one.model.bounds:
            steps = one.model.bounds[setting.name].steps
            total = total.plus(likelihood(one, setting.images, setting.passes, setting.name, steps))
            if steps and setting.check_steps:
                total = total.plus(likelihood(one, setting.images, setting.passes, setting.name, 2 * steps))
    kinds = len(one.measure.out_of_distribution)
    return total.plus(likelihood(one, one.measure.out_of_distribution_images, kinds)) if kinds else total


def annealed(one: Entrant) -> Work:
    """Annealed importance sampling: three runs, of which the last has one chain an image (bench/measure/likelihood)."""
    setting, dims = one.measure.annealing, one.model.latent_dims
    if not setting or not dims:
        return Work()

    def leapfrog(n: int) -> Work:
        x, step = torch.zeros(n, *one.model.shape), torch.full((n, 1), 0.1)

        def move() -> None:
            z, momentum = torch.zeros(n, dims, requires_grad=True), torch.zeros(n, dims)
            prior, seen = annealing.log_joint(lambda z: (one.model.decode(z).float() + 1) / 2, z, x, setting.sigma)
            (gradient,) = torch.autograd.grad(-(prior + 0.5 * seen).sum(), z)
            for _ in range(2):
                momentum = momentum - 0.5 * step * gradient
            z.detach() + step * momentum

        return count(move, bfloat16=False)

    evaluations = setting.temperatures * (setting.leapfrog_steps + 1)
    many, few = leapfrog(setting.images * setting.chains), leapfrog(setting.images)
    return many.times(2 * evaluations).plus(few.times(evaluations))


def timing_sec(one: Entrant) -> float:
    """Seconds by the stopwatch: all batch sizes like the largest, latency, every setting, and the other modes."""
    measure, largest = one.measure, max(one.measure.speed_batch_sizes)

    def series(call_sec: float, repeats: int, limit_sec: float) -> float:
        return max(min(limit_sec, repeats * call_sec), 2 * call_sec) + call_sec

    calls = [sampling(one, largest, options, largest).sec for options in settings(one)]
    batches = [series(sec, THROUGHPUT_REPEATS, measure.speed_limit_sec) for sec in calls]
    single = series(sampling(one, 1, one.options).sec, LATENCY_REPEATS, measure.latency_limit_sec)
    total = len(measure.speed_batch_sizes) * batches[0] + single + sum(batches[1:])
    return total + sum(COMPILING_SEC[mode] + batches[0] + single for mode in measure.speed_modes)


def stages(one: Entrant) -> dict[str, float]:
    """Seconds of each stage of a cell."""
    measure = one.measure
    flops, dims = FEATURES[EXTRACTOR]
    others = settings(one)[1:]
    images = measure.samples + measure.sweep_samples * len(others) + 2 * measure.memorization_images
    distances = 2 * measure.splits + measure.resamples + 1 + len(others)
    sampled = sampling(one, measure.samples, one.options)
    for options in others:
        sampled = sampled.plus(sampling(one, measure.sweep_samples, options))
    usual, along = Work(), Work()
    has_likelihood = one.model.likelihood != "none"
    if has_likelihood:
        usual = likelihood(one, measure.likelihood_images, measure.likelihood_passes)
    if points := measure.along:
        images += (points.points + 1) * points.samples
        distances += points.points + 1
        along = sampling(one, points.samples, one.options)
        along = along.plus(likelihood(one, points.likelihood_images, 1)) if has_likelihood else along
        along = along.times(points.points + 1)
    decompositions_sec = distances * DISTANCE * dims**3 / (H100.float64_share * H100.float64_flops_per_sec)
    return {
        "start": START_SEC,
        "training": one.training()[1].sec,
        "sampling": sampled.sec,
        "features": H100.calculating_sec(images * flops, torch.float32),
        "distances": decompositions_sec,
        "likelihood": usual.sec,
        "other likelihoods": bounds(one).sec,
        "along training": along.sec,
        "annealing": annealed(one).sec,
        "speed": timing_sec(one),
        "memory": 2 * MEMORY_SEC,
    }
