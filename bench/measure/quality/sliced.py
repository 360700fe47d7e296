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
        """The distance of `x`, `[N, d]` and as many as `y`, with its standard error over samples: directions and `y`
        are given, the same for all. The distance itself is too large by what N leaves open, as any such distance is.
        Raises ValueError for another N.

        Error: on a line the squared distance moves with a share of the samples' law that goes to the point x by
        u(x), u'(x) = 2 (x - T(x)), T the map that takes each sample to its partner (Villani 2003; Santambrogio 2015,
        proposition 7.17), less the mean of u over the samples. The means of u over the directions are the samples' own
        influences, so that what they have in common across directions is counted.
        """
        if len(x) != self._sorted.shape[0]:
            raise ValueError(f"sets of the same size are needed, not {len(x)} and {self._sorted.shape[0]}")
        squares, influence = x.new_zeros((), dtype=torch.float64), x.new_zeros(len(x), dtype=torch.float64)
        for some, theirs in zip(
            self._directions.split(AT_ONCE, dim=1), self._sorted.split(AT_ONCE, dim=1), strict=True
        ):
            ours, places = (x @ some).sort(0)
            apart = (ours - theirs).double()
            squares += apart.square().mean(0).sum()
            # u from one sample to the next, by the trapezoid
            steps = (ours[1:] - ours[:-1]).double() * (apart[1:] + apart[:-1])
            potential = torch.cat([steps.new_zeros(1, steps.shape[1]), steps.cumsum(0)])
            influence += torch.zeros_like(potential).scatter_(0, places, potential - potential.mean(0)).sum(1)
        directions = self._directions.shape[1]
        value = math.sqrt(float(squares) / directions)
        error = float((influence / directions).std()) / math.sqrt(len(x)) if len(x) > 1 else 0.0
        return Estimate(value, error / (2 * value) if value else 0.0)  # of a square root, by the chain rule


def _sorted(x: Tensor, directions: Tensor) -> Tensor:
    """Projections of `x` on some directions, each sorted."""
    return (x @ directions).sort(0).values
