"""Statistics as files that other tools read and write."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from equibench import outputs
from equibench.errors import UserError
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality.frechet import Statistics
from equibench.measure.quality.reference import Reference
from equibench.protocol import PROTOCOL
from equibench.record.schema import FeatureInfo

WAY_OUT = "give another file for the statistics"


def export(reference: Reference, info: FeatureInfo, data_name: str, path: Path) -> None:
    """Write mean and covariance as `mu` and `sigma`, with `n` and where they come from (`equibench`, JSON), in place of
    what `refuse_out` lets be replaced. Raises UserError if the file cannot be written.
    """
    provenance = {
        "features": info.model_dump(exclude_none=True),
        "data": data_name,
        "split": reference.name,
        "images_sha256": reference.images_sha256,
        "shape": reference.shape,
        "protocol": PROTOCOL,
    }
    content = io.BytesIO()
    np.savez(
        content,
        mu=reference.statistics.mean.cpu().numpy(),
        sigma=reference.statistics.covariance.cpu().numpy(),
        n=np.int64(reference.statistics.n),
        equibench=np.array(json.dumps(provenance, sort_keys=True)),
    )
    outputs.put(path, content.getvalue(), WAY_OUT)


def refuse_out(path: Path, dataset: str, force: bool = False) -> None:
    """Raises UserError where statistics may not be written to `path`: over the data set they are of or a file in its
    folder, or, without `force`, over any other file that is not such statistics.
    """
    source = Path(os.path.expanduser(dataset))
    if path.exists() and source.exists():
        if path.samefile(source):
            raise UserError(f"{path} is the data set itself, which would be lost; {WAY_OUT}")
        force = force and not path.resolve().is_relative_to(source.resolve())
    outputs.refuse_foreign(path, lambda there: force or _is_export(there), "a file of statistics", WAY_OUT)


def _is_export(path: Path) -> bool:
    """Whether a file was written by `export`."""
    try:
        with zipfile.ZipFile(path) as members:
            return {name.removesuffix(".npy") for name in members.namelist()} == {"mu", "sigma", "n", "equibench"}
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


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
