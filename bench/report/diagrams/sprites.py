"""Pictures at their native pixels, as PNG in the page: a browser enlarges them without smoothing."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 1  # transparent pixels between images


class Sheet(NamedTuple):
    """A picture as an address, with its native size."""

    uri: str
    width: int
    height: int


def sheet(images: NDArray[np.uint8]) -> Sheet:
    """uint8 `[rows, columns, C, H, W]` of 1 or 3 channels -> a sheet of them."""
    rows, columns, channels, height, width = images.shape
    found = np.zeros((rows, height + GAP, columns, width + GAP, channels + 1), np.uint8)
    found[:, :height, :, :width, :channels] = images.transpose(0, 3, 1, 4, 2)
    found[:, :height, :, :width, channels] = 255
    pixels = found.reshape(rows * (height + GAP), columns * (width + GAP), channels + 1)[:-GAP, :-GAP]
    return _png(pixels, "LA" if channels == 1 else "RGBA")


def noise(shapes: Sequence[Sequence[int]]) -> Sheet:
    """A cell for each of the numbers of these shapes, in about a square: drawn for show, the same each time."""
    n = sum(math.prod(shape) for shape in shapes)
    rows = max(1, math.isqrt(n))
    columns = math.ceil(n / rows)
    grey = 128 + 42 * np.random.default_rng(0).standard_normal(rows * columns)
    pixels = np.stack([grey.clip(0, 255), 255.0 * (np.arange(rows * columns) < n)], axis=1).astype(np.uint8)
    return _png(pixels.reshape(rows, columns, 2), "LA")


def _png(pixels: NDArray[np.uint8], mode: str) -> Sheet:
    height, width = pixels.shape[:2]
    stream = io.BytesIO()
    Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes()).save(stream, "png", optimize=True)
    return Sheet(f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}", width, height)
