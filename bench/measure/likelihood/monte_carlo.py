"""How much of a likelihood's error is Monte Carlo noise: what more draws an image would lessen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equibench.measure.likelihood.bits import bits_per_dim, importance_weighted

GROUP = 50  # images that are drawn for together: enough for draws that are spread over a batch
MOST_GROUPS = 20  # whose means know the noise to a sixth


@dataclass(frozen=True)
class DrawNoise:
    """Variances of an image's draw in nats^2, with the image given."""

    an_image: float  # of one draw for one image
    in_the_mean: float  # of the mean over images, times their number: smaller where draws are spread over a batch


def draw_noise(first: NDArray[np.float64], second: NDArray[np.float64]) -> DrawNoise:
    """From two draws for each of some images, nats `[groups, images]` of groups that were drawn for together."""
    apart = first - second
    an_image = float(np.square(apart).mean()) / 2
    return DrawNoise(an_image, min(float(np.square(apart.mean(axis=1)).mean()) * apart.shape[1] / 2, an_image))


def passes_noise(nats: NDArray[np.float64]) -> DrawNoise:
    """What the mean over several independent passes, nats `[passes, N]`, has left of it."""
    left = float(nats.var(axis=0, ddof=1).mean()) / len(nats)
    return DrawNoise(left, left)


def weights_noise(nats: NDArray[np.float64]) -> DrawNoise:
    """What -log of the mean of K >= 2 weights, nats `[K, N]`, has left of it: by the two halves of the weights, whose
    variance is twice that of all.
    """
    half = len(nats) // 2
    first, second = (importance_weighted(part)[half] for part in (nats[:half], nats[half : 2 * half]))
    left = float(np.square(first - second).mean()) / 4
    return DrawNoise(left, left)


def error_parts(nats: NDArray[np.float64], noise: DrawNoise, dims: int) -> tuple[float, float]:
    """The standard error of mean bits per dimension, and the part of it that is Monte Carlo noise; of nats
    `[passes, N]`, one draw each.

    The variance over images holds that of one image's draws in full. Where draws are spread over a batch the mean has
    less of it, which is taken out.
    """
    passes, n = nats.shape
    per_image = nats.mean(axis=0)
    over_images = float((per_image - per_image[0]).var(ddof=1)) / n if n > 1 else 0.0
    spared = (noise.an_image - noise.in_the_mean) / (passes * n)
    drawn = noise.in_the_mean / (passes * n)
    total = max(over_images - spared, drawn)
    return bits_per_dim(math.sqrt(total), dims), bits_per_dim(math.sqrt(drawn), dims)
