"""The Frechet distance between sets of features, of parts and resamples too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from equibench_models.cores import of_each

ROWS = 500  # images that are worked on at a time: more would not fit the processor's cache
HELD = 2**20  # feature values that each worker holds in float64 at a time
MANY_IMAGES_PER_DIM = 16  # beyond it, whitening each image takes more than whitening the sum of their products
COLUMNS = 256  # of a symmetric product that are computed at a time
WORKERS = 4  # draws at once, each with sums of its own
T = TypeVar("T")


@dataclass(frozen=True)
class Statistics:
    """First two moments of a set of features: count, mean `[d]`, covariance `[d, d]` (divisor n - 1), all float64."""

    n: int
    mean: Tensor
    covariance: Tensor

    @cached_property
    def root(self) -> Tensor:
        """R with R^T R = covariance: Cholesky where it is positive definite, eigenvectors where it is singular."""
        lower: Tensor
        lower, failed = torch.linalg.cholesky_ex(self.covariance)
        if not failed:
            return lower.mT
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = values.clamp(min=0).sqrt()[:, None] * vectors.mT
        return root


def statistics(features: Tensor) -> Statistics:
    """Moments of features `[N, d]`, streamed through float64. Raises ValueError below two rows or for values that are
    not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be [N, d] with N >= 2, not {list(features.shape)}")
    mean = _mean(features)
    scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=features.device)
    for part in features.split(ROWS):
        _add_lower(scatter, part.double() - mean)
    return Statistics(len(features), mean, _mirrored(scatter) / (len(features) - 1))


def _mean(features: Tensor) -> Tensor:
    parts = features.split(ROWS)
    # made once: small results kept between large ones that go would leave holes in the memory as large as all features
    sums = features.new_empty(len(parts), features.shape[1], dtype=torch.float64)
    for part, total in zip(parts, sums, strict=True):
        total.copy_(part.double().sum(0))
    mean = sums.sum(0) / len(features)
    if not mean.isfinite().all():
        raise ValueError("features hold NaN or infinity")
    return mean


def _add_lower(total: Tensor, rows: Tensor) -> None:
    """Add the lower half of rows^T rows to `total`, in a few blocks of columns; what lies above means nothing."""
    for first in range(0, len(total), COLUMNS):
        columns = slice(first, first + COLUMNS)
        total[first:, columns] += rows[:, first:].mT @ rows[:, columns]


def _mirrored(lower: Tensor) -> Tensor:
    return lower.tril() + lower.tril(-1).mT


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians (Dowson & Landau 1982; Heusel et al. 2017, FID):

        |mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)).

    The eigenvalues of S_a S_b are those of the symmetric positive semi-definite R S_a R^T with S_b = R^T R, so one
    factorisation, kept with `b`, and symmetric eigenvalues give the trace, without the square root of a general
    matrix. The result is clipped at 0, below which only rounding can lead. Raises ValueError where the sizes of the
    features differ.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"feature sizes differ: {a.mean.shape[0]} and {b.mean.shape[0]}")
    cross = _sum_of_roots(b.root @ a.covariance @ b.root.mT)
    return _combine(a.mean, a.covariance.trace(), b, cross)


def _sum_of_roots(symmetric: Tensor) -> Tensor:
    """tr(M^(1/2)) of a positive semi-definite M, up to rounding; NaN where M has left the range of floats."""
    if not symmetric.isfinite().all():
        return symmetric.new_tensor(math.nan)
    total: Tensor = torch.linalg.eigvalsh(symmetric).clamp(min=0).sqrt().sum()
    return total


def _combine(mean: Tensor, trace: Tensor, b: Statistics, cross: Tensor) -> float:
    return max(float((mean - b.mean).square().sum() + trace + b.covariance.trace() - 2 * cross), 0.0)


