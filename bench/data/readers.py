"""The files of known data sets to arrays: IDX and CIFAR's batches.

Each function raises UserError, with the file's name and what to do, where a file is broken or not of its kind. None
takes more memory than the file's real content does, whatever the file says.
"""

from __future__ import annotations

import gzip
import math
import pickle
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from equibench.data.arrays import PIECE_BYTES, Images
from equibench.data.listing import check_is_file
from equibench.data.parts import Labels
from equibench.data.pictures import check_not_a_pointer
from equibench.errors import UserError, first_line

SIDES = range(8, 257, 4)  # in pixels: the families halve images twice


def idx(path: Path, dims: int) -> Images:
    """A file in the IDX format, packed or not, as a uint8 array of `dims` dimensions.

    The format: bytes 0, 0, 8 (the type) and dims, the sizes as big-endian 32-bit integers, then the data.
    """
    check_is_file(path)
    try:
        with path.open("rb") as plain:
            check_not_a_pointer(path, plain.read(64))
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            start = stream.read(4 + 4 * dims)
            sizes = [int(size) for size in np.frombuffer(start[4:], ">u4")] if len(start) == 4 + 4 * dims else []
            # one byte more than the header says: a longer file is none, however long it is
            content = _read(stream, math.prod(sizes) + 1) if sizes else bytearray()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path} ({error}); fetch it again") from None
    if start[:4] != bytes([0, 0, 8, dims]) or 0 in sizes or len(content) != math.prod(sizes):
        raise UserError(f"{path} is not a whole IDX file of {dims}-dimensional bytes; fetch it again")
    return np.frombuffer(content, np.uint8).reshape(sizes)  # writable, as torch wants it


def _read(stream: BufferedIOBase, most: int) -> bytearray:
    """At most `most` bytes, piece by piece: what is not there takes no memory."""
    content = bytearray()
    while len(content) < most and (piece := stream.read(min(PIECE_BYTES, most - len(content)))):
        content += piece
    return content


def cifar_batch(path: Path) -> tuple[Images, Labels]:
    """Images [N, 3, 32, 32] and labels of one batch of CIFAR-10's python version, a pickle."""
    check_is_file(path)
    try:
        with path.open("rb") as file:
            check_not_a_pointer(path, file.read(64))
            file.seek(0)
            batch = _PlainUnpickler(file, encoding="bytes").load()
        images = batch[b"data"].array().reshape(-1, 3, 32, 32)
        return images, checked_labels(path, batch[b"labels"], len(images))
    except UserError:
        raise
    except (Exception, MemoryError) as error:  # a forged pickle may raise anything, and ask for any amount of memory
        reason = first_line(error)
        raise UserError(f"{path} is not a CIFAR-10 batch of the python version ({reason}); fetch it again") from None


def checked_labels(path: Path, values: Any, count: int) -> Labels:
    """`values` of `path` as int64 labels, one for each of `count` images."""
    labels = np.asarray(values)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise UserError(f"{path} holds labels that do not fit {count} images; give one integer an image")
    if count and (labels.min() < 0 or labels.max() > np.iinfo(np.int64).max):
        raise UserError(f"{path} holds labels below 0 or beyond 64 bits; give classes from 0")
    return labels.astype(np.int64)


def check_sides(where: Path | str, height: int, width: int) -> None:
    """Raises UserError unless both sides are in SIDES, as the families that are trained need them."""
    if height not in SIDES or width not in SIDES:
        raise UserError(
            f"{where} has {width}x{height} pixels; to be trained on, sides must be multiples of 4 from 8 to 256, so "
            "crop, pad or resize"
        )


def check_memory(path: Path, size: int) -> None:
    """Raises UserError where images of so many bytes, and their splits, do not fit the memory that is free."""
    free = psutil.virtual_memory().available
    if 2 * size > free:
        raise UserError(
            f"{path} has {size / 1e9:.1f} GB of pixels, which training keeps in memory twice for a moment, where "
            f"{free / 1e9:.1f} GB are free; give fewer images"
        )


class _PlainArray:
    """In place of numpy's array while a pickle is read: keeps what the array would be made of, and makes nothing of it
    that the pickle could choose but bytes in a shape.
    """

    def __init__(self, *_made_of: Any) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def array(self) -> Images:
        _version, shape, dtype, fortran, content = self._state
        if not isinstance(dtype, _PlainType) or dtype.name not in ("u1", "uint8") or fortran:
            raise pickle.UnpicklingError("its arrays are not of bytes in rows")
        if isinstance(content, str):  # as Python 2 wrote bytes
            content = content.encode("latin1")
        return np.frombuffer(bytearray(content), np.uint8).reshape(tuple(int(side) for side in shape))


class _PlainType:
    """In place of numpy's dtype: its name alone."""

    def __init__(self, name: Any, *_flags: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Byte order and alignment: bytes have none."""


class _PlainUnpickler(pickle.Unpickler):
    """Admits what CIFAR's batches hold, arrays of bytes in plain containers, and no code: numpy's own ways to make an
    array or a type from a pickle would believe addresses that stand in it.
    """

    def find_class(self, module: str, name: str) -> Any:
        stands_for = {"_reconstruct": _PlainArray, "ndarray": _PlainArray, "dtype": _PlainType}
        if module.startswith("numpy") and name in stands_for:
            return stands_for[name]
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 writes bytes
            return _encoded
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes in {encoding}")
    return text.encode(encoding)
