"""Quality along training: the weights that were kept at points of it are sampled, all from one set of noise, and
measured, when the training is over; then the end, in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.machine.clock import Clock
from equibench.measure.quality import metrics
from equibench.record.schema import Likelihood, Quality, Spent, TrainingPoint
from equibench.run import checkpoint, points
from equibench.run.families import resolve_family
from equibench.run.likelihoods import usual
from equibench.run.status import POINTS, UNFINISHED
from equibench.run.work import Found, Work, attempt, needed
from equibench_models.contract import Model

PICTURES = 16  # samples kept of each point
END = points.percent(1)

# (work, n, options, label, generator) -> n samples of the work's model and their features
Sampled = Callable[[Work, int, Mapping[str, Any], str, torch.Generator], tuple[NDArray[np.uint8], NDArray[np.float32]]]


def measure_along(work: Work, found: Found, sampled: Sampled) -> Found:
    """The points of the training that were kept, and its end; weights that were loaded have none. What fails at one
    leaves its place there, with the reason.
    """
    session = work.session
    if not session.suite.measure.along or found.results.loaded:
        return found
    weights = session.out / needed(found.results.checkpoint)
    folder = session.out / UNFINISHED / weights.stem / POINTS
    passed = checkpoint.provenance_of(weights).points
    with work.clock.part("along training"):
        # its sampling and features are no parts of their own: those are what the headline took
        here = replace(work, clock=Clock())
        for one in passed:
            try:
                held = points.load(folder, one)
            except points.PointGoneError as error:  # no failure of what is measured now
                found = _with(found, _inner(one).model_copy(update={"reason": str(error)}))
                continue
            found = _point(here, found, _inner(one), partial(_model, work, held), sampled)
        return _point(here, found, _end(needed(found.results.spent)), lambda: work.model, sampled)


def _point(work: Work, found: Found, point: TrainingPoint, model: Callable[[], Model], sampled: Sampled) -> Found:
    """`found` with the point added, and what its model gives; quality and likelihood may fail independently."""
    at = f"{point.label} of the training"
    pictures = f"along_{point.label.removesuffix(' %')}"
    changes: dict[str, Any] = {}
    arrays: dict[str, NDArray[np.uint8]] = {}
    before = found.results.failures
    loaded, found = attempt(found, at, lambda: replace(work, model=model()))
    if loaded:
        drawn, found = attempt(found, f"quality at {at}", lambda: _quality(loaded, at, sampled))
        if drawn:
            changes = {"quality": drawn[0], "pictures": pictures}
            arrays[pictures] = drawn[1][:PICTURES]
        changes["likelihood"], found = attempt(found, f"likelihood at {at}", lambda: _likelihood(loaded, at))
    why = [reason for what, reason in found.results.failures.items() if what not in before]
    point = point.model_copy(update={**changes, "reason": "; ".join(why) or None})
    return _with(found.plus(arrays), point)


def _with(found: Found, point: TrainingPoint) -> Found:
    return found.plus(along=[*found.results.along, point])


def _inner(kept: points.Passed) -> TrainingPoint:
    return TrainingPoint(
        label=kept.label,
        share=kept.share,
        updates=kept.updates,
        images=kept.images,
        flops=kept.flops,
        train_sec=kept.train_sec,
    )


def _end(spent: Spent) -> TrainingPoint:
    return TrainingPoint(
        label=END,
        share=1.0,
        updates=spent.updates,
        images=spent.images,
        flops=spent.flops,
        train_sec=spent.train_sec,
    )


def _model(work: Work, weights: Mapping[str, Tensor]) -> Model:
    """Another model than the cell's, which stays as it is."""
    model = resolve_family(work.family).build(work.config, work.session.data.shape)
    model.load_state_dict(weights)
    return model.to(work.session.device)


def _quality(work: Work, at: str, sampled: Sampled) -> tuple[Quality, NDArray[np.uint8]]:
    session, setting = work.session, needed(work.session.suite.measure.along)
    images, features = sampled(work, setting.samples, work.options, f"({at})", work.generator("along"))
    on_device = torch.from_numpy(features).to(session.extractor.device)
    found = metrics.measure(on_device, session.reference, session.extractor, options=work.options, also=True)
    return found, images


def _likelihood(work: Work, at: str) -> Likelihood:
    setting = needed(work.session.suite.measure.along)
    images = work.session.likelihood_images[: setting.likelihood_images]
    return usual(work, images, f"likelihood ({at})")[0]
