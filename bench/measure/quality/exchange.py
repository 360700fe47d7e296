"""Statistics written to a file that other tools read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from equibench.errors import UserError
from equibench.measure.quality.reference import Reference
from equibench.protocol import PROTOCOL
from equibench.record.schema import FeatureInfo


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
