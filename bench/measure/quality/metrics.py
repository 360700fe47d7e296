"""Images to a `Quality`: every sample metric that applies at the number of images at hand, by rule."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from equibench import intervals
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality import frechet, pairwise
from equibench.measure.quality.reference import Reference, drawn
from equibench.measure.quality.sliced import Projections
from equibench.protocol import BOOTSTRAP_SEED, PROJECTION_SEED, SPLIT_SEED
from equibench.record.base import Scalar
from equibench.record.schema import Quality, SampleMetric
from equibench.stats import Estimate

PROJECTIONS = 1000
LARGEST = 1e15  # of a feature: far beyond it squared distances leave the range of float32
BEYOND = "features as large as these leave the range of floats"
STDERR_METHOD = "jackknife over samples, by the influence function to second order"
FEWEST_FOR_NEIGHBOURS = 100  # balls around fewer images say nothing of a manifold


def measure(
    features: Tensor,
    reference: Reference,
    extractor: Extractor,
    *,
    options: Mapping[str, Scalar] | None = None,
    splits: int = 0,
    resamples: int = 0,
    also: bool = False,
) -> Quality:
    """Quality of samples by their `features` `[N, d]`. `splits` into halves and bootstrap `resamples` give the
    intervals of the Frechet distance, none if 0; `also` adds the other metrics.

    A Frechet distance needs more images than dimensions, on both sides (protocol, rule 6); without it the others stand.
    """
    n, m, d = len(features), reference.statistics.n, extractor.info.dims
    found = Quality(
        metric=extractor.metric,
        value=None,
        n_samples=n,
        n_reference=m,
        reference=reference.name,
        reference_sha256=reference.images_sha256,
        features=extractor.info,
        options=dict(options or {}),
    )
    few = min(n, m or n)
    changes: dict[str, object] = {}
    if few <= d:
        changes["reason"] = (
            f"{few} images are too few for the {d} dimensions of {extractor.info.name}: their covariance is singular"
        )
    else:
        changes |= _frechet(features, reference, splits, resamples)
    if also:
        changes["also"] = _others(features, reference, extractor)
    return found.model_copy(update=changes)


def _frechet(features: Tensor, reference: Reference, splits: int, resamples: int) -> dict[str, object]:
    draw = frechet.Resampler(features, reference.statistics)
    value = draw.whole()
    if not math.isfinite(value):
        return {"reason": BEYOND}
    if not splits or not resamples:
        return {"value": value}
    halves, resampled = draw.halves(splits, SPLIT_SEED), draw.bootstrap(resamples, BOOTSTRAP_SEED)
    stderr = draw.stderr()
    corrected, corrected_interval = intervals.corrected(value, halves, resampled)
    return {
        "value": value,
        "halves": halves,
        "stderr": stderr,
        "stderr_method": STDERR_METHOD,
        "interval": intervals.at_n(value, stderr),
        "corrected": corrected,
        "corrected_for": "samples",
        "corrected_interval": corrected_interval,
    }


def _others(features: Tensor, reference: Reference, extractor: Extractor) -> list[SampleMetric]:
    n, m = len(features), reference.statistics.n

    def metric(
        name: str, estimate: Estimate | None, higher: bool, reason: str | None = None, pairs: int | None = None
    ) -> SampleMetric:
        if estimate and not all(math.isfinite(one or 0.0) for one in dataclasses.astuple(estimate)):
            estimate, reason = None, BEYOND
        return SampleMetric(
            name=name,
            value=estimate.value if estimate else None,
            stderr=estimate.stderr if estimate else None,
            stderr_over="samples" if estimate and estimate.stderr is not None else None,
            stderr_with_reference=estimate.stderr_with_reference if estimate else None,
            reason=reason,
            higher_is_better=higher,
            n_samples=pairs or n,
            n_reference=pairs or m,
        )

    kernel = "KID" if extractor.metric == "FID" else "KD"
    shapes = ("precision", "recall", "density", "coverage")
    theirs = reference.features
    if theirs is None:
        why = "the reference is imported statistics, which hold no features"
        lower = [metric(name, None, False, why) for name in (kernel, "sliced Wasserstein")]
        return [lower[0], *(metric(name, None, True, why) for name in shapes), lower[1]]
    distance, balls = pairwise.compare_pairs(features, theirs, reference.within)
    found = [metric(kernel, distance, False)]
    if max(float(side.abs().max()) for side in (features, theirs)) > LARGEST:
        found += [metric(name, None, True, BEYOND) for name in shapes]
    elif balls is None or min(n, m) < FEWEST_FOR_NEIGHBOURS:
        why = f"{min(n, m)} images are too few for balls around neighbours; {FEWEST_FOR_NEIGHBOURS} are needed"
        found += [metric(name, None, True, why) for name in shapes]
    else:
        found += [metric(name, getattr(balls, name), True) for name in shapes]
    pairs = min(n, m)
    sliced = _projections(reference, pairs).distance(_some(features, pairs))
    return [*found, metric("sliced Wasserstein", sliced, False, pairs=pairs)]


@functools.lru_cache(maxsize=1)  # the same reference for all entrants: half of the work is its own
def _projections(reference: Reference, n: int) -> Projections:
    assert reference.features is not None
    return Projections(_some(reference.features, n), PROJECTIONS, PROJECTION_SEED)


def _some(features: Tensor, n: int) -> Tensor:
    """The features of `n` images that are drawn; no copy where that is all."""
    return features if n == len(features) else features[torch.from_numpy(drawn(len(features), n)).to(features.device)]
