"""Sliced Wasserstein distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equibench.stats import Estimate


class Projections:
    """Sliced 2-Wasserstein distances to one set `y` `[N, d]` (Rabin et al. 2011): the root of the mean over random
    directions of the squared distance of the projections, which is that of their sorted values.
    """

    def __init__(self, y: Tensor, directions: int, seed: int) -> None:
        drawn = torch.randn(y.shape[1], directions, generator=torch.Generator().manual_seed(seed))
        self._directions = (drawn / drawn.norm(dim=0)).to(y)
        self._sorted = self._projected(y)

    def distance(self, x: Tensor) -> Estimate:
        """Of `x` `[N, d]`, as many as `y`. The standard error is over directions; the distance itself is too large by
        what N leaves open, as any such is.
        """
        if len(x) != self._sorted.shape[0]:
            raise ValueError(f"sets of the same size are needed, not {len(x)} and {self._sorted.shape[0]}")
        squares = (self._projected(x) - self._sorted).double().square().mean(0)
        value = float(squares.mean().sqrt())
        error = float(squares.std() / math.sqrt(len(squares)))
        return Estimate(value, error / (2 * value) if value else 0.0)  # of a square root, by the chain rule

    def _projected(self, x: Tensor) -> Tensor:
        return torch.cat([(x @ some).sort(0).values for some in self._directions.split(100, dim=1)], dim=1)
