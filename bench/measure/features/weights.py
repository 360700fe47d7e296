"""Weight files of feature networks: hashed first, then loaded as tensors only, so that no file can run code."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from equibench.errors import A_POINTER, LFS_POINTER, UserError, first_line

SIZE_SLACK = 2  # times the network's numbers in float32 that a file may have: double precision, names


def read_weights(path: Path, what: str, numbers: int) -> tuple[str, dict[str, Tensor]]:
    """The sha256 of the file and its tensors by name, on the CPU. `what` names the network for a sentence, and
    `numbers` is how many it has in float32: a file that is far larger, packed or unpacked, is none of its.

    Raises UserError for a file that cannot be read, that holds anything but finite tensors, or that is too large.
    """
    most_bytes = SIZE_SLACK * 4 * numbers + 2**24
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > most_bytes:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and the weights have {4 * numbers:,}")
        content = path.read_bytes()
        if content.startswith(LFS_POINTER):
            raise ValueError(f"it is {A_POINTER}")
        unpacked = _unpacked_bytes(content)
        if unpacked > most_bytes:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, and the weights have {4 * numbers:,}")
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
            raise ValueError("it is no dictionary of tensors; save the network's state_dict()")
        for name, tensor in found.items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"{name} holds NaN or infinite numbers")
    except Exception as error:  # torch raises many kinds for a file that is no state dict
        raise UserError(f"{path} does not hold {what} ({_reason(error)})") from None
    return hashlib.sha256(content).hexdigest(), found


def _unpacked_bytes(content: bytes) -> int:
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return len(content)
    with zipfile.ZipFile(stream) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _reason(error: Exception) -> str:
    text = first_line(error)
    if "weights_only" in text or "Unsupported" in text or "Weights only" in text:
        return "it is a pickle of more than tensors, which could run code, and was not opened"
    return text
