"""Sliced Wasserstein distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equibench.stats import Estimate

AT_ONCE = 100  # directions: more would not fit a cache, nor, of many images, the memory


class Projections:
    """Sliced 2-Wasserstein distances to one set `y` `[N, d]` (Rabin et al. 2011): the root of the mean over random
    directions of the squared distance of the projections, which is that of their sorted values.
    """

    def __init__(self, y: Tensor, directions: int, seed: int) -> None:
        drawn = torch.randn(y.shape[1], directions, generator=torch.Generator().manual_seed(seed))
        self._directions = (drawn / drawn.norm(dim=0)).to(y)
        self._sorted = torch.cat([_sorted(y, some) for some in self._directions.split(AT_ONCE, dim=1)], dim=1)

    def distance(self, x: Tensor) -> Estimate:
        """Of `x` `[N, d]`, as many as `y`. The standard error is over directions; the distance itself is too large by
        what N leaves open, as any such is.
        """
        if len(x) != self._sorted.shape[0]:
            raise ValueError(f"sets of the same size are needed, not {len(x)} and {self._sorted.shape[0]}")
        parts = zip(self._directions.split(AT_ONCE, dim=1), self._sorted.split(AT_ONCE, dim=1), strict=True)
        squares = torch.cat([(_sorted(x, some) - theirs).double().square().mean(0) for some, theirs in parts])
        value = float(squares.mean().sqrt())
        error = float(squares.std() / math.sqrt(len(squares)))
        return Estimate(value, error / (2 * value) if value else 0.0)  # of a square root, by the chain rule


def _sorted(x: Tensor, directions: Tensor) -> Tensor:
    """Projections of `x` on some directions, each sorted."""
    return (x @ directions).sort(0).values
