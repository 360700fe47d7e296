"""Whether samples lie nearer to training images than to others of the same source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.measure.quality.pairwise import nearest
from equibench.record.schema import Memorization


def memorization_test(
    features: Tensor,
    images: NDArray[np.uint8],
    train: NDArray[np.uint8],
    train_features: NDArray[np.float32],
    held_out_features: NDArray[np.float32],
    pictures: int = 8,
    neighbours: int = 3,
) -> tuple[Memorization, NDArray[np.uint8]]:
    """`nearness_test` against as many training as held-out images, and the samples that lie nearest to a training image
    beside their nearest ones: uint8 `[pictures, 1 + neighbours, C, H, W]`.
    """
    n = min(len(train_features), len(held_out_features))
    theirs, others = (torch.from_numpy(part[:n]).to(features.device) for part in (train_features, held_out_features))
    found = nearness_test(features, theirs, others)
    chosen = found.to_train.argsort(stable=True)[:pictures]
    close = torch.cdist(features[chosen], theirs).topk(min(neighbours, n), largest=False).indices.cpu().numpy()
    rows = [np.stack([images[i], *train[near]]) for i, near in zip(chosen.tolist(), close, strict=True)]
    result = Memorization(share_nearer_train=found.share, stderr=found.stderr, p=found.p, n_train=n)
    return result, np.stack(rows)


@dataclass(frozen=True)
class NearnessTest:
    share: float  # of samples whose nearest image is a training one, of as many held-out ones
    stderr: float  # of the share under the hypothesis below
    p: float  # one-sided, of a share as large without memorization
    to_train: Tensor  # squared distance of each sample to its nearest training image, [N]


def nearness_test(samples: Tensor, train: Tensor, held_out: Tensor) -> NearnessTest:
    """Whether `samples` `[N, d]` lie nearer to training images `[n, d]`, in features, than to as many images of the
    same source held out. Raises ValueError where these are not as many.

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
    return NearnessTest(share, stderr, p, to_train)
