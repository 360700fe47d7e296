"""Probes: how well the classes of images are told from one vector an image, by neighbours and by a linear map."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from equibench.measure.labels.by_class import share_stderr
from equibench.record.labels import Probe

NEIGHBOURS = 20
PENALTY = 1e-3  # on the squared weights of the linear map, a mean over images of unit variance
STEPS = 100  # of L-BFGS at most


def probe(
    name: str,
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    device: torch.device,
) -> Probe:
    """Accuracies on `test` `[M, d]` of what `train` `[N, d]` with its labels `[N]` teaches. Both are scaled so that
    each entry has mean 0 and variance 1 among `train`.
    """
    x, y = (torch.from_numpy(side).to(device).double() for side in (train, test))
    known, right = (torch.from_numpy(labels).to(device) for labels in (train_labels, test_labels))
    mean, deviation = x.mean(0), x.std(0)
    scale = torch.where(deviation > 0, deviation, torch.ones_like(deviation))  # a border that is black in all images
    x, y = (x - mean) / scale, (y - mean) / scale
    classes = int(known.max()) + 1
    knn, linear = (float((of(x, known, y, classes) == right).double().mean()) for of in (by_neighbours, by_linear_map))
    return Probe(
        name=name,
        dims=train.shape[1],
        knn_accuracy=knn,
        knn_stderr=share_stderr(knn, len(right)),
        linear_accuracy=linear,
        linear_stderr=share_stderr(linear, len(right)),
    )


def by_neighbours(x: Tensor, labels: Tensor, y: Tensor, classes: int) -> Tensor:
    """The class of each of `y` `[M, d]` that most of its nearest of `x` `[N, d]` have, by the angle between vectors;
    where several have as many, that of the nearer ones.
    """
    found = []
    there = F.normalize(x.float())
    for rows in F.normalize(y.float()).split(1000):
        near = (rows @ there.mT).topk(min(NEIGHBOURS, len(x)), dim=1)
        votes = torch.zeros(len(rows), classes, dtype=near.values.dtype, device=x.device)
        found.append(votes.scatter_add_(1, labels[near.indices], 1 + near.values / 1000).argmax(1))
    return torch.cat(found)


def by_linear_map(x: Tensor, labels: Tensor, y: Tensor, classes: int) -> Tensor:
    """The class of each of `y` by multinomial logistic regression on `x`, with a penalty on squared weights."""
    weights = torch.zeros(x.shape[1], classes, dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(x @ weights + bias, labels) + PENALTY * weights.square().sum()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        return (y @ weights + bias).argmax(1)


def chance(train_labels: NDArray[np.int64], test_labels: NDArray[np.int64]) -> float:
    """Accuracy of always saying the class that most training images have."""
    return float((test_labels == np.bincount(train_labels).argmax()).mean())
