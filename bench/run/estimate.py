"""What a planned cell will take, roughly, before it is run: seconds of training and measuring, bytes on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from equibench.entrant import CLASSES
from equibench.measure.cost.speed import LATENCY_REPEATS, THROUGHPUT_REPEATS
from equibench.measure.features.names import BFLOAT16
from equibench.measure.labels.classifier import EPOCHS
from equibench.measuring import Measuring
from equibench.record.base import Scalar
from equibench.run.families import resolve_family
from equibench.run.plan import Plan
from equibench_models.contract import Model, Shape

# FLOPs of an image's features, and their dimensions; those of a user's own network are not known
FEATURES = {
    "efficientnet-lite0": (1e8, 1280), "inception-v3": (1.1e10, 2048), "clip-vit-b-16": (3.5e10, 512),
    "clip-vit-b-32": (9e9, 512), "clip-vit-l-14": (1.6e11, 768), "clip-vit-l-14-336px": (3.8e11, 768),
    "dinov2-vit-s-14": (1.1e10, 384), "dinov2-vit-b-14": (4.6e10, 768), "dinov2-vit-l-14": (1.6e11, 1024),
    "dinov2-vit-g-14": (5.8e11, 1536), "pixels": (3e3, 192),
}  # fmt: skip
UNKNOWN = (1e10, 1000)
DISTANCE = 16  # FLOPs of a Frechet distance over the cube of its dimensions
FASTEST_SEC = 5e-4  # of a pass through a network, however small
CLASSIFIER = 8000.0  # FLOPs a pixel of an update of the classifier of samples
PROCESSES_SEC = 5.0  # that measure memory
PICTURES = 200  # images that lie beside a record: samples, real ones, a portrait
RECORD_BYTES = 200_000  # of a record itself, its curve and intervals


class Cost(NamedTuple):
    """What one cell costs."""

    train_sec: float
    measure_sec: float
    disk_bytes: float


def estimate(
    planned: Plan, shape: Shape, extractor: str, train_flops_per_sec: float, flops_per_sec: float | None = None
) -> Cost:
    """By the rates that training and measuring are expected to reach, one for both where only one is given. A pass
    through the network is taken to be a third of an update, as the pass back costs twice that forth.
    """
    flops_per_sec = flops_per_sec or train_flops_per_sec
    budget, entrant = planned.cell.budget, planned.cell.entrant
    assert budget is not None
    assert entrant is not None
    measure, family = planned.cell.suite.measure, resolve_family(entrant.family)
    pass_flops = planned.allowance.flops_per_update / planned.allowance.batch_size / 3
    settings = list(_settings(family, entrant.sampler, measure))
    drawn = [(measure.samples, settings[0]), *((measure.sweep_samples, steps) for steps in settings[1:])]
    if along := measure.along:
        drawn += [(along.samples, settings[0])] * (along.points + 1)
    passes = sum(n * steps for n, steps in drawn) + _likelihood_passes(
        family, measure, bool(planned.config.get(CLASSES))
    )
    feature_flops, dims = FEATURES.get(extractor.removesuffix(BFLOAT16), UNKNOWN)
    images = sum(n for n, _ in drawn) + 2 * measure.memorization_images
    distances = 2 * measure.splits + measure.resamples + len(drawn)
    if measure.probes:
        passes += measure.probes.train_images + measure.probes.test_images
    of_more = [FEATURES.get(name.removesuffix(BFLOAT16), UNKNOWN) for name in measure.more_extractors]
    elsewhere = (2 * measure.splits + measure.resamples + 1) * DISTANCE
    flops = sum(measure.samples * one + elsewhere * d**3 for one, d in of_more)
    flops += passes * pass_flops + images * feature_flops + distances * DISTANCE * dims**3
    if measure.by_class:  # the judge, and where there are labels one of samples
        of_samples = measure.samples if planned.config.get(CLASSES) else 0
        classified = EPOCHS * (measure.by_class.train_images + of_samples)
        flops += classified * CLASSIFIER * shape[1] * shape[2]
    train_flops = planned.train_flops
    return Cost(
        budget.amount if train_flops is None else train_flops / train_flops_per_sec,
        flops / flops_per_sec + _timed_sec(measure, settings, pass_flops / flops_per_sec) + PROCESSES_SEC,
        planned.state_bytes + PICTURES * math.prod(shape) + 4 * measure.likelihood_images + RECORD_BYTES,
    )


def _settings(family: type[Model], options: dict[str, Scalar], measure: Measuring) -> Iterator[int]:
    """Passes through the network of each setting of the sampler that is measured, the headline's first."""
    usual = family.options_type.model_validate(options).model_dump()
    yield _steps(usual)
    if measure.sampler_points:
        others = (_steps({**usual, **changed}) for changed in family.samplers.values())
        yield from (steps for steps in others if steps <= measure.sweep_evaluations)


def _steps(options: dict[str, Any]) -> int:
    return int(options.get("steps", 1))


def _likelihood_passes(family: type[Model], measure: Measuring, conditional: bool) -> float:
    """How often an image passes through the network for all likelihoods: the usual one and the others, those of what is
    no data, and annealing, which conditional models do not have.
    """
    passes = 0.0
    if family.likelihood != "none":
        passes += measure.likelihood_images * measure.likelihood_passes
        if along := measure.along:
            passes += (along.points + 1) * along.likelihood_images * measure.likelihood_passes
        passes += len(measure.out_of_distribution) * measure.out_of_distribution_images
        for one in measure.bound:
            if one.name in family.bounds:
                steps = family.bounds[one.name].steps or 1
                twice = 3 if steps > 1 and one.check_steps else 1  # once, and with twice the steps
                passes += one.images * one.passes * steps * twice
    if (annealing := measure.annealing) and family.decode is not Model.decode and not conditional:
        chains = 2 * annealing.images * annealing.chains  # of test images and of simulated ones
        passes += 3 * chains * annealing.temperatures * annealing.leapfrog_steps  # forth and back
    return passes


def _timed_sec(measure: Measuring, settings: list[int], pass_sec: float) -> float:
    """Seconds of sampling with a stopwatch: at most the limits, and less where ten repeats take less."""

    def series(images: int, steps: int, repeats: int, limit_sec: float) -> float:
        return min(limit_sec, repeats * max(images * steps * pass_sec, steps * FASTEST_SEC))

    modes, repeats = 1 + len(measure.speed_modes), 1 + THROUGHPUT_REPEATS  # one is for warm-up
    sizes = [*measure.speed_batch_sizes, *(max(measure.speed_batch_sizes) for _ in measure.speed_modes)]
    taken = sum(series(size, settings[0], repeats, measure.speed_limit_sec) for size in sizes)
    taken += sum(series(max(sizes), steps, repeats, measure.speed_limit_sec) for steps in settings[1:])
    return taken + modes * series(1, settings[0], LATENCY_REPEATS, measure.latency_limit_sec)
