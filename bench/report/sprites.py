"""Pictures for a page: many images in one PNG, each pixel one pixel, so that a page shows them crisp at any size."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 1  # transparent pixels between images


@dataclass(frozen=True)
class Sprite:
    """A PNG, and the size in CSS pixels at which a page shows it."""

    content: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.content).decode()}"


def sheet(images: NDArray[np.uint8]) -> Sprite:
    """uint8 `[rows, columns, C, H, W]` of 1 or 3 channels -> a sheet of them, at its own size."""
    rows, columns, channels, height, width = images.shape
    found = np.zeros((rows, height + GAP, columns, width + GAP, channels + 1), np.uint8)
    found[:, :height, :, :width, :channels] = images.transpose(0, 3, 1, 4, 2)
    found[:, :height, :, :width, channels] = 255
    pixels = found.reshape(rows * (height + GAP), columns * (width + GAP), channels + 1)[:-GAP, :-GAP]
    return _png(pixels, "LA" if channels == 1 else "RGBA")


def sprite(images: NDArray[np.uint8], columns: int, rows: int, about: int) -> Sprite:
    """The first images of uint8 `[n, C, H, W]` as a sheet, shown about so many pixels wide: at a multiple of half its
    own size, or smaller than that where it is wider.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, min(rows, len(images) // columns))
    own = sheet(images[: rows * columns].reshape(rows, columns, *images.shape[1:]))
    times = about / own.width
    scale = math.floor(2 * times) / 2 if times >= 1 else times
    return replace(own, width=round(own.width * scale), height=round(own.height * scale))


def noise(shapes: Sequence[Sequence[int]]) -> Sprite:
    """A cell for each of the numbers of these shapes, in about a square: drawn for show, the same each time."""
    n = sum(math.prod(shape) for shape in shapes)
    rows = max(1, math.isqrt(n))
    columns = math.ceil(n / rows)
    grey = 128 + 42 * np.random.default_rng(0).standard_normal(rows * columns)
    pixels = np.stack([grey.clip(0, 255), 255.0 * (np.arange(rows * columns) < n)], axis=1).astype(np.uint8)
    return _png(pixels.reshape(rows, columns, 2), "LA")


def _png(pixels: NDArray[np.uint8], mode: str) -> Sprite:
    height, width = pixels.shape[:2]
    stream = io.BytesIO()
    Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes()).save(stream, "png", optimize=True)
    return Sprite(stream.getvalue(), width, height)
