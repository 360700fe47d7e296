"""Likelihoods of models that need no training, which any model should beat: fitted on the training split, read off the
test split (protocol, rule 10).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equibench.measure.likelihood.bits import Images, summarize
from equibench.record.schema import Likelihood

CONTEXT_LEVELS = 14


def floor(name: str, train: Images, test: Images) -> Likelihood:
    """The likelihood of `test` under a model that needs no training: a key of NATS. All are exact: each is a proper
    distribution over 8-bit images.
    """
    bits, stderr = summarize(NATS[name](train, test)[None], math.prod(test.shape[1:]))
    return Likelihood(
        kind="exact",
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        dequantization="none",
        n_images=len(test),
        passes=1,
    )


def _uniform(_train: Images, test: Images) -> NDArray[np.float64]:
    return np.full(len(test), math.prod(test.shape[1:]) * math.log(256))


def _global_histogram(train: Images, test: Images) -> NDArray[np.float64]:
    counts = np.bincount(train.ravel(), minlength=256) + 1.0  # Laplace's rule: no level is impossible
    return np.asarray(-np.log(counts / counts.sum())[test].sum(axis=(1, 2, 3)))


def _per_pixel_histogram(train: Images, test: Images) -> NDArray[np.float64]:
    context = np.broadcast_to(np.arange(math.prod(test.shape[1:])).reshape(test.shape[1:]), train.shape)
    return _table(train, context, test, np.broadcast_to(context[0], test.shape))


def _neighbour_table(train: Images, test: Images) -> NDArray[np.float64]:
    return _table(train, _neighbours(train), test, _neighbours(test))


def _neighbours(images: Images) -> NDArray[np.int64]:
    """Context of each sub-pixel: its left, upper and upper-right neighbours in 14 levels, and its colour channel.
    Outside the image counts as level 0. All three come before the pixel in reading order, so the product of the
    conditionals is a distribution.
    """
    channels, height, width = images.shape[1:]
    padded = np.zeros((len(images), channels, height + 1, width + 2), np.int64)
    padded[:, :, 1:, 1:-1] = images.astype(np.int64) * CONTEXT_LEVELS // 256
    left, up, up_right = padded[:, :, 1:, :-2], padded[:, :, :-1, 1:-1], padded[:, :, :-1, 2:]
    context = (left * CONTEXT_LEVELS + up) * CONTEXT_LEVELS + up_right
    return np.asarray(context + np.arange(channels)[:, None, None] * CONTEXT_LEVELS**3)


def _table(
    train: Images, train_context: NDArray[np.int64], test: Images, test_context: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Nats `[N]` under one histogram a context, each smoothed towards the histogram of all by one pseudo-count for
    every ten levels (25.6 in all), so that rare contexts fall back on it.
    """
    prior = np.bincount(train.ravel(), minlength=256) + 1.0
    prior *= 25.6 / prior.sum()
    contexts = int(max(train_context.max(), test_context.max())) + 1
    counts = np.bincount((train_context * 256 + train).ravel(), minlength=contexts * 256).reshape(contexts, 256)
    log_probability = np.log((counts + prior) / (counts.sum(axis=1, keepdims=True) + prior.sum()))
    return np.asarray(-log_probability[test_context, test].sum(axis=(1, 2, 3)))


NATS: dict[str, Callable[[Images, Images], NDArray[np.float64]]] = {
    "uniform": _uniform,
    "global histogram": _global_histogram,
    "per-pixel histogram": _per_pixel_histogram,
    "3-neighbour table": _neighbour_table,
}
