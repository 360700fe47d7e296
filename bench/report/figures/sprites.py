"""Pictures for a page: many images in one file, each pixel one pixel, so that a page shows them crisp at any size."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Sprite:
    """A PNG, and the size at which a page shows it: a multiple of half its own, where there is room."""

    content: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.content).decode()}"


def sprite(images: NDArray[np.uint8], columns: int, rows: int, about: int) -> Sprite:
    """The first images of uint8 [n, C, H, W] as a grid with a transparent line between two, shown about so many pixels
    wide. Images that are larger than that are shown smaller than they are.
    """
    channels, height, width = images.shape[1:]
    columns = max(1, min(columns, len(images)))
    rows = max(1, min(rows, len(images) // columns))
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels + 1), np.uint8)
    for i, image in enumerate(images[: rows * columns]):
        y, x = i // columns * (height + 1), i % columns * (width + 1)
        sheet[y : y + height, x : x + width, :channels] = image.transpose(1, 2, 0)
        sheet[y : y + height, x : x + width, channels] = 255
    file = io.BytesIO()
    Image.fromarray(sheet, "LA" if channels == 1 else "RGBA").save(file, "PNG", optimize=True)
    times = about / sheet.shape[1]
    scale = math.floor(2 * times) / 2 if times >= 1 else times
    return Sprite(file.getvalue(), round(sheet.shape[1] * scale), round(sheet.shape[0] * scale))
