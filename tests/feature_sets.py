"""Two sets of features that are not alike."""

from __future__ import annotations

import numpy as np
import torch


def sets(n=200, d=12):
    rng = np.random.default_rng(n + d)
    mixing = rng.normal(size=(d, d))
    x, y = rng.normal(size=(n, d)) @ mixing, rng.normal(size=(n + 50, d)) @ (mixing + 0.3) + 0.5
    return torch.from_numpy(x), torch.from_numpy(y)
