"""What a feature network does, as a digest: of its features of a few fixed images.

A hash of weights tells nothing of the code around them, of a resize say. A digest of features does, if it is the same
on every machine. Features of another processor, library or number of threads differ by some 1e-6 of their size, and of
thousands of rounded numbers one would always lie so near to a rounding limit that it flips. So the features of each
image are summed with random signs, a few times, and 13 numbers are rounded to 0.5 % of the features' size: two
machines disagree once in several hundred networks, and a network that changes by 0.1 % is found in 9 of 10 cases.

The fixed images are whole-number formulas, so that no library has a part in them: gradients, stripes and noise, grey
and colour, smaller and larger than what networks resize to, one of them not square.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.errors import UserError
from equibench.machine.device import convolutions_in_tf32

SHAPES = ((1, 28, 28), (3, 32, 32), (3, 48, 40), (3, 150, 150))
SUMS = 3  # with random signs, of the features of each image
STEP = 0.005  # to which they are rounded, in units of the features' root mean square


def probe_images() -> list[NDArray[np.uint8]]:
    """The fixed images, uint8 `[1, C, H, W]` each."""
    images = []
    for channels, height, width in SHAPES:
        c, y, x = np.ogrid[:channels, :height, :width]
        smooth = np.abs((1530 * x // width + 1020 * y // height + 340 * c) % 510 - 255)
        stripes = 255 * ((x * (c + 1) + y) // 3 % 2)
        noise = (x * 1103515245 + y * 12345 + c * 69069 + x * y * 2654435761) // 65536 % 256
        place = (3 * x // width + 3 * y // height) % 3  # which of the three a ninth of the image shows
        images.append(np.choose(place, (smooth, stripes, noise)).astype(np.uint8)[None])
    return images


def probe_sha256(features: Callable[[Tensor], Tensor], device: torch.device) -> str:
    """The digest of what `features`, uint8 images `[N, C, H, W]` on `device` -> `[N, d]`, gives for the fixed images,
    in float32. That a network of a user's own refuses an image, for its size say, is part of what it does.
    """
    found: list[NDArray[np.float64] | None] = []
    with torch.inference_mode(), convolutions_in_tf32(False):
        for image in probe_images():
            try:
                given = features(torch.from_numpy(image).to(device))
            except UserError:
                found.append(None)
            else:
                found.append(given.double().cpu().numpy().ravel())
    return hashlib.sha256(json.dumps(coarse(found)).encode()).hexdigest()


def coarse(features: list[NDArray[np.float64] | None]) -> list[object]:
    """The features of each image `[d]`, or None, as whole numbers: the logarithm of the root mean square of all, and of
    each image their count and sums with random signs over that, in steps of STEP. Features that are no finite numbers
    have no sums.
    """
    finite = [one for one in features if one is not None and one.size and np.isfinite(one).all()]
    largest = max((float(np.abs(one).max()) for one in finite), default=0.0)
    size = 1.0
    numbers: list[object] = []
    if largest:
        size = math.sqrt(float(np.mean(np.square(np.concatenate(finite) / largest)))) * largest
        numbers.append(round(math.log(size) / STEP))
    for place, one in enumerate(features):
        sums: list[int] = []
        if one is not None and one.size and np.isfinite(one).all():
            over = math.sqrt(len(one)) * STEP
            sums = [round(float(_signs(place, i, len(one)) @ (one / size)) / over) for i in range(SUMS)]
        numbers.append(None if one is None else [len(one), *sums])
    return numbers


def _signs(place: int, i: int, d: int) -> NDArray[np.float64]:
    """d signs, +1 or -1, that no generator's version decides on."""
    drawn = hashlib.shake_256(f"probe {place} {i}".encode()).digest(max(d, 1))[:d]
    return 2 * (np.frombuffer(drawn, np.uint8) & 1).astype(np.float64) - 1
