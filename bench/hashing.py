"""What identifies things: hashes of values, of arrays, of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def array_sha256(array: NDArray[Any]) -> str:
    """Hash of shape and values."""
    total = hashlib.sha256(repr(array.shape).encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def image_digests(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sha256 of each image's bytes: images `[N, ...]` -> `[N, 32]`."""
    digests = b"".join(hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def images_sha256(shape: tuple[int, ...], digests: NDArray[np.uint8]) -> str:
    """Hash of images of `shape` `[N, C, H, W]` in their order, by the digest of each: no two need be there at once."""
    return hashlib.sha256(repr(shape).encode() + digests.tobytes()).hexdigest()


def digest(value: Any) -> str:
    """sha256 of a JSON-able value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
