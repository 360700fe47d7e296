"""What makes the distance between samples and real images: which images, and which classes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.data.classes import Classes
from equibench.measure.quality.frechet import ROWS, Statistics, statistics
from equibench.measure.quality.metrics import LARGEST
from equibench.measure.quality.pairwise import nearest_both
from equibench.measure.quality.reference import Reference, drawn
from equibench.record.anatomy import DistanceParts

PICTURES = 12  # of the images that no sample comes near, and of the samples far from all images
ROWS_SHOWN, NEIGHBOURS = 6, 3  # images beside their nearest ones of the other side
MISSED, FARTHEST = "distance_missed", "distance_farthest"
BESIDE_REAL, BESIDE_SAMPLES = "distance_samples_beside_real", "distance_real_beside_samples"
Images = NDArray[np.uint8]


def distance_parts(
    features: Tensor, images: Images, reference: Reference, real: Images, classes: Classes | None
) -> tuple[DistanceParts, dict[str, Images]]:
    """What makes the distance of samples, uint8 `images` `[N, C, H, W]` with `features` `[N, d]`, from a reference's
    `real` images `[M, C, H, W]`, whose `classes` may be known. Pictures are in the dictionary, under the keys that the
    parts name; nothing where features leave the range of floats. Raises ValueError for imported statistics.

    A sample comes near a real image where it is within the ball around it to its fifth nearest other real image, as for
    coverage (Naeem et al. 2020). An image that no sample comes near is the farther, the more the distance to its
    nearest sample exceeds that radius; so an image that is odd among real ones, too, does not count for that alone.
    A sample is as far as its nearest real image. Of few images, which have no radii, the distances alone count.
    """
    near = _nearness(features, reference)
    if near is None:
        return DistanceParts(), {}
    to_real, which_real, beyond, theirs = near
    order = beyond.argsort(descending=True, stable=True)[:PICTURES]
    missed = order[beyond[order] > 0].cpu().numpy()
    far = to_real.argsort(descending=True, stable=True)[:PICTURES].cpu().numpy()
    arrays = {
        MISSED: real[missed],
        FARTHEST: images[far],
        BESIDE_REAL: _beside(features, images, theirs, real),
        BESIDE_SAMPLES: _beside(theirs, real, features, images),
    }
    arrays = {key: pictures for key, pictures in arrays.items() if len(pictures)}
    kept = {field: key for field, key in _KEYS.items() if key in arrays}
    shares = _shares(features, reference, classes, which_real, beyond <= 0) if classes is not None else {}
    return DistanceParts(**kept, **shares), arrays


def class_parts(features: Tensor, reference: Reference, classes: Classes) -> DistanceParts:
    """What `distance_parts` gives by class, without its pictures: the images themselves are not needed."""
    near = _nearness(features, reference)
    return (
        DistanceParts(**_shares(features, reference, classes, near.which, near.beyond <= 0))
        if near
        else DistanceParts()
    )


class _Nearness(NamedTuple):
    """How near samples and real images are to each other."""

    to_real: Tensor  # squared distance of each sample to its nearest real image, [N]
    which: Tensor  # that image, [N]
    beyond: Tensor  # of each real image, how far its nearest sample is outside its ball: [M], at most 0 inside
    real: Tensor  # features of real images, [M, d]


def _nearness(features: Tensor, reference: Reference) -> _Nearness | None:
    """None where features leave the range of floats."""
    if reference.features is None or reference.within is None:
        raise ValueError("the reference is imported statistics, which hold no features")
    if max(float(side.abs().max()) for side in (features, reference.features)) > LARGEST:
        return None
    to_real, which, to_sample = nearest_both(features, reference.features)
    radii = reference.within.radii
    beyond = to_sample.sqrt() - (0.0 if radii is None else radii[1].to(to_sample).sqrt())
    return _Nearness(to_real, which, beyond, reference.features)


_KEYS = {"missed": MISSED, "farthest": FARTHEST, "neighbours": BESIDE_REAL, "real_neighbours": BESIDE_SAMPLES}


def _beside(some: Tensor, images: Images, others: Tensor, pictures: Images) -> Images:
    """A few of the images, drawn, each with its nearest of the other side: uint8 `[n, 1 + k, C, H, W]`."""
    chosen = drawn(len(some), ROWS_SHOWN)
    near = torch.cdist(some[torch.from_numpy(chosen).to(some.device)], others)
    places = near.topk(min(NEIGHBOURS, len(others)), largest=False).indices.cpu().numpy()
    return np.stack([np.stack([images[i], *pictures[row]]) for i, row in zip(chosen, places, strict=True)])


def _shares(
    features: Tensor, reference: Reference, classes: Classes, which_real: Tensor, reached: Tensor
) -> dict[str, dict[str, float]]:
    """The shares of `DistanceParts` by the names of classes."""
    of_real = torch.from_numpy(classes.of_images).to(features.device)

    def by_class(weights: Tensor, where: Tensor) -> Tensor:
        sums = torch.zeros(len(classes.names), dtype=torch.float64, device=features.device)
        return sums.index_add_(0, where, weights.double())

    counts = by_class(torch.ones_like(of_real), of_real)
    found = {
        "real_shares": counts / len(of_real),
        "sample_shares": by_class(torch.ones_like(which_real), of_real[which_real]) / len(which_real),
        "reached_shares": by_class(reached, of_real) / counts,
    }
    assert reference.features is not None
    if min(len(features), len(of_real)) > features.shape[1]:  # as many as the distance itself needs
        moves = by_class(contributions(reference.features, reference.statistics, statistics(features)), of_real)
        if float(moves.sum()) > 0:
            found["class_shares"] = moves / moves.sum()
    return {field: dict(zip(classes.names, shares.tolist(), strict=True)) for field, shares in found.items()}


def contributions(real: Tensor, reference: Statistics, samples: Statistics) -> Tensor:
    """What each real image adds to the Frechet distance, `[M]` float64, none below 0: their mean is the distance.

    The distance is the least mean squared way on which one Gaussian, N(m, S) of the M real images, is moved to the
    other, N(m', S') of the samples (Dowson and Landau 1982; Givens and Shortt 1984), by the linear map

        T(x) = m' + A (x - m),  A = S^(-1/2) (S^(1/2) S' S^(1/2))^(1/2) S^(-1/2),

    and |x - T(x)|^2 has the distance as its mean over anything with the moments m and S, the real images themselves
    among them. So each image's squared way is its part, and the parts of the images of a class add up to that of the
    class: images move far where the samples lack what is theirs. With z = x - m, D = m' - m and B = A - 1 the part is
    |D + B z|^2 + |B z|^2 / (M - 1), as covariances have the divisor M - 1.

    With S = R^T R, A = R^(-1) (R S' R^T)^(1/2) R^(-T). Directions in which real images do not vary at all add nothing,
    so what samples vary in these is left out, and the sum is less than the distance by it.
    """
    root = reference.root
    values, vectors = torch.linalg.eigh(root @ samples.covariance @ root.mT)
    inner = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    if bool((root.tril(-1) == 0).all()):
        half = torch.linalg.solve_triangular(root, inner, upper=True)
        onward = torch.linalg.solve_triangular(root, half.mT, upper=True)
    else:
        inverse = torch.linalg.pinv(root)
        onward = inverse @ inner @ inverse.mT
    move = (onward - torch.eye(len(onward), dtype=onward.dtype, device=onward.device)).to(real)
    shift = (samples.mean - reference.mean).to(real)
    found = torch.empty(len(real), dtype=torch.float64, device=real.device)
    for rows, out in zip(real.split(ROWS), found.split(ROWS), strict=True):
        moved = (rows.double() - reference.mean).to(rows) @ move.mT
        out.copy_((moved + shift).square().sum(1) + moved.square_().sum(1) / (reference.n - 1))
    return found
