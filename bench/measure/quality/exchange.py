"""Statistics written to a file that other tools read."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from equibench import outputs
from equibench.errors import UserError
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
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False
