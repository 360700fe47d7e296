"""Samples that are there, as an entrant: an array of images in place of a model, of which quality is measured alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from equibench.data.arrays import Images
from equibench.data.parts import drawn_of
from equibench.data.sets import Dataset
from equibench.data.source import Source, of_path
from equibench.errors import UserError
from equibench.measure.samples import check_levels, fitting
from equibench_models.contract import About, Config, LikelihoodKind, Model, Showing


class FewSamplesError(Exception):
    """There are fewer samples than are measured."""


def fitting_samples(path: Path, data: Dataset, least: int) -> Source:
    """The samples at `path` where they can be compared with the data, read by their headers and levels.

    Raises UserError otherwise: for other sizes, fewer than `least`, loss by compression that the data has not, and
    levels of floats that were cast without scaling.
    """
    source = fitting(path, of_path(path), data.name, data.shape)
    if source.count < least:
        raise UserError(
            f"{path} holds {source.count:,} images, and {least:,} samples of every entrant are measured; write as "
            "many, or set measure.samples"
        )
    if source.lossy_count and not data.lossy:
        raise UserError(
            f"{source.lossy} of {path} were compressed with loss, which changes the distance; save them as PNG"
        )
    check_levels(path, source)
    return source


class Collected(Model):
    """Samples in a model's place: `sample` gives those that are drawn of them, by their pixels, whatever the noise."""

    config_type: ClassVar[type[Config]] = Config
    about: ClassVar[About] = About(
        title="Samples of another tool",
        concept="Images that were written by another tool: of the model behind them nothing is known here.",
        structure="unknown",
        differs="Only its samples are here, so that nothing but their quality can be measured.",
        abilities={
            "likelihood": "none: there are samples and no model",
            "encodes": "unknown",
            "reconstructs": "unknown",
            "sampling": "unknown",
            "trained by": "unknown",
            "learns": "unknown",
            "fixes": "unknown",
            "labels": "unknown",
        },
    )
    likelihood: ClassVar[LikelihoodKind] = "none"
    dequantization: ClassVar[str | None] = None
    samplers: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, images: Images) -> None:
        super().__init__(Config(), images.shape[1:])
        self.images = images

    def sample(self, n: int, generator: Generator, *, batch_size: int = 250) -> Tensor:  # noqa: ARG002 (no noise)
        """`n` of the images. Raises FewSamplesError where there are fewer."""
        if len(self.images) < n:
            raise FewSamplesError(f"there are {len(self.images):,} samples, and {n:,} are measured")
        return torch.from_numpy(self.images[drawn_of(self.images, n)])

    def show(self, images: Tensor, generator: Generator) -> Showing:  # noqa: ARG002
        return Showing()

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        raise NotImplementedError("samples cannot be trained")

    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError("samples have no likelihood")

    def sampling_parameters(self) -> int:
        raise NotImplementedError("nothing is known of the model behind samples")
