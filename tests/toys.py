"""Small images and a feature network of pixels."""

from __future__ import annotations

import numpy as np
import torch

from equibench.measure.features import extractor as features
from equibench.record.schema import FeatureInfo

CPU = torch.device("cpu")


RNG = np.random.default_rng(0)


IMAGES = RNG.integers(0, 256, (160, 1, 8, 8), dtype=np.uint8)


def extractor(dims=6, **identity):
    """A random projection of the pixels, counted as often as it is used."""
    matrix = torch.randn(192, dims, generator=torch.Generator().manual_seed(0)) / 500
    calls = []

    def network(images):
        calls.append(len(images))
        return images.expand(-1, 3, -1, -1).flatten(1).float() @ matrix

    info = FeatureInfo(name="toy", weights_sha256="0" * 64, preprocessing="none", dims=dims)
    made = features.Extractor(info.model_copy(update=identity), "FD", network, CPU)
    object.__setattr__(made, "calls", calls)
    return made


def features_of(images, network):
    return torch.from_numpy(network(images))
