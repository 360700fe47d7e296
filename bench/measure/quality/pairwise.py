"""Distances between sets of features: tensors in, numbers out. No files, no printing; the device is the tensors'.

Moments, eigenvalues and sums are float64; products of features are in the features' own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

ROWS = 500  # of a matrix of pairs that are held at a time: more would not fit a cache
COLUMNS = 256  # of a symmetric product that are computed at a time
WORKERS = 4  # draws at once, each with a copy of the features
PRECISION_NEIGHBOURS = 3  # Kynkaanniemi et al. 2019
COVERAGE_NEIGHBOURS = 5  # Naeem et al. 2020
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
    mean = torch.stack([part.double().sum(0) for part in features.split(ROWS)]).sum(0) / len(features)
    _check_finite(mean)
    scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=features.device)
    for part in features.split(ROWS):
        _add_lower(scatter, part.double() - mean)
    return Statistics(len(features), mean, _mirrored(scatter) / (len(features) - 1))


def _check_finite(mean: Tensor) -> None:
    if not mean.isfinite().all():
        raise ValueError("features hold NaN or infinity")


def _gram(rows: Tensor) -> Tensor:
    """rows^T rows, `[d, d]`."""
    d = rows.shape[1]
    total = rows.new_zeros(d, d)
    _add_lower(total, rows)
    return _mirrored(total)


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
    matrix. The result is clipped at 0, below which only rounding can lead.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"feature sizes differ: {a.mean.shape[0]} and {b.mean.shape[0]}")
    cross = _sum_of_roots(b.root @ a.covariance @ b.root.mT)
    return _combine(a.mean, a.covariance.trace(), b, cross)


def _sum_of_roots(symmetric: Tensor) -> Tensor:
    """tr(M^(1/2)) of a positive semi-definite M, up to rounding."""
    total: Tensor = torch.linalg.eigvalsh(symmetric).clamp(min=0).sqrt().sum()
    return total


def _combine(mean: Tensor, trace: Tensor, b: Statistics, cross: Tensor) -> float:
    return max(float((mean - b.mean).square().sum() + trace + b.covariance.trace() - 2 * cross), 0.0)


class Resampler:
    """Frechet distances to `reference` of parts and resamples of one set of features `[N, d]`.

    What all draws share is computed once: the features in the reference's whitened frame, y = R (x - mean), in which
    R S R^T of a draw is the covariance of its y. Raises ValueError for features that are not finite.
    """

    def __init__(self, features: Tensor, reference: Statistics) -> None:
        self._reference = reference
        self._centre = features.double().mean(0)
        _check_finite(self._centre)
        self._apart = features.double() - self._centre
        self._whitened = self._apart @ reference.root.mT
        self._squares = self._apart.square().sum(1)
        self._all = _gram(self._whitened)

    def whole(self) -> float:
        """`frechet_distance` of all features."""
        return self._distance(torch.ones(len(self._apart)).to(self._apart), self._all)

    def halves(self, draws: int, seed: int) -> list[float]:
        """Distances of random halves, without replacement: both halves of each of `draws` splits. The splits depend on
        N and `seed` alone, so that sets of the same size are split alike.
        """
        generator = torch.Generator().manual_seed(seed)
        n, device = len(self._apart), self._apart.device

        def both(first: Tensor) -> tuple[float, float]:
            scatter = _gram(self._whitened[first])
            inside = torch.zeros(n, dtype=torch.float64, device=device).index_fill_(0, first, 1.0)
            return self._distance(inside, scatter), self._distance(1 - inside, self._all - scatter)

        firsts = [torch.randperm(n, generator=generator)[: n // 2].to(device) for _ in range(draws)]
        return [distance for pair in _of_each(both, firsts) for distance in pair]

    def bootstrap(self, draws: int, seed: int) -> list[float]:
        """Distances of `draws` resamples of N rows with replacement (Efron 1979)."""
        generator = torch.Generator().manual_seed(seed)
        n, device = len(self._apart), self._apart.device

        def resampled(counts: Tensor) -> float:
            drawn = counts.nonzero().squeeze(1)
            weighted = self._whitened[drawn] * counts[drawn].double().sqrt()[:, None]
            return self._distance(counts.double(), _gram(weighted))

        counted = [torch.randint(n, (n,), generator=generator).bincount(minlength=n).to(device) for _ in range(draws)]
        return _of_each(resampled, counted)

    def _distance(self, counts: Tensor, scatter: Tensor) -> float:
        """Of the features, each counted so often; `scatter` is the sum of y y^T over them."""
        n = counts.sum()
        shift = counts @ self._apart / n  # of the draw's mean from that of all
        whitened_shift = self._reference.root @ shift
        covariance = (scatter - n * torch.outer(whitened_shift, whitened_shift)) / (n - 1)
        trace = (counts @ self._squares - n * shift.square().sum()) / (n - 1)
        return _combine(self._centre + shift, trace, self._reference, _sum_of_roots(covariance))


def _of_each(job: Callable[[Tensor], T], draws: Sequence[Tensor]) -> list[T]:
    """`job` of each draw; on a processor several at once, as one eigenvalue problem hardly gains from a second core."""
    threads = torch.get_num_threads()
    if threads == 1 or any(draw.device.type != "cpu" for draw in draws):
        return [job(draw) for draw in draws]
    workers = min(threads, WORKERS)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            return list(pool.map(job, draws))
    finally:
        torch.set_num_threads(threads)  # the mathematics library has one number for all threads of the process


# --- pairs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    value: float
    stderr: float | None


@dataclass(frozen=True)
class Within:
    """What the pairs of one set of features `[N, d]` say."""

    kernel_means: Tensor  # of the kernel of each with all others, [N] float64
    radii: Tensor | None  # squared distance of each to its k-th nearest other, k = 3 and 5: [2, N]; None for N <= 5


@dataclass(frozen=True)
class Manifold:
    """Fidelity and diversity by balls around each point to its k-th nearest neighbour."""

    precision: Estimate  # share of samples in a ball around a real image (k = 3)
    recall: Estimate  # share of real images in a ball around a sample (k = 3)
    density: Estimate  # real balls that hold a sample, over k: 1 on average for equal distributions (k = 5)
    coverage: Estimate  # share of real balls that hold a sample (k = 5)


@dataclass(frozen=True)
class _Block:
    """Some rows of x against all of y, in terms of both without y's mean c: far from it, squares would lose digits."""

    start: int  # the first row's index
    dims: int
    products: Tensor  # (x - c).(y - c), [B, M]
    x_squares: Tensor  # |x - c|^2, [B, 1]
    y_squares: Tensor  # [M]
    x_shift: Tensor  # x.c, [B, 1]
    y_shift: Tensor  # (y - c).c, [M]

    def squared_distances(self) -> Tensor:
        return (self.x_squares + self.y_squares).sub_(self.products, alpha=2).clamp_(min=0)

    def kernel(self) -> Tensor:
        """(x.y / d + 1)^3 (Binkowski et al. 2018, KID)."""
        base = self.products.add(self.x_shift).add_(self.y_shift).div_(self.dims).add_(1)
        return base.square().mul_(base)  # a general power takes several times as long


