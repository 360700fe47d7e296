"""Pixels as features: no network, so that it needs no weights and knows nothing of what images show."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from equibench.hashing import digest
from equibench.measure.features.extractor import Extractor, make_extractor

SIDE = 8
PREPROCESSING = f"mean of levels in 0..1 over {SIDE}x{SIDE} equal parts, grey repeated to RGB"


def pixels(device: torch.device) -> Extractor:
    """Levels in [0, 1], averaged to 8x8 for each of three channels: 192 dimensions. A distance of these sees colours
    and the coarse layout alone.
    """

    def features(images: Tensor) -> Tensor:
        small = F.adaptive_avg_pool2d(images.float() / 255, (SIDE, SIDE))
        return small.expand(-1, 3, -1, -1).flatten(1)

    return make_extractor("pixels", digest(PREPROCESSING), PREPROCESSING, 3 * SIDE**2, features, device, bfloat16=False)
