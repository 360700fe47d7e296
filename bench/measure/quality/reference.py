"""References: what samples are compared with, computed once and kept under the hash of all that it depends on.

`.npz` files in the convention of other tools (`mu`, `sigma`) are written with their provenance, and read with or
without one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from equibench import PROTOCOL, UserError
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality.pairwise import Statistics, Within, statistics, within
from equibench.record.schema import FeatureInfo, digest

CHECKED = 4  # images whose features are computed again when the cache has them


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of a reference set; `features` and what follows from them are None for imported statistics."""

    name: str
    statistics: Statistics
    images_sha256: str | None
    shape: tuple[int, int, int] | None = None  # C, H, W of the images, where known
    features: Tensor | None = None  # [M, d] float32
    within: Within | None = None


def of_images(name: str, images: NDArray[np.uint8], extractor: Extractor, cache: Path | None = None) -> Reference:
    """The reference of uint8 `images` `[M, C, H, W]` in the extractor's features; from the cache where it is there."""
    return of_features(name, images, features_of(images, extractor, cache), extractor, cache)


def of_features(
    name: str,
    images: NDArray[np.uint8],
    extracted: NDArray[np.float32],
    extractor: Extractor,
    cache: Path | None = None,
) -> Reference:
    """The reference of images whose features `extracted` `[M, d]` are known: moments, kernel means and radii."""
    features = torch.from_numpy(extracted).to(extractor.device)

    def compute() -> dict[str, NDArray[np.float64]]:
        found, pairs = statistics(features), within(features)
        moments = {"mean": found.mean, "covariance": found.covariance}
        parts = {**moments, "kernel_means": pairs.kernel_means, "radii": pairs.radii}
        return {key: tensor.cpu().numpy() for key, tensor in parts.items() if tensor is not None}

    d = extractor.info.dims

    def whole(kept: dict[str, NDArray[Any]]) -> bool:
        return (
            kept["covariance"].shape == (d, d)
            and kept["mean"].shape == (d,)
            and len(kept["kernel_means"]) == len(images)
        )

    kept = _cached("reference", {"features": sha256(extracted)}, cache, compute, whole)
    there = {key: torch.from_numpy(array).to(extractor.device) for key, array in kept.items()}
    channels, height, width = images.shape[1:]
    return Reference(
        name,
        Statistics(len(images), there["mean"], there["covariance"]),
        sha256(images),
        (channels, height, width),
        features,
        Within(there["kernel_means"], there.get("radii")),
    )


def features_of(
    images: NDArray[np.uint8],
    extractor: Extractor,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> NDArray[np.float32]:
    """Features `[N, d]` of images that will be asked for again: those of a data set.

    What the cache holds is compared with the features of some of the images: an extractor of the user's may change in
    ways that its identity does not show.
    """
    few = np.arange(len(images))[:: max(len(images) // CHECKED, 1)][:CHECKED]

    def current(kept: dict[str, NDArray[Any]]) -> bool:
        found = kept["features"]
        if found.shape != (len(images), extractor.info.dims):
            return False
        # batches of other sizes round differently, bfloat16 most
        return bool(np.linalg.norm(extractor(images[few]) - found[few]) <= 0.01 * np.linalg.norm(found[few]))

    identity = {"images": sha256(images), "protocol": PROTOCOL, **extractor.info.model_dump()}
    found = _cached("features", identity, cache, lambda: {"features": extractor(images, progress)}, current)
    features: NDArray[np.float32] = found["features"]
    return features


def sha256(array: NDArray[Any]) -> str:
    """Hash of shape and values: of pixels, of features."""
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equibench"


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
    unreadable = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
    if file.is_file():
        with contextlib.suppress(*unreadable), file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            there = dict(kept)
            if valid(there):
                return there
    found = compute()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as out:
            np.savez(out, **found)  # type: ignore[arg-type]
        partial.replace(file)
    return found


# --- files that other tools read --------------------------------------------------------------------------------------


def export(reference: Reference, info: FeatureInfo, data_name: str, path: Path) -> None:
    """Write mean and covariance as `mu` and `sigma`, with `n` and where they come from (`equibench`, JSON).

    Raises UserError if the file cannot be written.
    """
    provenance = {
        "features": info.model_dump(),
        "data": data_name,
        "split": reference.name,
        "images_sha256": reference.images_sha256,
        "shape": reference.shape,
        "protocol": PROTOCOL,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            np.savez(
                stream,
                mu=reference.statistics.mean.cpu().numpy(),
                sigma=reference.statistics.covariance.cpu().numpy(),
                n=np.int64(reference.statistics.n),
                equibench=np.array(json.dumps(provenance, sort_keys=True)),
            )
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); give another file") from None


def read(path: Path, extractor: Extractor) -> Reference:
    """Statistics from an `.npz` file with `mu` `[d]` and `sigma` `[d, d]`, of ours or another tool's.

    The count `n` is 0 where the file does not say it. Raises UserError if the file is unreadable, not of this
    convention, or of another feature space than the extractor's.
    """
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"cannot read the reference statistics {path} ({error}); export them again") from None
    mean, covariance = found.get("mu"), found.get("sigma")
    d = extractor.info.dims
    if mean is None or covariance is None:
        raise UserError(f"{path} holds {', '.join(found) or 'nothing'}; reference statistics are `mu` and `sigma`")
    if mean.shape != (d,) or covariance.shape != (d, d):
        raise UserError(
            f"{path} holds mu {list(mean.shape)} and sigma {list(covariance.shape)}, but {extractor.info.name} has "
            f"{d} dimensions; name the extractor they were made with (--extractor)"
        )
    if not _is_covariance(covariance) or mean.dtype.kind not in "fiu" or not np.isfinite(mean).all():
        raise UserError(
            f"{path} holds no mean and covariance: mu must be finite, sigma finite, symmetric and without negative "
            "eigenvalues; export them again"
        )
    count = found.get("n", np.int64(0))
    if count.shape != () or count.dtype.kind not in "iu" or count < 0:
        raise UserError(f"n in {path} is no count of images; export the statistics again")
    sha, shape = None, None
    if "equibench" in found:
        try:
            provenance = json.loads(str(found["equibench"]))
            theirs, sha = FeatureInfo.model_validate(provenance["features"]), provenance["images_sha256"]
            channels, height, width = provenance["shape"]
            shape = (int(channels), int(height), int(width))
        except (ValueError, KeyError, TypeError, ValidationError):
            raise UserError(f"the provenance in {path} is damaged; export the statistics again") from None
        if theirs != extractor.info:
            raise UserError(
                f"{path} was made with {theirs.name} (weights {theirs.weights_sha256[:8]}), not with "
                f"{extractor.info.name} (weights {extractor.info.weights_sha256[:8]}); use the same extractor"
            )

    def tensor(array: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float64)).to(extractor.device)

    return Reference(path.name, Statistics(int(count), tensor(mean), tensor(covariance)), sha, shape)


def _is_covariance(matrix: NDArray[Any]) -> bool:
    """Real, finite, and symmetric and positive semi-definite up to what rounding leaves of a singular one."""
    if matrix.dtype.kind not in "fiu" or not np.isfinite(matrix).all():
        return False
    scale = float(np.abs(matrix).max())
    if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-6 * scale):
        return False
    values = torch.linalg.eigvalsh(torch.from_numpy(np.asarray(matrix, np.float64)))
    return bool(values[0] >= -1e-6 * scale * len(matrix))
