"""Checkpoints: all weights of a model as one safetensors file that carries its family, config and what it cost."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from equibench import atomic
from equibench.errors import A_POINTER, LFS_POINTER, UserError, first_line
from equibench.record.base import Strict
from equibench.record.cost import MatrixProducts
from equibench.record.schema import Code, Curve, Spent
from equibench.record.surroundings import TimedBlock
from equibench.run import sizing
from equibench.run.families import resolve_family
from equibench.run.points import Passed
from equibench.usercode import require_consent
from equibench.validation import explain
from equibench_models import FAMILIES
from equibench_models.contract import Model, Shape

METADATA_KEY = "equibench"
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class Provenance(Strict):
    """What the weights are, and what training them took."""

    family: str
    config: dict[str, Any]
    shape: Shape
    data_sha256: str
    spent: Spent
    curve: Curve
    matrix_products: MatrixProducts | None = None
    timed: list[TimedBlock] = []  # of the training
    points: list[Passed] = []  # before the end, at which weights were kept
    key: str | None = None  # of the cell that was trained
    code: Code | None = None  # that trained it, and with which packages
    versions: dict[str, str] = {}


def save(path: Path, model: Model, provenance: Provenance) -> None:
    """Write atomically, so that a killed run leaves a whole checkpoint or none. Raises OSError."""
    atomic.write(path, serialize(_contiguous(model), {METADATA_KEY: provenance.model_dump_json()}))


def load(path: Path, device: torch.device, allow_code: bool = False) -> tuple[Model, Provenance]:
    """The model at `path` on `device`. `allow_code`: a family of the user's own, which the file names as
    `module:Class`, may be imported.

    Raises UserError if the file is missing, corrupt or not one of equibench's, or names code that may not run.
    """
    provenance, found = _header(path)
    if provenance.family not in FAMILIES:
        require_consent(f"the family {provenance.family}, which {path} names,", allow_code)
    family = resolve_family(provenance.family)
    try:
        # sizes that the file names are those of its weights, before anything is made of them
        expected = _expected(family, provenance)
        for name in (*expected, *found) if expected else ():
            if expected.get(name) != found.get(name):
                raise ValueError(f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'in the model')}")
        model = family.build(provenance.config, provenance.shape)
        model.load_state_dict(_weights(path))
    except UserError:
        raise
    except Exception as error:  # of a bad config, or of sizes that torch does not take
        raise UserError(_unfit(path, error)) from None
    return model.to(device), provenance


def check_finite(model: Model, path: Path) -> None:
    """Raises UserError where the weights of a checkpoint are no numbers."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UserError(f"the checkpoint {path} holds NaN or infinite weights ({name}); give one that trained well")


def provenance_of(path: Path) -> Provenance:
    """What the file says of its weights, which are not read. Raises UserError as `load` does."""
    return _header(path)[0]


def sha256(path: Path) -> str:
    """Hash of family, config and weights, and of nothing that a second training would change, such as its seconds.

    Raises UserError as `load` does, but for the code, which does not run.
    """
    provenance, _ = _header(path)
    identity = json.dumps([provenance.family, provenance.config, provenance.shape], sort_keys=True)
    return hashlib.sha256(serialize(_weights(path), {METADATA_KEY: identity})).hexdigest()


def _header(path: Path) -> tuple[Provenance, dict[str, str]]:
    """What the file says before its weights are read: what they are, and their shapes and dtypes by name."""
    with _opened(path) as file:
        metadata = (file.metadata() or {}).get(METADATA_KEY)
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        found = {name: f"{one.get_dtype()} {list(one.get_shape())}" for name, one in slices.items()}
    if metadata is None:
        raise UserError(
            f"{path} was not written by equibench: it names no family; give a checkpoint of `equibench run`"
        )
    try:
        return Provenance.model_validate_json(metadata), found
    except pydantic.ValidationError as error:
        raise UserError(_unfit(path, explain(error, Provenance))) from None


def _weights(path: Path) -> dict[str, torch.Tensor]:
    sizing.check_memory(path.stat().st_size, f"the checkpoint {path}")
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file; give a checkpoint (.safetensors) of `equibench run`")
        if path.is_file():
            with path.open("rb") as stream:
                if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                    raise UserError(f"{path} is {A_POINTER}")
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, ValueError) as error:
        said = first_line(error)
        raise UserError(f"cannot read the checkpoint {path} ({said}); train again or give another file") from None


def _expected(family: type[Model], provenance: Provenance) -> dict[str, str]:
    """Shapes and dtypes of the model's weights; none for a family of a user's own that cannot be built without them."""
    try:
        return _form(sizing.skeleton(family, provenance.config, provenance.shape).state_dict())
    except (UserError, pydantic.ValidationError):
        raise
    except Exception:
        if provenance.family in FAMILIES:
            raise
        return {}


def _form(weights: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Shapes and dtypes by name, as safetensors writes them."""
    return {name: f"{DTYPES.get(tensor.dtype, tensor.dtype)} {list(tensor.shape)}" for name, tensor in weights.items()}


def _unfit(path: Path, error: Exception | str) -> str:
    said = error if isinstance(error, str) else first_line(error)[:200]
    return f"the checkpoint {path} does not fit this version of equibench ({said}); train again"


def _contiguous(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
