"""Training images that are held out to choose settings by. The test images take no part in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from equibench.data.parts import drawn_order
from equibench.data.sets import Dataset
from equibench.hashing import image_digests
from equibench.protocol import VALIDATION_SEED

MOST_IMAGES = 10_000


def held_out(data: Dataset, share: float) -> Dataset:
    """The data to tune on: its training images without a share of them, at most MOST_IMAGES, which stand where the test
    images stood. They are drawn by their pixels and the protocol's seed, so that they are the same for all entrants and
    trials; an image that is there several times is on one side alone.
    """
    digests = image_digests(data.train)
    n = min(round(share * len(digests)), MOST_IMAGES)
    names = digests.copy().view("V32").ravel()
    chosen = np.isin(names, names[drawn_order(digests, VALIDATION_SEED)[:n]])
    labels = data.train_labels
    return replace(
        data,
        name=f"{data.name}-tuning",
        train=data.train[~chosen],
        test=data.train[chosen],
        train_labels=None if labels is None else labels[~chosen],
        test_labels=None if labels is None else labels[chosen],
    )
