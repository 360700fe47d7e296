"""Checkpoints: all weights of a model as one safetensors file that carries its family, config and what it cost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from equibench import atomic
from equibench.errors import UserError, first_line
from equibench.record.base import Strict
from equibench.record.cost import MatrixProducts
from equibench.record.schema import Curve, Spent
from equibench.run.families import resolve_family
from equibench.usercode import require_consent
from equibench_models import FAMILIES
from equibench_models.contract import Model, Shape

METADATA_KEY = "equibench"


class Provenance(Strict):
    """What the weights are, and what training them took."""

    family: str
    config: dict[str, Any]
    shape: Shape
    data_sha256: str
    spent: Spent
    curve: Curve
    matrix_products: MatrixProducts | None = None


def save(path: Path, model: Model, provenance: Provenance) -> None:
    """Write atomically, so that a killed run leaves a whole checkpoint or none. Raises OSError."""
    atomic.write(path, serialize(_contiguous(model), {METADATA_KEY: provenance.model_dump_json()}))


def load(path: Path, device: torch.device, allow_code: bool = False) -> tuple[Model, Provenance]:
    """The model at `path` on `device`. `allow_code`: a family of the user's own, which the file names as
    `module:Class`, may be imported.

    Raises UserError if the file is missing, corrupt or not one of equibench's, or names code that may not run.
    """
    weights, provenance = _read(path)
    if provenance.family not in FAMILIES:
        require_consent(f"the family {provenance.family}, which {path} names,", allow_code)
    family = resolve_family(provenance.family)
    try:
        model = family.build(provenance.config, provenance.shape)
        model.load_state_dict(weights)
    except (pydantic.ValidationError, RuntimeError) as error:
        raise UserError(_unfit(path, error)) from None
    return model.to(device), provenance


def sha256(path: Path) -> str:
    """Hash of family, config and weights, and of nothing that a second training would change, such as its seconds.

    Raises UserError as `load` does, but for the code, which does not run.
    """
    weights, provenance = _read(path)
    identity = json.dumps([provenance.family, provenance.config, provenance.shape], sort_keys=True)
    return hashlib.sha256(serialize(weights, {METADATA_KEY: identity})).hexdigest()


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Provenance]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the checkpoint {path} ({error}); train again or give another file") from None
    if metadata is None:
        raise UserError(
            f"{path} was not written by equibench: it names no family; give a checkpoint of `equibench run`"
        )
    try:
        return weights, Provenance.model_validate_json(metadata)
    except pydantic.ValidationError as error:
        raise UserError(_unfit(path, error)) from None


def _unfit(path: Path, error: Exception) -> str:
    return f"the checkpoint {path} does not fit this version of equibench ({first_line(error)}); train again"


def _contiguous(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
