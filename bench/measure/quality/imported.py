"""Statistics that equibench or another tool saved, read from a file with what is wrong with them said."""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from equibench.errors import A_POINTER, LFS_POINTER, UserError, first_line
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality.frechet import Statistics, statistics
from equibench.measure.quality.pairwise import within
from equibench.measure.quality.reference import Reference
from equibench.record.schema import FeatureInfo

# names that tools give to mean, covariance, count and features, in the order in which they are looked for
MEANS = ("mu", "mean", "m")
COVARIANCES = ("sigma", "cov", "covariance", "s")
COUNTS = ("n", "N", "count", "num", "n_samples", "num_samples", "n_images", "num_images")
FEATURES = ("feats", "reps", "features", "activations", "acts")
MOST_IMAGES = 2**53
COARSE = 1e-6  # relative rounding that float32 stays below
NPY = np.lib.format.MAGIC_PREFIX
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")  # WebP has its name behind a length
PICKLES = (".pkl", ".pickle", ".pt", ".pth")
SAVE = "save mu and sigma with numpy.savez(FILE, mu=mu, sigma=sigma, n=n)"
Shape = tuple[int, int, int]


class Header(NamedTuple):
    """What an archive says of an array before it is read."""

    entry: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read(path: Path, extractor: Extractor) -> Reference:
    """Statistics from an `.npz` file, of ours or another tool's: a mean `[d]` and a covariance `[d, d]` under any of
    the names in MEANS and COVARIANCES, axes of length 1 aside, or features `[N, d]` to take them from.

    The count `n` is 0 where the file does not say it; `notes` say what is odd. Nothing is unpickled, and no array is
    read that is larger than statistics are. Raises UserError if the file is unreadable, holds none, or is of another
    feature space than the extractor's.
    """
    with _opened(path) as archive:
        there = _headers(path, archive)
        features = _first(FEATURES, there)
        if _first(MEANS, there) and _first(COVARIANCES, there):
            found = _moments(path, archive, there, extractor)
        elif features is not None:
            found = _of_features(path, _array(path, archive, there, features), features, extractor)
        else:
            raise UserError(_what_it_holds(path, there))
        if "equibench" not in there:
            return found
        sha, shape = _provenance(path, archive, there, extractor)
    return replace(found, images_sha256=sha, shape=shape)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file as an archive of arrays; whatever it is instead is said in a sentence."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give it with --dataset")
    if not path.is_file():
        raise UserError(f"there are no statistics at {path}; give an .npz file with mu and sigma")
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
        if start.startswith(NPY):
            raise UserError(f"{path} is one array; statistics are two: {SAVE}")
        if start.startswith(PICTURES) or start[8:12] == b"WEBP":
            raise UserError(f"{path} is a picture; give a folder of pictures with --dataset")
        if start.startswith(LFS_POINTER):
            raise UserError(f"{path} is {A_POINTER}")
        if not zipfile.is_zipfile(path):
            pickled = start.startswith(b"\x80") or path.suffix.lower() in PICKLES
            raise UserError(f"{path} is a pickle of another tool; {SAVE}" if pickled else f"{path} is no .npz; {SAVE}")
        with zipfile.ZipFile(path) as archive:
            if any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist()):
                raise UserError(f"{path} is a pickle of another tool; {SAVE}")
            yield archive
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib, lzma and numpy raise many kinds for a damaged archive
        raise UserError(
            f"cannot read the reference statistics {path} ({first_line(error)}); export them again"
        ) from None


def _headers(path: Path, archive: zipfile.ZipFile) -> dict[str, Header]:
    """The header of each array in the archive, by name."""
    found = {}
    for entry in archive.infolist():
        if not entry.filename.endswith(".npy"):
            continue
        with archive.open(entry) as stream:
            first = np.lib.format.read_magic(stream) == (1, 0)
            read_header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise UserError(f"{path} holds a pickle of another tool ({entry.filename}); {SAVE}")
        found[entry.filename.removesuffix(".npy")] = Header(entry, shape, dtype)
    return found


