"""What an entrant that is loaded consists of, whatever its file is called: its hash, and the file of its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from equibench.data.parts import batch_size
from equibench.data.source import of_path
from equibench.hashing import digest, file_sha256, image_digests, images_sha256
from equibench.outside.kind import PIPELINE, kind_of
from equibench.run import checkpoint
from equibench.suite import Cell


def content_sha256(path: Path) -> str:
    """The hash of what was loaded: of the model in a checkpoint, of all images of samples in their order, of the bytes
    of any other file, and of what a pipeline is read from.

    Raises UserError where it cannot be read.
    """
    kind = kind_of(path)
    if kind == "checkpoint":
        return checkpoint.sha256(path)
    if kind == "diffusers":
        files = [path / PIPELINE, *sorted((path / "unet").glob("*")), *sorted((path / "scheduler").glob("*"))]
        return digest({str(file.relative_to(path)): file_sha256(file) for file in files if file.is_file()})
    if kind != "samples":
        return file_sha256(path)
    source = of_path(path)
    digests = [image_digests(images) for images in source.batches(batch_size(source.shape))]
    return images_sha256((source.count, *source.shape), np.concatenate(digests))


def checkpoint_of(cell: Cell) -> Path | None:
    """The checkpoint of ours that a cell loads; None where it loads something else, or is trained."""
    if cell.entrant is None or cell.entrant.load is None:
        return None
    path = Path(cell.entrant.load)
    return path if kind_of(path) == "checkpoint" else None
