"""Quality against speed: each setting of a family's sampler on the same number of samples, the headline's included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.machine.clock import Clock
from equibench.measure.cost import speed as cost
from equibench.record.cost import Speed
from equibench.record.schema import USUAL, Quality, SamplerPoint
from equibench.suite import Measuring
from equibench_models.contract import Model

Features = NDArray[np.float32]


def sampler_points(
    model: Model,
    options: Mapping[str, Any],
    measure: Measuring,
    device: torch.device,
    clock: Clock,
    *,
    headline: tuple[Features, Speed],
    features_of: Callable[[int, Mapping[str, Any], str], Features],
    quality_of: Callable[[Features, Mapping[str, Any]], Quality],
) -> list[SamplerPoint]:
    """The headline's setting, on the first of its samples, then the family's others: `features_of(n, options, label)`
    samples them, `quality_of(features, options)` gives their distance.

    All have `sweep_samples` images, so that the distances compare, and speed at the headline's batch size.
    """
    features, speed = headline
    n = min(measure.sweep_samples, len(features))
    with clock.part("quality"):
        usual = quality_of(features[:n], options)
    points = [
        SamplerPoint(
            label=USUAL,
            options=dict(options),
            quality=usual,
            images_per_sec=speed.images_per_sec,
            network_evaluations=speed.network_evaluations,
            flops_per_image=speed.flops_per_image,
        )
    ]
    for label, changed in model.samplers.items():
        merged = {**options, **changed}
        evaluations = model.network_evaluations(**merged)
        same = model.options_type(**merged) == model.options_type(**options)
        if same or evaluations > measure.sweep_evaluations:
            continue
        found = features_of(n, merged, label)
        with clock.part("quality"):
            quality = quality_of(found, merged)
        with clock.part("speed"):
            there, _ = cost.throughput(model, merged, device, speed.batch_size, measure.speed_limit_sec)
            flops = cost.sampling_flops(model, merged, device)
        assert there.images_per_sec is not None
        points.append(
            SamplerPoint(
                label=label,
                options=merged,
                quality=quality,
                images_per_sec=there.images_per_sec,
                network_evaluations=evaluations,
                flops_per_image=flops,
            )
        )
    return points
