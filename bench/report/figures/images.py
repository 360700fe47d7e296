"""Pictures as files of a report: what they are called, what they hold, what they show."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from equibench.errors import UserError
from equibench.record import files as record_files
from equibench.report.figures.style import DPI, drawn, render, style
from equibench.summary.sections import FiledRecord


@dataclass(frozen=True)
class Picture:
    """A figure as files of several kinds; `name` is the path in the report's folder of the one that pages show."""

    name: str
    content: bytes
    alt: str
    others: Mapping[str, bytes]  # the same in other formats, by path

    @property
    def uri(self) -> str:
        """The figure itself as an address, for a page that works without its folder."""
        kind = "svg+xml" if self.name.endswith(".svg") else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"

    @property
    def files(self) -> dict[str, bytes]:
        return {self.name: self.content, **self.others}


def of_family(cell: FiledRecord) -> list[tuple[Picture, str]]:
    """The pictures of a family's portrait with their captions, without those whose arrays are gone."""
    arrays = record_files.read_arrays(cell.path, cell.record)
    portrait = cell.record.portrait
    found = []
    for key, caption in sorted(portrait.pictures.items()) if portrait else []:
        if key in arrays:
            name = re.sub(r"[^A-Za-z0-9]+", "-", f"{cell.record.family or cell.record.entrant}-{key}")
            content = render(strip(images_of(cell, arrays, key, 5)), "png")
            found.append((Picture(f"figures/portrait-{name}.png", content, caption, {}), caption))
    return found


def images_of(cell: FiledRecord, arrays: Mapping[str, np.ndarray], key: str, dimensions: int) -> np.ndarray:
    """An array of pictures. Raises UserError unless it is uint8, not empty, of 1 or 3 channels, with so many axes."""
    images = arrays[key]
    if images.dtype != np.uint8 or images.ndim != dimensions or not images.size or images.shape[-3] not in (1, 3):
        found = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"the array {key!r} beside {cell.path} is {found}, not uint8 pictures; run its cell again")
    return images


def samples(panels: list[tuple[str, np.ndarray]], columns: int = 12, lines: int = 2) -> Figure:
    """Bands of images, one a source, all of the same size and count; `panels` are labels with uint8 [n, C, H, W]."""
    columns = min([columns, *(len(images) for _, images in panels)])
    lines = min([lines, *(len(images) // columns for _, images in panels)])
    grids = [(label, images[: columns * lines].reshape(lines, columns, *images.shape[1:])) for label, images in panels]
    return _bands([(label, _tiles(grid)) for label, grid in grids])


def strip(images: np.ndarray) -> Figure:
    """A grid of images, uint8 [rows, columns, C, H, W], without a label."""
    return _bands([("", _tiles(images))])


def _bands(bands: list[tuple[str, np.ndarray]], gap: int = 10) -> Figure:
    """Labelled pictures under each other, pixel for pixel: nothing resamples what the models made."""
    left = 10 + 8 * max(len(label) for label, _ in bands) if any(label for label, _ in bands) else 0
    width = left + max(picture.shape[1] for _, picture in bands)
    height = sum(picture.shape[0] + gap for _, picture in bands) - gap
    with style():
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        top = height
        for label, picture in bands:
            top -= picture.shape[0]
            place = (left / width, top / height, picture.shape[1] / width, picture.shape[0] / height)
            axes = figure.add_axes(place, frameon=False, xticks=[], yticks=[])
            axes.imshow(picture, interpolation="none", aspect="auto")
            figure.text(4 / width, (top + picture.shape[0] / 2) / height, drawn(label), va="center", fontsize=10)
            top -= gap
    return figure


def _tiles(images: np.ndarray, about: int = 56) -> np.ndarray:
    """uint8 [rows, columns, C, H, W] -> one RGB picture [h, w, 3], each pixel enlarged to a square of pixels."""
    rows, columns, channels, height, width = images.shape
    scale = max(1, about // max(height, width))
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 1)), constant_values=255)  # a line between images
    picture = padded.transpose(0, 3, 1, 4, 2).reshape(rows * (height + 1), columns * (width + 1), channels)
    return np.repeat(picture, 3 if channels == 1 else 1, axis=2)[..., :3].repeat(scale, axis=0).repeat(scale, axis=1)