def _array(
    path: Path, archive: zipfile.ZipFile, there: dict[str, Header], name: str, most_bytes: float = np.inf
) -> NDArray[Any]:
    """An array that is no larger than it says, than `most_bytes`, or than half the memory that is free."""
    entry, shape, dtype = there[name]
    size = max(math.prod(shape) * dtype.itemsize, entry.file_size)
    if size > min(most_bytes, psutil.virtual_memory().available / 2):
        raise UserError(
            f"{name} in {path} is {dtype} {list(shape)}, {size:,} bytes: too large for what it should be; export the "
            "statistics again"
        )
    with archive.open(entry) as stream:
        found: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return found


def _moments(path: Path, archive: zipfile.ZipFile, there: dict[str, Header], extractor: Extractor) -> Reference:
    key, other = _first(MEANS, there) or "", _first(COVARIANCES, there) or ""
    d = extractor.info.dims
    shapes = [[side for side in there[name].shape if side != 1] for name in (key, other)]  # without axes of one
    if shapes != ([[d], [d, d]] if d > 1 else [[], []]):
        raise UserError(_misfit(path, key, other, there, extractor))
    mean, covariance = (
        _array(path, archive, there, name, 2**16 + 16 * size) for name, size in ((key, d), (other, d * d))
    )
    mean, covariance = _real(path, key, mean.reshape(d)), _real(path, other, covariance.reshape(d, d))
    digits = max((np.finfo(x.dtype).eps for x in (mean, covariance) if x.dtype.kind == "f"), default=0.0)
    values = _eigenvalues(covariance, max(COARSE, 4 * digits))
    if values is None or not np.isfinite(mean).all():
        raise UserError(
            f"{path} holds no mean and covariance: mu must be finite, sigma finite, symmetric and without negative "
            "eigenvalues; export them again"
        )
    count, notes = _count(path, archive, there), []
    if digits > COARSE:
        notes.append(f"the statistics in {path.name} were saved in float16, which holds three digits")
    elif (rank := _rank(values, digits)) < d and not 0 < count <= d:
        notes.append(
            f"{other} in {path.name} has rank {rank}, so it comes from {rank + 1} images or fewer, or from features "
            "that do not vary"
        )
    moments = (torch.from_numpy(np.asarray(x, np.float64)).to(extractor.device) for x in (mean, covariance))
    return Reference(path.name, Statistics(count, *moments), None, notes=tuple(notes))


def _of_features(path: Path, array: NDArray[Any], name: str, extractor: Extractor) -> Reference:
    """Statistics of features that are given instead of them."""
    d = extractor.info.dims
    rows = _real(path, name, array)
    if rows.ndim < 2 or math.prod(rows.shape[1:]) != d or len(rows) < 2:
        raise UserError(
            f"{name} in {path} is {list(array.shape)}, not the features [N, {d}] of {extractor.info.name}; name the "
            "extractor they were made with (--extractor)"
        )
    rows = np.ascontiguousarray(rows.reshape(len(rows), d), np.float32)
    if not np.isfinite(rows).all():
        raise UserError(f"{name} in {path} holds NaN or infinite features; make them again")
    features = torch.from_numpy(rows).to(extractor.device)
    note = f"{path.name} holds features ({name}): mean and covariance were taken from its {len(rows):,} rows"
    return Reference(path.name, statistics(features), None, None, features, within(features), (note,))


