"""The headline's samples in other feature spaces than the headline's: the same images, and the distances there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.machine.clock import Clock
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality import metrics
from equibench.measure.quality.reference import features_of, reference_of_features
from equibench.record.base import Scalar
from equibench.record.schema import InSpace
from equibench.run.session import Session
from equibench.run.work import Found, Work, attempt, needed


def spaces(work: Work, found: Found) -> Found:
    """Quality of the headline's samples in every other space that the suite names; one that fails leaves the others."""
    for extractor in work.session.more:
        name = extractor.info.name
        work.tell(f"quality ({name})", 0.0)
        images = needed(found.images)
        measure = partial(in_space, work.session, work.clock, extractor, images, work.options)
        there, found = attempt(found, f"spaces, {name}", measure)
        if there is not None:
            found = found.plus(spaces=[*found.results.spaces, there])
    return found


def in_space(
    session: Session,
    clock: Clock,
    extractor: Extractor,
    images: NDArray[np.uint8],
    options: Mapping[str, Scalar],
    known: bool = False,
) -> InSpace:
    """All metrics and intervals of images `[N, C, H, W]` in another space, as the headline's are measured. `known`:
    they are images of the data, whose features are kept.
    """
    measure, test = session.suite.measure, session.reference_images
    with clock.part("features"):
        features = features_of(images, extractor, session.cache) if known else extractor(images)
        of_reference = features_of(test, extractor, session.cache)
    with clock.part("quality"):
        quality = metrics.measure(
            torch.from_numpy(features).to(extractor.device),
            reference_of_features("test", test, of_reference, extractor, session.cache),
            extractor,
            options=options,
            splits=measure.splits,
            resamples=measure.resamples,
            also=True,
        )
    return InSpace(name=extractor.info.name, quality=quality)
