"""Reference rows that no one trained: the distance of real images, and the bits of simple models of the data."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.data.parts import drawn_of
from equibench.machine.clock import Clock
from equibench.measure.likelihood.floors import floor
from equibench.measure.quality import metrics
from equibench.measure.quality.distance_parts import distance_parts
from equibench.measure.quality.reference import features_of
from equibench.measuring import Measuring
from equibench.record.anatomy import DistanceParts
from equibench.record.schema import RealDataPoint
from equibench.run.session import Session
from equibench.run.spaces import in_space
from equibench.run.work import Found

REAL_DATA = "real data"


def measure_floor(name: str, session: Session, clock: Clock) -> Found:
    """What a floor's record holds: of `real data` the distance of training images, of any other its bits."""
    if name == REAL_DATA:
        return _real_data(session, clock)
    with clock.part("likelihood"):
        return Found().plus(likelihood=floor(name, session.data.train, session.likelihood_images))


def parts_of(
    session: Session, images: NDArray[np.uint8], features: NDArray[np.float32]
) -> tuple[DistanceParts, dict[str, NDArray[np.uint8]]]:
    """What makes the distance of images `[N, C, H, W]` with these features `[N, d]`, and the pictures that show it."""
    on_device = torch.from_numpy(features).to(session.extractor.device)
    return distance_parts(on_device, images, session.reference, session.reference_images, session.reference_classes)


def _real_data(session: Session, clock: Clock) -> Found:
    """Distances of training images at the headline's number and at that of every other setting, of which the images of
    a smaller number are part of those of a larger one.
    """
    measure, train = session.suite.measure, session.data.train
    numbers = sorted({n for n in _numbers(measure) if n <= len(train)})
    with clock.part("features"):
        # as many as are asked for, or all
        largest = max([measure.samples, *numbers])
        drawn = np.arange(len(train))[drawn_of(train, largest)]
        features = features_of(train[drawn], session.extractor, session.cache)
        _ = session.reference_features  # computed on first use

    def inside(n: int) -> NDArray[np.bool_]:
        return np.isin(drawn, np.arange(len(train))[drawn_of(train, n)])

    def of(n: int) -> NDArray[np.float32]:
        return features[inside(n)]

    with clock.part("quality"):
        found = Found().plus(quality=session.quality(of(measure.samples), {}))
        points = []
        for n in numbers:
            on_device = torch.from_numpy(of(n)).to(session.extractor.device)
            quality = metrics.measure(on_device, session.reference, session.extractor, also=True)
            points.append(RealDataPoint(label=str(n), quality=quality))
        parts, pictures = parts_of(session, train[drawn[inside(measure.samples)]], of(measure.samples))
        drawn_images = train[drawn[inside(measure.samples)]]
    elsewhere = [in_space(session, clock, other, drawn_images, {}, known=True) for other in session.more]
    return found.plus(pictures, real_data_at=points, distance_parts=parts, spaces=elsewhere)


def _numbers(measure: Measuring) -> set[int]:
    """The numbers of samples in settings other than the headline's: the distance of real data is measured at each."""
    found = {min(measure.sweep_samples, measure.samples)} if measure.sampler_points else set()
    found |= {measure.along.samples} if measure.along else set()
    return found - {measure.samples}
