"""Quality against speed: each setting of a family's sampler on the same number of samples, the headline's included.

A way of sampling that a family is known by as well as the usual one is measured on as many samples as the headline,
with all metrics, for a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.machine.clock import Clock
from equibench.measure.cost import speed as cost
from equibench.measuring import Measuring
from equibench.record.cost import Speed
from equibench.record.schema import USUAL, Quality, SamplerPoint
from equibench_models.contract import Model

Features = NDArray[np.float32]
Images = NDArray[np.uint8]


class QualityOf(Protocol):
    """The quality of samples: `whole` with all metrics and intervals, else their distance alone."""

    def __call__(self, features: Features, options: Mapping[str, Any], whole: bool) -> Quality: ...


class Drawn(NamedTuple):
    """A setting's point in the sweep, its own row where it is a way that the family is known by, and its samples."""

    point: SamplerPoint
    way: SamplerPoint | None
    images: Images


@dataclass(frozen=True)
class Sweep:
    """What every point is measured with: `sampled(n, options, label)` gives a setting's samples and their features,
    `quality_of` what these are worth, `block(name)` takes note of the machine around what is timed. All have
    `sweep_samples` images, so that the distances compare, and speed at the headline's batch size.
    """

    model: Model
    options: Mapping[str, Any]  # of the headline
    measure: Measuring
    device: torch.device
    clock: Clock
    sampled: Callable[[int, Mapping[str, Any], str], tuple[Images, Features]]
    quality_of: QualityOf
    block: Callable[[str], AbstractContextManager[None]]

    def headline(self, features: Features, speed: Speed) -> SamplerPoint:
        """The headline's setting, on the first of its samples."""
        with self.clock.part("quality"):
            quality = self.quality_of(features[: self.measure.sweep_samples], self.options, whole=False)
        return SamplerPoint(
            label=USUAL,
            options=dict(self.options),
            quality=quality,
            images_per_sec=speed.images_per_sec,
            network_evaluations=speed.network_evaluations,
            flops_per_image=speed.flops_per_image,
        )

    def settings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The family's others, by label: options of `sample`."""
        for label, changed in self.model.samplers.items():
            merged = {**self.options, **changed}
            same = self.model.options_type(**merged) == self.model.options_type(**self.options)
            if not same and self.model.network_evaluations(**merged) <= self.measure.sweep_evaluations:
                yield label, merged

    def point(self, label: str, options: dict[str, Any], n: int, batch_size: int) -> Drawn:
        """One of them, on `n` samples; a way that the family is known by on all that the headline has, too."""
        own_row = label in self.model.ways
        images, features = self.sampled(self.measure.samples if own_row else n, options, label)
        with self.clock.part("quality"):
            quality = self.quality_of(features[:n], options, whole=False)
            whole = self.quality_of(features, options, whole=True) if own_row else None
        with self.clock.part("speed"):
            with self.block(f"speed, {label}"):
                there, _ = cost.throughput(self.model, options, self.device, batch_size, self.measure.speed_limit_sec)
            flops = cost.sampling_flops(self.model, options, self.device)
        assert there.images_per_sec is not None
        point = SamplerPoint(
            label=label,
            options=options,
            quality=quality,
            images_per_sec=there.images_per_sec,
            network_evaluations=self.model.network_evaluations(**options),
            flops_per_image=flops,
        )
        return Drawn(point, point.model_copy(update={"quality": whole}) if whole else None, images)
