"""Metrics of all pairs of two sets of features: kernels, and balls around nearest neighbours. Tensors in, numbers out;
the device is the tensors'.

Sums are float64; products of features are in the features' own precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from equibench.measure.quality.frechet import ROWS
from equibench.stats import Estimate

PAIRS = 2**23  # most pairs in a block, which has fewer rows where there are very many images
COPIED = 2**24  # values up to which a centred copy of all features is held; of more, one part at a time is centred
PRECISION_NEIGHBOURS = 3  # Kynkaanniemi et al. 2019
COVERAGE_NEIGHBOURS = 5  # Naeem et al. 2020


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
    parts = y.split(max(COPIED // y.shape[1], 1))
    whole = parts[0] - centre if len(parts) == 1 else None
    y_squares, y_shift = y.new_empty(len(y)), y.new_empty(len(y))
    for part, squares, shift in zip(*(of.split(ROWS) for of in (y, y_squares, y_shift)), strict=True):
        squares.copy_((part - centre).square().sum(1))
        shift.copy_((part - centre) @ centre)
    many = max(min(ROWS, PAIRS // len(y)), 1)
    for i, rows in enumerate(x.split(many)):
        apart = rows - centre
        squares, shift = apart.square().sum(1, keepdim=True), (rows @ centre)[:, None]
        products = apart.new_empty(len(rows), len(y))
        if whole is not None:
            torch.matmul(apart, whole.mT, out=products)
        else:
            for part, columns in zip(parts, products.split(len(parts[0]), dim=1), strict=True):
                columns.copy_(apart @ (part - centre).mT)
        yield _Block(i * many, x.shape[1], products, squares, y_squares, shift, y_shift)


def within(features: Tensor) -> Within:
    """Kernel means and radii of features `[N, d]`, N >= 2."""
    n, k = len(features), (PRECISION_NEIGHBOURS, COVERAGE_NEIGHBOURS)
    # made once: small results kept between large ones that go would leave holes in the memory
    means = features.new_empty(n, dtype=torch.float64)
    radii = features.new_empty(2, n) if n > max(k) else None
    for block in _blocks(features, features):
        rows = torch.arange(len(block.products), device=features.device)
        here = block.start + rows
        kernel, distances = block.kernel(), block.squared_distances()
        kernel[rows, here] = 0
        means[here] = kernel.sum(1, dtype=torch.float64) / (n - 1)
        if radii is not None:
            distances[rows, here] = -1.0  # itself comes first, also where others are equal to it
            radii[:, here] = distances.topk(max(k) + 1, largest=False).values[:, list(k)].mT
    return Within(means, radii)


def compare_pairs(x: Tensor, y: Tensor, y_within: Within | None = None) -> tuple[Estimate, Manifold | None]:
    """Kernel distance, and precision, recall, density and coverage, of samples `x` `[N, d]` against a reference `y`
    `[M, d]`; the latter four are None where a set has too few for its radii. `y_within` is `within(y)`, where known.

    Kernel distance: the unbiased squared maximum mean discrepancy (Binkowski et al. 2018, KID), over all pairs instead
    of subsets, with its standard error over samples, and over samples and reference together. The former is the
    U-statistic's to first order (Gretton et al. 2012), 4 var_i(E k(x_i, x) - E k(x_i, y)) / N; the latter has the same
    of y added. Both are too wide where samples and reference come from one distribution, as those variances are then of
    noise alone.

    Precision and recall as Kynkaanniemi et al. 2019, eq. 1 and 2, density and coverage as Naeem et al. 2020, eq. 3 and
    4. Standard errors: of precision and density over samples, the reference taken as given; recall and coverage have
    none, as one sample moves many balls.
    """
    ours, theirs = within(x), y_within or within(y)
    across, y_to_x = (torch.zeros(len(side), dtype=torch.float64, device=y.device) for side in (x, y))
    in_real, counts = (torch.zeros(len(x), dtype=kind, device=y.device) for kind in (torch.bool, torch.int64))
    recalled = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    covered = torch.zeros_like(recalled)
    for block in _blocks(x, y):
        kernel = block.kernel()
        here = slice(block.start, block.start + len(kernel))
        across[here] = kernel.mean(1, dtype=torch.float64)
        y_to_x += kernel.sum(0, dtype=torch.float64) / len(x)
        if ours.radii is not None and theirs.radii is not None:
            distances = block.squared_distances()
            in_real[here] = (distances <= theirs.radii[0]).any(1)
            inside = distances <= theirs.radii[1]
            counts[here] = inside.sum(1)
            covered |= inside.any(0)
            recalled |= (distances <= ours.radii[0, here, None]).any(0)
    value = ours.kernel_means.mean() + theirs.kernel_means.mean() - 2 * across.mean()
    of_samples = 4 * float((ours.kernel_means - across).var()) / len(x)
    of_reference = 4 * float((theirs.kernel_means - y_to_x).var()) / len(y)
    distance = Estimate(float(value), math.sqrt(of_samples), math.sqrt(of_samples + of_reference))
    if ours.radii is None or theirs.radii is None:
        return distance, None
    return distance, Manifold(
        precision=_mean(in_real.double()),
        recall=Estimate(float(recalled.double().mean()), None),
        density=_mean(counts.double() / COVERAGE_NEIGHBOURS),
        coverage=Estimate(float(covered.double().mean()), None),
    )


def _mean(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), float(values.std() / math.sqrt(len(values))))


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to and index of the nearest of `y` for each of `x`, `[N]` each."""
    distances, indices = x.new_empty(len(x)), torch.empty(len(x), dtype=torch.int64, device=x.device)
    for block in _blocks(x, y):
        found = block.squared_distances().min(1)
        here = slice(block.start, block.start + len(found.values))
        distances[here], indices[here] = found.values, found.indices
    return distances, indices


def nearest_both(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`nearest(x, y)`, `[N]` each, and the squared distance to the nearest of `x` for each of `y`, `[M]`, from one way
    through all pairs.
    """
    distances, indices = x.new_empty(len(x)), torch.empty(len(x), dtype=torch.int64, device=x.device)
    from_y = y.new_full((len(y),), torch.inf)
    for block in _blocks(x, y):
        found = block.squared_distances()
        here = slice(block.start, block.start + len(found))
        distances[here], indices[here] = found.min(1)
        torch.minimum(from_y, found.amin(0), out=from_y)
    return distances, indices, from_y
