"""Bits per dimension from nats: of single images, their mean and its error, and of importance weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # [N, C, H, W]


def bits_per_dim(nats: float, dims: int) -> float:
    """Nats per image -> bits per sub-pixel: nats / (dims ln 2). For 8-bit data a uniform model gives exactly 8."""
    return nats / (dims * math.log(2))


def summarize(nats: NDArray[np.float64], dims: int) -> tuple[float, float]:
    """Mean bits per dimension and its standard error over images, from nats `[passes, N]` averaged over the passes."""
    per_image = nats.mean(axis=0)
    apart = per_image - per_image[0]  # sums of differences keep the digits that sums of nats would lose
    stderr = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    return bits_per_dim(float(per_image[0] + apart.mean()), dims), bits_per_dim(float(stderr), dims)


def importance_weighted(nats: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """-log of the mean of k weights, nats `[N]` an image, for k = 1, then from K down by halves: a rising list that
    ends at K. `nats`: -log weights `[K, N]`.

    For k < K the K weights are cut into K // k groups, over which the bound is averaged. By Jensen's inequality the
    bound at 2k over the same weights is never above that at k (Burda et al. 2016, theorem 1).
    """
    total = len(nats)
    sizes = {1, total}
    while total % 2 == 0:
        total //= 2
        sizes.add(total)
    found = {}
    for k in sorted(sizes):
        groups = -nats[: len(nats) // k * k].reshape(-1, k, nats.shape[1])
        found[k] = -(np.logaddexp.reduce(groups, axis=1) - math.log(k)).mean(axis=0)
    return found