class Resampler:
    """Frechet distances to `reference` of parts and resamples of one set of features `[N, d]`.

    What all draws share is computed once: the features in the reference's whitened frame, y = R (x - mean), in which
    R S R^T of a draw is the covariance of its y. Of very many images the products of x are summed instead, and each sum
    is whitened: that takes no copy of the features in float64. Raises ValueError for features that are not finite.
    """

    def __init__(self, features: Tensor, reference: Statistics) -> None:
        self._reference = reference
        self._features = features
        self._rows = max(HELD // features.shape[1], 1)
        self._centre = _mean(features)
        self._squares = features.new_empty(len(features), dtype=torch.float64)
        for part, squares in zip(features.split(self._rows), self._squares.split(self._rows), strict=True):
            squares.copy_((part.double() - self._centre).square().sum(1))
        self._whitened: Tensor | None = None
        if len(features) <= MANY_IMAGES_PER_DIM * features.shape[1]:
            self._whitened = (features.double() - self._centre) @ reference.root.mT
        self._all = self._scatter(self._squares.new_ones(len(features)))

    def _scatter(self, counts: Tensor) -> Tensor:
        """The sum of y y^T, `[d, d]`, each image counted so often."""
        root = self._reference.root
        total = torch.zeros_like(root)
        for start in range(0, len(counts), self._rows):
            some = counts[start : start + self._rows]
            drawn = some.nonzero().squeeze(1)
            if self._whitened is not None:
                rows = self._whitened[start + drawn]
            else:
                rows = self._features[start + drawn].double() - self._centre
            _add_lower(total, rows.mul_(some[drawn].sqrt()[:, None]))
        total = _mirrored(total)
        return total if self._whitened is not None else root @ total @ root.mT

    def whole(self) -> float:
        """`frechet_distance` of all features."""
        return self._distance(self._squares.new_ones(len(self._features)), self._all)

    def influence(self) -> Tensor:
        """How much each image moves the distance T, `[N]` float64: (N - 1)(T - T without it), to second order in 1 / N.

        First order: the influence function (Hampel 1974), the derivative of T where a share e of the samples' law moves
        to the point x. With c = x - mean, the mean moves by e c and the covariance S by e (c c^T N / (N - 1) - S), and
        the derivative of tr(M^(1/2)), M = R S R^T, with respect to S is R^T M^(-1/2) R / 2: x moves the distance by

            2 c.(mean - mean_ref) + (|c|^2 - y^T M^(-1/2) y) N / (N - 1), y = R c, less the mean of that over x.

        One symmetric eigenvalue problem, M = V diag(l) V^T, gives the last term as the sum of p / r, p = (V^T y)^2 and
        r = l^(1/2).

        Second order: less h(x, x) / 2 (N - 1), h the second derivative in the direction of x. Only the root has a part
        in it: by the divided differences of its derivative, h = 2 p^T K p + sum(p / r) but for a constant, with
        K_kl = 1 / 2 r_k r_l (r_k + r_l). Without it images that decide on directions of their own, as there are few a
        dimension or tails are heavy, would seem to move the distance too little.
        """
        n = len(self._features)
        values, vectors = torch.linalg.eigh(self._all / (n - 1))
        # directions that are left of rounding alone: what they add is of the order of the root of these values
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        vectors, roots = vectors[:, kept], values[kept].sqrt()
        basis = vectors if self._whitened is not None else self._reference.root.mT @ vectors
        shift = 2 * (self._centre - self._reference.mean)
        second = 1 / (2 * roots[:, None] + 2 * roots)  # K of p / r: neither leaves the range of floats
        moved = torch.empty_like(self._squares)
        for start in range(0, n, self._rows):
            here = slice(start, start + self._rows)
            rows = self._features[here].double() - self._centre
            p = ((rows if self._whitened is None else self._whitened[here]) @ basis).square() / roots
            first = rows @ shift + (self._squares[here] - p.sum(1)) * (n / (n - 1))
            moved[here] = first - ((p @ second) * p).sum(1) / (n - 1) - p.sum(1) / (2 * (n - 1))
        return moved

    def stderr(self) -> float:
        """Standard error of the distance over the samples, the jackknife's (Tukey 1958) to second order. Of samples
        that are as good as the reference it is too large, by up to a half: there the distance is all bias of N, and
        its spread is of second order itself.
        """
        return float(self.influence().std() / math.sqrt(len(self._features)))

    def halves(self, draws: int, seed: int) -> list[float]:
        """Distances of random halves, without replacement: both halves of each of `draws` splits. The splits depend on
        N and `seed` alone, so that sets of the same size are split alike.
        """
        generator = torch.Generator().manual_seed(seed)
        n, device = len(self._features), self._features.device

        def both(first: Tensor) -> tuple[float, float]:
            inside = torch.zeros(n, dtype=torch.float64, device=device).index_fill_(0, first, 1.0)
            scatter = self._scatter(inside)
            return self._distance(inside, scatter), self._distance(1 - inside, self._all - scatter)

        firsts = [torch.randperm(n, generator=generator)[: n // 2].to(device) for _ in range(draws)]
        return [distance for pair in _at_once(both, firsts) for distance in pair]

    def bootstrap(self, draws: int, seed: int) -> list[float]:
        """Distances of `draws` resamples of N rows with replacement (Efron 1979)."""
        generator = torch.Generator().manual_seed(seed)
        n, device = len(self._features), self._features.device

        def resampled(counts: Tensor) -> float:
            return self._distance(counts, self._scatter(counts))

        drawn = [torch.randint(n, (n,), generator=generator).bincount(minlength=n) for _ in range(draws)]
        return _at_once(resampled, [counts.double().to(device) for counts in drawn])

    def _distance(self, counts: Tensor, scatter: Tensor) -> float:
        """The distance of the features, each counted as often as `counts` says; `scatter` is the sum of y y^T over
        them.
        """
        n = counts.sum()
        parts = counts.split(self._rows), self._features.split(self._rows)
        shifts = counts.new_empty(len(parts[0]), self._features.shape[1])
        for some, part, total in zip(*parts, shifts, strict=True):
            total.copy_(some @ (part.double() - self._centre))
        shift = shifts.sum(0) / n  # of the draw's mean from that of all
        whitened_shift = self._reference.root @ shift
        covariance = (scatter - n * torch.outer(whitened_shift, whitened_shift)) / (n - 1)
        trace = (counts @ self._squares - n * shift.square().sum()) / (n - 1)
        return _combine(self._centre + shift, trace, self._reference, _sum_of_roots(covariance))


def _at_once(job: Callable[[Tensor], T], draws: Sequence[Tensor]) -> list[T]:
    """`job` of each draw; on a processor several at once, as one eigenvalue problem hardly gains from a second core."""
    on_cpu = all(draw.device.type == "cpu" for draw in draws)
    return of_each(job, draws, WORKERS if on_cpu else 1)