def _blocks(x: Tensor, y: Tensor) -> Iterator[_Block]:
    """All pairs of `x` and `y`, a few rows of `x` at a time: one product of matrices serves kernel and distances."""
    centre = y.mean(0)
    y = y - centre
    y_squares, y_shift = y.square().sum(1), y @ centre
    for i, rows in enumerate(x.split(ROWS)):
        apart = rows - centre
        squares, shift = apart.square().sum(1, keepdim=True), (rows @ centre)[:, None]
        yield _Block(i * ROWS, x.shape[1], apart @ y.mT, squares, y_squares, shift, y_shift)


def within(features: Tensor) -> Within:
    """Kernel means and radii of features `[N, d]`, N >= 2."""
    n, k = len(features), (PRECISION_NEIGHBOURS, COVERAGE_NEIGHBOURS)
    means, radii = [], []
    for block in _blocks(features, features):
        rows = torch.arange(len(block.products), device=features.device)
        kernel, distances = block.kernel(), block.squared_distances()
        kernel[rows, block.start + rows] = 0
        means.append(kernel.sum(1, dtype=torch.float64) / (n - 1))
        if n > max(k):
            distances[rows, block.start + rows] = -1.0  # itself comes first, also where others are equal to it
            radii.append(distances.topk(max(k) + 1, largest=False).values[:, list(k)].mT)
    return Within(torch.cat(means), torch.cat(radii, dim=1) if radii else None)


