"""Pictures as files of a report: what they are called, what they hold, what they show."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equibench import UserError
from equibench.record import schema as record
from equibench.report.figures import plots
from equibench.summary.sections import Cell


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


def of_family(cell: Cell) -> list[tuple[Picture, str]]:
    """The pictures of a family's portrait with their captions, without those whose arrays are gone."""
    arrays = record.read_arrays(cell.path, cell.record)
    portrait = cell.record.portrait
    found = []
    for key, caption in sorted(portrait.pictures.items()) if portrait else []:
        if key in arrays:
            name = re.sub(r"[^A-Za-z0-9]+", "-", f"{cell.record.family or cell.record.entrant}-{key}")
            content = plots.render(plots.strip(images_of(cell, arrays, key, 5)), "png")
            found.append((Picture(f"figures/portrait-{name}.png", content, caption, {}), caption))
    return found


def images_of(cell: Cell, arrays: Mapping[str, np.ndarray], key: str, dimensions: int) -> np.ndarray:
    """An array of pictures. Raises UserError unless it is uint8, not empty, of 1 or 3 channels, with so many axes."""
    images = arrays[key]
    if images.dtype != np.uint8 or images.ndim != dimensions or not images.size or images.shape[-3] not in (1, 3):
        found = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"the array {key!r} beside {cell.path} is {found}, not uint8 pictures; run its cell again")
    return images
