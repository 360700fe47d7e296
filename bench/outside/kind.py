"""Which kind of thing a file or folder is, by its content, whatever its name. Nothing of it is run, and torch is not
imported.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from equibench.errors import UserError

Kind = Literal["checkpoint", "torchscript", "torch.export", "diffusers", "samples"]
PIPELINE = "model_index.json"  # by which a folder is a pipeline of diffusers
RUNS_CODE = {"torchscript": "a TorchScript file", "torch.export": "a file of torch.export"}
_NPY = b"\x93NUMPY"
_CAN_BE = (
    "give a checkpoint (.safetensors) of `equibench run`, a TorchScript or torch.export file, a pipeline's folder, a "
    "folder of images, or an .npz or .npy file of them"
)


def kind_of(path: Path) -> Kind:
    """What lies at `path`; what is none of the others is taken for a checkpoint, whose reader says what is wrong.

    Raises UserError where there is nothing, or a file that is known to be of no use.
    """
    try:
        if path.is_dir():
            return "diffusers" if (path / PIPELINE).is_file() else "samples"
        with path.open("rb") as stream:
            if stream.read(len(_NPY)) == _NPY:
                return "samples"
        if not zipfile.is_zipfile(path):
            return "checkpoint"
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UserError(f"cannot read {path} ({reason}); {_CAN_BE}") from None
    inside = {name.partition("/")[2] or name for name in names}  # of one folder, which torch names after the file
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "torchscript"
    if "serialized_exported_program.json" in names or any(name.startswith("models/") for name in inside):
        return "torch.export"
    if any(name.endswith(".npy") for name in names):
        return "samples"
    held = "pickled values of torch.save" if "data.pkl" in inside else "an archive of something else"
    raise UserError(f"{path} holds {held}; {_CAN_BE}")
