"""References: what samples are compared with, computed once and kept under the hash of all that it depends on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench import atomic
from equibench.cache import cache_folder
from equibench.data.parts import Part, Progress, part_of
from equibench.data.source import Source
from equibench.errors import UserError
from equibench.hashing import array_sha256, digest
from equibench.measure.features.extractor import BATCH_SIZE, Extractor
from equibench.measure.quality.frechet import Statistics, statistics
from equibench.measure.quality.pairwise import Within, within
from equibench.protocol import PROTOCOL, SUBSET_SEED

CHECKED = 4  # images whose features are computed again when the cache has them
BATCH_BYTES = 2**27  # of pixels that an extractor gets at once


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of a reference set; `features` and what follows from them are None for imported statistics."""

    name: str
    statistics: Statistics
    images_sha256: str | None
    shape: tuple[int, int, int] | None = None  # C, H, W of the images, where known
    features: Tensor | None = None  # [M, d] float32
    within: Within | None = None
    notes: tuple[str, ...] = ()  # what is odd about imported statistics


def reference_of_images(
    name: str,
    images: NDArray[np.uint8] | Part,
    extractor: Extractor,
    cache: Path | None = None,
    progress: Progress = lambda n: None,
) -> Reference:
    """The reference of uint8 `images` `[M, C, H, W]` in the extractor's features; from the cache where it is there."""
    part = images if isinstance(images, Part) else part_of(images)
    return reference_of_features(name, part, features_of(part, extractor, cache, progress), extractor, cache)


def reference_of_features(
    name: str,
    images: NDArray[np.uint8] | Part,
    extracted: NDArray[np.float32],
    extractor: Extractor,
    cache: Path | None = None,
) -> Reference:
    """The reference of images whose features `extracted` `[M, d]` are known: moments, kernel means and radii."""
    part = images if isinstance(images, Part) else part_of(images)
    if len(part) < 2:
        raise UserError(f"the reference {name} has {len(part)} images; two or more are needed")
    features = torch.from_numpy(extracted).to(extractor.device)

    def compute() -> dict[str, NDArray[np.float64]]:
        found, pairs = statistics(features), within(features)
        moments = {"mean": found.mean, "covariance": found.covariance}
        parts = {**moments, "kernel_means": pairs.kernel_means, "radii": pairs.radii}
        return {key: tensor.cpu().numpy() for key, tensor in parts.items() if tensor is not None}

    d = extractor.info.dims

    def whole(kept: dict[str, NDArray[Any]]) -> bool:
        return (
            kept["covariance"].shape == (d, d) and kept["mean"].shape == (d,) and len(kept["kernel_means"]) == len(part)
        )

    kept = _cached("reference", {"features": array_sha256(extracted), "protocol": PROTOCOL}, cache, compute, whole)
    there = {key: torch.from_numpy(array).to(extractor.device) for key, array in kept.items()}
    return Reference(
        name,
        Statistics(len(part), there["mean"], there["covariance"]),
        part.sha256,
        part.source.shape,
        features,
        Within(there["kernel_means"], there.get("radii")),
    )


def features_of(
    images: NDArray[np.uint8] | Part,
    extractor: Extractor,
    cache: Path | None = None,
    progress: Progress = lambda n: None,
) -> NDArray[np.float32]:
    """Features `[N, d]` of images that will be asked for again: those of a data set.

    What the cache holds is compared with the features of some of the images: an extractor of the user's may change in
    ways that its identity does not show.
    """
    part = images if isinstance(images, Part) else part_of(images)
    if part.source.seeks:
        few = np.arange(len(part))[:: max(len(part) // CHECKED, 1)][:CHECKED]
    else:
        few = np.argsort(part.positions)[:CHECKED]  # the first in the file, whose end may be far

    def current(kept: dict[str, NDArray[Any]]) -> bool:
        found = kept["features"]
        if found.shape != (len(part), extractor.info.dims):
            return False
        # batches of other sizes round differently, bfloat16 most
        again, kept_few = (one.astype(np.float64) for one in (extractor(part.at(few).whole()), found[few]))
        return bool(np.linalg.norm(again - kept_few) <= 0.01 * np.linalg.norm(kept_few))

    def compute() -> dict[str, NDArray[np.float32]]:
        features = np.empty((len(part), extractor.info.dims), np.float32)
        for places, batch in part.batches(extractor_batch(part.source, extractor)):
            features[places] = extractor(batch, progress)
        return {"features": features}

    identity = {"images": part.sha256, "protocol": PROTOCOL, **extractor.info.model_dump()}
    if part.as_stored:  # in other batches, so that the last bits may be others, too
        identity["order"] = "as stored"
    found = _cached("features", identity, cache, compute, current)
    features: NDArray[np.float32] = found["features"]
    return features


def extractor_batch(source: Source, extractor: Extractor) -> int:
    """How many images are given to the extractor at once: its own batch, so that features are those of one call with
    all images to the last bit, and fewer only of images so large that a batch would not fit the memory.
    """
    return max(min(BATCH_SIZE[extractor.device.type], BATCH_BYTES // math.prod(source.shape)), 1)


def _cached(
    kind: str,
    identity: dict[str, Any],
    cache: Path | None,
    compute: Callable[[], dict[str, NDArray[Any]]],
    valid: Callable[[dict[str, NDArray[Any]]], bool],
) -> dict[str, NDArray[Any]]:
    """What `compute` gives, kept under the hash of all that it depends on. A file that cannot be read, or is not
    `valid`, is computed again; a cache that cannot be written is no reason to stop.
    """
    folder = cache or cache_folder()
    file = folder / f"{kind}-{digest(identity)}.npz"
    if file.is_file():
        there: dict[str, NDArray[Any]] = {}
        # zipfile, zlib, lzma and numpy raise many kinds for a damaged archive
        with contextlib.suppress(Exception), file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            there = dict(kept)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if valid(there):
                return there
    found = compute()
    with contextlib.suppress(OSError), atomic.replacing(file) as out:
        np.savez(out, **found)  # type: ignore[arg-type]
    return found


def drawn(total: int, n: int) -> NDArray[np.int64]:
    """Indices of `n` of `total` images, ascending, always the same ones: the first n of a sorted file are no sample."""
    return np.sort(np.random.default_rng(SUBSET_SEED).permutation(total)[:n])
