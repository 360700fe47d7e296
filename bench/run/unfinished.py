"""A cell that is not finished, on disk: what its stages found, so that a process that ends takes nothing with it.

All of it is validated as it is read, and none of it can run code.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from equibench import atomic
from equibench.record.base import Strict
from equibench.record.schema import Results, Status
from equibench.run.kept import peek
from equibench.run.status import POINTS
from equibench.run.work import Found

SAMPLES = ("images", "features")


class Progress(Strict):
    """How far a cell is. `identity` is of what must be the same for it to go on: code, versions, machine, cell."""

    identity: str
    done: list[str] = []  # stages
    results: Results = Results()
    clock: dict[str, float] = {}  # seconds of its parts so far, "other" among them
    status: Status | None = None  # None while it goes on
    reason: str | None = None
    ended_sec: float = Field(0.0, ge=0)  # when this was written, since the epoch


@dataclass
class Unfinished:
    """The folder of one cell."""

    folder: Path
    _arrays: set[str] = field(default_factory=set, init=False)  # that lie there as they are

    @property
    def training(self) -> Path:
        """Where a training is kept."""
        return self.folder / "training"

    @property
    def output(self) -> Path:
        """What the cell's process prints."""
        return self.folder / "output.txt"

    def is_of_another(self, identity: str) -> bool:
        """Whether something was begun that does not go on, as it is of another identity."""
        begun = [self.progress(), peek(self.training)]
        return any(one is not None and one.identity != identity for one in begun)

    def progress(self) -> Progress | None:
        """How far the cell is, without its arrays; None where nothing is known, or what is there is damaged."""
        with contextlib.suppress(Exception):
            return Progress.model_validate_json((self.folder / "progress.json").read_bytes())
        return None

    def progress_of(self, identity: str) -> Progress:
        """How far the cell of this identity is."""
        there = self.progress()
        return there if there and there.identity == identity else Progress(identity=identity)

    def load(self, identity: str) -> tuple[Progress, Found]:
        """What was found so far; nothing where there is nothing, or it is of another identity, or damaged."""
        with contextlib.suppress(Exception):  # zipfile, zlib, lzma and numpy raise many kinds for a damaged archive
            progress = self.progress()
            if progress and progress.identity == identity:
                arrays = self._read("arrays.npz")
                samples = self._read("samples.npz") if progress.status is None else {}
                found = Found(progress.results, arrays, samples.get("images"), samples.get("features"))
                if _are_samples(found):
                    self._arrays = set(arrays)
                    return progress, found
        return Progress(identity=identity), Found()

    def save(self, progress: Progress, found: Found) -> None:
        """Put `progress`, and what was found, in place of what is there. Raises OSError."""
        samples = {name: array for name in SAMPLES if (array := getattr(found, name)) is not None}
        if samples and not (self.folder / "samples.npz").exists():
            self._write("samples.npz", samples)
        if set(found.arrays) - self._arrays:
            self._write("arrays.npz", dict(found.arrays))
            self._arrays = set(found.arrays)
        whole = progress.model_copy(update={"results": found.results}).model_dump(mode="json")
        # what is no Unicode, as in a path of other bytes, could not be read again
        text = json.dumps(whole, ensure_ascii=False).encode(errors="replace")
        atomic.write(self.folder / "progress.json", text)

    def clear(self) -> None:
        """Forget what the stages found, but not who works on the cell: another identity starts from nothing."""
        for name in ("progress.json", "arrays.npz", "samples.npz"):
            (self.folder / name).unlink(missing_ok=True)
        self._arrays = set()

    def remove(self, incomplete: bool = False) -> None:
        """The cell is finished, and its record written. Of one that is `incomplete`, and may be measured again without
        being trained again, the points along its training stay.
        """
        if not incomplete or not (self.folder / POINTS).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for path in self.folder.iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, NDArray[Any]]:
        file = self.folder / name
        if not file.exists():
            return {}
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as held:
            found = dict(held)
        if not all(isinstance(array, np.ndarray) for array in found.values()):  # numpy gives the bytes of what is none
            raise ValueError(f"{name} holds more than arrays")
        return found

    def _write(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy 1 has no allow_pickle
        atomic.write(self.folder / name, buffer.getvalue())


def _are_samples(found: Found) -> bool:
    """Whether images and features are of the kinds that later stages take, where they are there at all."""
    images, features = found.images, found.features
    if images is not None and (images.dtype != np.uint8 or images.ndim != 4):
        return False
    if features is None:
        return True
    return images is not None and features.dtype == np.float32 and features.ndim == 2 and len(features) == len(images)
