"""Image files to arrays: IDX, CIFAR's batches, folders of pictures and `.npz`.

Each function raises UserError, with the file's name and what to do, where a file is broken or not of its kind.
"""

from __future__ import annotations

import gzip
import math
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equibench.errors import UserError

Images = NDArray[np.uint8]  # [N, C, H, W]
Labels = NDArray[np.int64]  # [N]

SIDES = range(8, 65, 4)  # in pixels: the families halve images twice
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")  # of no other: some are programs, which Pillow hands on
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def idx(path: Path, dims: int) -> Images:
    """A file in the IDX format as a uint8 array of `dims` dimensions.

    The format: bytes 0, 0, 8 (the type) and dims, the sizes as big-endian 32-bit integers, then the data.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path} ({error}); fetch it again") from None
    header = 4 + 4 * dims
    sizes = [int(size) for size in np.frombuffer(content[4:header], ">u4")] if len(content) >= header else []
    if content[:4] != bytes([0, 0, 8, dims]) or len(content) != header + math.prod(sizes):
        raise UserError(f"{path} is not a whole IDX file of {dims}-dimensional bytes; fetch it again")
    writable = bytearray(content)  # as torch wants it
    return np.frombuffer(writable, np.uint8, offset=header).reshape(sizes)


def cifar_batch(path: Path) -> tuple[Images, Labels]:
    """Images [N, 3, 32, 32] and labels of one batch of CIFAR-10's python version, a pickle."""
    try:
        with path.open("rb") as file:
            batch = _PlainUnpickler(file, encoding="bytes").load()
        images = channels_first(path, batch[b"data"].array().reshape(-1, 3, 32, 32))
        return images, checked_labels(path, batch[b"labels"], images)
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.PickleError) as error:
        raise UserError(f"{path} is not a CIFAR-10 batch of the python version ({error}); fetch it again") from None


def pictures(folder: Path) -> Images:
    """All images under `folder`, by path, [N, C, H, W]: one channel if all are grey, else three."""
    files = picture_files(folder)
    if not files:
        raise UserError(f"{folder} holds no images; give a folder with files {', '.join(SUFFIXES)}")
    images = []
    for file in files:
        images.append(_read_image(file))
        size, first = images[-1].shape, images[0].shape
        if size != first:
            raise UserError(
                f"images differ in size: {files[0]} has {first[1]}x{first[0]} pixels and {file} has "
                f"{size[1]}x{size[0]}; crop or resize them to one size"
            )
        check_sides(file, *size[:2])
    stacked = np.stack(images)
    grey = bool((stacked == stacked[..., :1]).all())
    return channels_first(folder, stacked[..., :1] if grey else stacked)


def picture_files(folder: Path) -> list[Path]:
    """Image files under `folder`, by path; what is hidden, or in a hidden folder, is left out."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES)


def is_lossy(file: Path) -> bool:
    """Whether an image file is JPEG or WebP by its content."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.format in ("JPEG", "MPO", "WEBP")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # `pictures` says what is wrong with it


def _read_image(file: Path) -> Images:
    """One image as uint8 [H, W, 3]; transparency is dropped."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.mode[0] in "IF":
                raise UserError(f"{file} has more than 8 bits a channel; convert it to 8 bits")
            # A palette with transparency converts in two steps, or Pillow warns
            return np.array((image.convert("RGBA") if image.mode == "P" else image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read the image {file} ({error}); replace or remove it") from None


def npz(path: Path) -> dict[str, Any]:
    """What an `.npz` file holds, by key; a member that is no array comes as bytes."""
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:  # np.load alone takes other formats
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"cannot read {path} ({error}); save it again with numpy.savez") from None


def channels_first(path: Path, images: Any) -> Images:
    """`images` of `path` as [N, C, H, W]: uint8 [N, H, W], [N, H, W, C] or else [N, C, H, W], with C of 1 or 3."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise UserError(
            f"{path} holds images of type {kind}; save levels 0..255 as uint8 (of 0..1: (255 * images).round())"
        )
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    raise UserError(
        f"{path} holds images of shape {images.shape}; save [N, H, W], [N, H, W, C] or [N, C, H, W], C 1 or 3"
    )


def checked_labels(path: Path, values: Any, images: Images) -> Labels:
    """`values` of `path` as int64 labels, one for each of `images`."""
    labels = np.asarray(values)
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise UserError(f"{path} holds labels that do not fit {len(images)} images; give one integer an image")
    return labels.astype(np.int64)


def check_sides(where: Path | str, height: int, width: int) -> None:
    """Raises UserError unless both sides are in SIDES."""
    if height not in SIDES or width not in SIDES:
        raise UserError(
            f"{where} has {width}x{height} pixels; sides must be multiples of 4 from 8 to 64, so crop, pad or resize"
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
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")