def _real(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as real ones: complex ones that are real, as a matrix root leaves them, too."""
    if array.dtype.kind == "c" and not array.imag.any():
        array = array.real
    if array.dtype.kind not in "fiu":
        wrong = "has imaginary parts" if array.dtype.kind == "c" else f"is {array.dtype}"
        raise UserError(f"{name} in {path} {wrong}; statistics are real numbers: export them again")
    return array


def _count(path: Path, archive: zipfile.ZipFile, there: dict[str, Header]) -> int:
    """How many images the statistics are of; 0 where the file does not say."""
    name = _first(COUNTS, there)
    if name is None:
        return 0
    value = _array(path, archive, there, name, 2**16)
    one = value.item() if value.size == 1 and value.dtype.kind in "iuf" else -1
    if not (0 <= one < MOST_IMAGES and one == int(one)):
        raise UserError(f"{name} in {path} is no count of images; export the statistics again")
    return int(one)


def _provenance(
    path: Path, archive: zipfile.ZipFile, there: dict[str, Header], extractor: Extractor
) -> tuple[str | None, Shape]:
    """Hash and shape of the images that equibench made the statistics of."""
    try:
        provenance = json.loads(str(_array(path, archive, there, "equibench", 2**20)))
        theirs, sha = FeatureInfo.model_validate(provenance["features"]), provenance["images_sha256"]
        channels, height, width = provenance["shape"]
        shape = (int(channels), int(height), int(width))
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
        raise UserError(f"the provenance in {path} is damaged; export the statistics again") from None
    ours = extractor.info
    if (theirs.name, theirs.weights_sha256, theirs.preprocessing) != (
        ours.name,
        ours.weights_sha256,
        ours.preprocessing,
    ):
        raise UserError(
            f"{path} was made with {theirs.name} (weights {theirs.weights_sha256[:8]}), not with "
            f"{extractor.info.name} (weights {extractor.info.weights_sha256[:8]}); use the same extractor"
        )
    if theirs.probe_sha256 and theirs.probe_sha256 != ours.probe_sha256:
        raise UserError(
            f"{path} was made with {theirs.name} in another form: with the same weights it gave other features of the "
            "same images; export the statistics again"
        )
    return None if sha is None else str(sha), shape


def _first(names: Iterable[str], there: dict[str, Header]) -> str | None:
    return next((name for name in names if name in there), None)


def _misfit(path: Path, key: str, other: str, there: dict[str, Header], extractor: Extractor) -> str:
    d, mean, covariance = extractor.info.dims, there[key].shape, there[other].shape
    held = f"{path} holds {key} {list(mean)} and {other} {list(covariance)}"
    if len(mean) > 1 and mean[-1] == d and covariance[-2:] == (d, d):
        return f"{held}: several sets of statistics; save one, as {key} [{d}] and {other} [{d}, {d}]"
    return f"{held}, but {extractor.info.name} has {d} dimensions; name the extractor they were made with (--extractor)"


def _what_it_holds(path: Path, there: dict[str, Header]) -> str:
    """Why a file without statistics is none, in a sentence."""
    images = next((name for name, found in there.items() if len(found.shape) >= 3), None)
    if images and not _first((*MEANS, *COVARIANCES), there):
        return f"{path} holds images ({images} {list(there[images].shape)}), no statistics; give it with --dataset"
    shown = ", ".join(list(there)[:8]) + (", ..." if len(there) > 8 else "")
    return f"{path} holds {shown or 'nothing'}; reference statistics are `mu` and `sigma`: {SAVE}"


def _eigenvalues(matrix: NDArray[Any], tolerance: float) -> NDArray[np.float64] | None:
    """The eigenvalues, ascending, of a matrix that is finite, and symmetric and positive semi-definite up to what
    rounding leaves of a singular one; None for any other matrix.
    """
    if not np.isfinite(matrix).all():
        return None
    matrix = np.asarray(matrix, np.float64)
    scale = float(np.abs(matrix).max())
    if not np.allclose(matrix, matrix.T, rtol=0, atol=tolerance * scale):
        return None
    values: NDArray[np.float64] = torch.linalg.eigvalsh(torch.from_numpy(matrix)).numpy()
    return values if values[0] >= -tolerance * scale * len(matrix) else None


def _rank(values: NDArray[np.float64], digits: float) -> int:
    """The rank of a covariance with these eigenvalues: how many are larger than what is left of 0 by rounding, in
    computing it and, to relative `digits`, in saving each entry.
    """
    d, double = len(values), float(np.finfo(np.float64).eps)
    noise = max(d * double * values[-1], 4 * digits * np.linalg.norm(values) / math.sqrt(d))
    return int((values > noise).sum())