def compare_pairs(x: Tensor, y: Tensor, y_within: Within | None = None) -> tuple[Estimate, Manifold | None]:
    """Kernel distance, and precision, recall, density and coverage, of samples `x` `[N, d]` against a reference `y`
    `[M, d]`; the latter four are None where a set has too few for its radii. `y_within` is `within(y)`, where known.

    Kernel distance: the unbiased squared maximum mean discrepancy (Binkowski et al. 2018, KID), over all pairs instead
    of subsets, with its standard error. That is the U-statistic's to first order (Gretton et al. 2012):
    4 var_i(E k(x_i, x) - E k(x_i, y)) / N, and the same for y. It is too wide where both come from one distribution,
    as that variance is then of noise alone.

    Precision and recall as Kynkaanniemi et al. 2019, eq. 1 and 2, density and coverage as Naeem et al. 2020, eq. 3 and
    4. Standard errors: of precision and density over samples, the reference taken as given; recall and coverage have
    none, as one sample moves many balls.
    """
    ours, theirs = within(x), y_within or within(y)
    x_to_y, y_to_x = [], torch.zeros(len(y), dtype=torch.float64, device=y.device)
    in_real, counts = [], []
    recalled = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    covered = torch.zeros_like(recalled)
    for block in _blocks(x, y):
        kernel = block.kernel()
        x_to_y.append(kernel.mean(1, dtype=torch.float64))
        y_to_x += kernel.sum(0, dtype=torch.float64) / len(x)
        if ours.radii is not None and theirs.radii is not None:
            distances, own = block.squared_distances(), ours.radii[0, block.start : block.start + len(kernel), None]
            in_real.append((distances <= theirs.radii[0]).any(1))
            inside = distances <= theirs.radii[1]
            counts.append(inside.sum(1))
            covered |= inside.any(0)
            recalled |= (distances <= own).any(0)
    across = torch.cat(x_to_y)
    value = ours.kernel_means.mean() + theirs.kernel_means.mean() - 2 * across.mean()
    variance = (ours.kernel_means - across).var() / len(x) + (theirs.kernel_means - y_to_x).var() / len(y)
    distance = Estimate(float(value), math.sqrt(4 * float(variance)))
    if not in_real:
        return distance, None
    return distance, Manifold(
        precision=_mean(torch.cat(in_real).double()),
        recall=Estimate(float(recalled.double().mean()), None),
        density=_mean(torch.cat(counts).double() / COVERAGE_NEIGHBOURS),
        coverage=Estimate(float(covered.double().mean()), None),
    )


def _mean(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), float(values.std() / math.sqrt(len(values))))


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to and index of the nearest of `y` for each of `x`, `[N]` each."""
    found = [block.squared_distances().min(1) for block in _blocks(x, y)]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


@dataclass(frozen=True)
class Memorization:
    share: float  # of samples whose nearest image is a training one, of as many held-out ones
    stderr: float  # of the share under the hypothesis below
    p: float  # one-sided, of a share as large without memorization
    to_train: Tensor  # squared distance of each sample to its nearest training image, [N]


def memorization(samples: Tensor, train: Tensor, held_out: Tensor) -> Memorization:
    """Whether `samples` lie nearer to training images than to as many images of the same source held out.

    Without memorization training and held-out images are exchangeable, so the share of samples nearest to a training
    image is 1/2 on average. Its variance over all ways to label n of the 2n images as training is
    n / (2 (2n - 1)) sum_j (w_j - mean w)^2, where w_j is the share of samples that are nearest to image j: sampling
    without replacement, exact, so that it does not matter that samples share neighbours. Ties count half.
    """
    if len(train) != len(held_out):
        raise ValueError(f"as many training as held-out images are needed, not {len(train)} and {len(held_out)}")
    to_train, which_train = nearest(samples, train)
    to_held_out, which_held_out = nearest(samples, held_out)
    first = torch.where(to_train == to_held_out, 0.5, (to_train < to_held_out).double())
    weights = torch.zeros(2 * len(train), dtype=torch.float64, device=samples.device)
    weights.index_add_(0, which_train, first)
    weights.index_add_(0, which_held_out + len(train), 1 - first)
    weights /= len(samples)
    n = len(train)
    variance = n / (2 * (2 * n - 1)) * (weights - weights.mean()).square().sum()
    share, stderr = float(first.mean()), math.sqrt(float(variance))
    p = 0.5 * math.erfc((share - 0.5) / (stderr * math.sqrt(2))) if stderr else 1.0
    return Memorization(share, stderr, p, to_train)


# --- projections -----------------------------------------------------------------------------------------------------


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
