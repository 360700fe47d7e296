"""Arrays in `.npy` and `.npz` files, sized by their headers and read row by row: never unpacked whole unless small."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from equibench.data.pictures import MOST_PIXELS, check_not_a_pointer
from equibench.errors import UserError, first_line

Images = NDArray[np.uint8]  # [N, C, H, W]

PIECE_BYTES = 2**21  # read at a time
_WHOLE_BYTES = 2**30  # of an array that is read at once: labels, and images in Fortran's order
_SCANNED_BYTES = 2**29  # of an array whose type is refused: to say what it holds
_LONGEST_HEADER = 2**16
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
)
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, by what its header says."""

    path: Path
    key: str | None  # its name in an `.npz`; None for an `.npy`
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int  # where its values begin

    @property
    def name(self) -> str:
        """The name that messages give it."""
        return f"{self.path}" if self.key is None else f"{self.key} in {self.path}"

    def rows(self, positions: NDArray[np.intp]) -> Iterator[NDArray[Any]]:
        """The rows at ascending `positions`, in pieces. Raises UserError where the file ends early or is damaged."""
        if self.fortran:
            yield self.whole()[positions]
            return
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        many = max(PIECE_BYTES // max(row_bytes, 1), 1)
        with self._opened() as stream:
            at, done = 0, 0
            while done < len(positions):
                first = int(positions[done])
                stream.seek((first - at) * row_bytes, 1)
                inside = int(np.searchsorted(positions, first + many))
                wanted = positions[done:inside] - first
                count = int(wanted[-1]) + 1
                content = _exactly(stream, count * row_bytes)
                rows = np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
                yield rows if len(wanted) == count else rows[wanted]
                at, done = first + count, inside
            if at == self.shape[0] and stream.read(1):  # of an archive this checks the sum, too
                raise UserError(f"{self.name} is longer than it says; save it again")

    def whole(self) -> NDArray[Any]:
        """All of it. Raises UserError where that is too large for the purpose."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > _WHOLE_BYTES:
            raise UserError(
                f"{self.name} has {size / 1e9:.1f} GB in an order that cannot be read image by image; save "
                "numpy.ascontiguousarray(images)"
            )
        with self._opened() as stream:
            content = np.frombuffer(_exactly(stream, size), self.dtype)
        return content.reshape(self.shape[::-1]).T if self.fortran else content.reshape(self.shape)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            if self.key is None:
                with self.path.open("rb") as stream:
                    stream.seek(self.offset)
                    yield stream
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as member:
                    member.seek(self.offset)
                    yield member
        except _BROKEN as error:
            raise UserError(_damaged(self.path, error)) from None


def npy(path: Path) -> StoredArray:
    """The array in an `.npy` file. Raises UserError where there is none, or not as much of it as it says."""
    try:
        with path.open("rb") as stream:
            check_not_a_pointer(path, stream.read(64))
            stream.seek(0)
            return _array(path, None, stream, path.stat().st_size)
    except _BROKEN as error:
        raise UserError(_damaged(path, error)) from None


def npz(path: Path) -> dict[str, StoredArray]:
    """The arrays in an `.npz` file by name; what else it holds is passed over. Raises UserError for what is no such
    file, for one that says other sizes than it has, and for one packed as numpy does not.
    """
    found: dict[str, StoredArray] = {}
    try:
        with path.open("rb") as stream:
            check_not_a_pointer(path, stream.read(64))
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                key = member.filename.removesuffix(".npy")
                if key == member.filename:
                    continue
                if key in found:
                    raise UserError(f"{path} holds {key} twice; save it again with numpy.savez")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UserError(f"{path} is not packed as numpy.savez_compressed does; save it again with that")
                with archive.open(member) as content:
                    found[key] = _array(path, key, content, member.file_size)
    except _BROKEN as error:
        raise UserError(_damaged(path, error)) from None
    return found


def image_shape(array: StoredArray) -> tuple[int, int, int]:
    """C, H, W of an array of images: [N, H, W], [N, H, W, C] or else [N, C, H, W], with C of 1 or 3, uint8.

    Raises UserError for any other shape or type; of another type it says what would make it right.
    """
    shape = array.shape
    if array.dtype != np.uint8:
        raise UserError(_unfit(array))
    sides: tuple[int, int, int] | None = None
    if len(shape) == 3 and shape[-1] not in (3, 4):  # [H, W, 3] is one image
        sides = 1, shape[1], shape[2]
    elif len(shape) == 4 and shape[-1] in _CHANNELS:
        sides = shape[3], shape[1], shape[2]
    elif len(shape) == 4 and shape[1] in _CHANNELS:
        sides = shape[1], shape[2], shape[3]
    if sides is None:
        raise UserError(
            f"{array.path} holds images of shape {shape}; save [N, H, W], [N, H, W, C] or [N, C, H, W], C 1 or 3"
        )
    if 0 in shape:
        what = "images without pixels" if shape[0] else "no images"
        raise UserError(f"{array.path} holds {what} ({list(shape)}); save [N, H, W, C] or [N, C, H, W]")
    if sides[1] * sides[2] > MOST_PIXELS:
        raise UserError(
            f"{array.path} has images of {sides[2]}x{sides[1]} pixels, more than the {MOST_PIXELS:,} that are read; "
            "is its first axis the images?"
        )
    return sides


def channels_first(rows: NDArray[np.uint8]) -> Images:
    """Rows of an array for which `image_shape` holds, as [N, C, H, W]."""
    if rows.ndim == 3:
        return rows[:, None]
    return rows.transpose(0, 3, 1, 2) if rows.shape[-1] in _CHANNELS else rows


def _array(path: Path, key: str | None, stream: IO[bytes], size: int) -> StoredArray:
    """What the header at the beginning of `stream` says; `size` bytes are there, the header's among them."""
    start = stream.read(8)
    if start[:6] != np.lib.format.MAGIC_PREFIX or len(start) < 8 or start[6] not in (1, 2, 3):
        what = f"{key} in it" if key is not None else "it"
        raise UserError(f"cannot read {path} ({what} is no array of numpy's); save it again with numpy.savez")
    counted = stream.read(2 if start[6] == 1 else 4)
    length = int.from_bytes(counted, "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    text = stream.read(length)
    read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(io.BytesIO(counted + text))
    except Exception as error:  # the header is read as Python is, and may fail in any of its ways
        raise ValueError(first_line(error)) from None
    shape = tuple(int(side) for side in shape)  # where Python counts True as one
    if math.prod(max(side, 1) for side in shape) * max(dtype.itemsize, 1) >= 2**63:  # an empty one among them
        raise ValueError(f"no array has the shape {list(shape)}"[:100])
    name = str(path) if key is None else f"{key} in {path}"
    if dtype.hasobject:
        raise UserError(f"{name} holds Python objects, not numbers; save levels 0..255 as uint8, in one array")
    offset = len(start) + len(counted) + len(text)
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != size - offset:
        raise UserError(
            f"{name} says it has {list(shape)} of {dtype}, {expected:,} bytes, but {size - offset:,} are there; "
            "save it again"
        )
    return StoredArray(path, key, shape, dtype, fortran and len(shape) > 1, offset)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError("it ends early")
    return content


def _unfit(array: StoredArray) -> str:
    """What to say of images that are not uint8: what their values are, and what makes levels of them."""
    kind = f"{array.path} holds images of type {array.dtype}"
    if array.dtype.kind not in "fiub" or not array.shape or 0 in array.shape:
        return f"{kind}; save levels 0..255 as uint8"
    low, high = math.inf, -math.inf
    scanned = max(min(_SCANNED_BYTES // max(math.prod(array.shape[1:]) * array.dtype.itemsize, 1), array.shape[0]), 1)
    for rows in array.rows(np.arange(scanned)):
        if array.dtype.kind == "f" and not np.isfinite(rows).all():
            return f"{kind} with NaN or infinity in them; find where these come from, and save levels 0..255 as uint8"
        low, high = min(low, float(rows.min())), max(high, float(rows.max()))
    advice = _advice(array.dtype, low, high)
    return f"{kind} from {low:g} to {high:g}; save levels 0..255 as uint8: {advice}"


def _advice(dtype: np.dtype[Any], low: float, high: float) -> str:
    whole = dtype.kind in "iub"
    if whole and low >= 0 and high <= 255:
        return "images.astype(numpy.uint8)" if high > 1 else "(255 * images).astype(numpy.uint8)"
    if whole and high > 255 and low >= 0:
        return "of 16 bits, (images / 257).round().astype(numpy.uint8)"
    if whole and low < -1:
        return (
            "of signed bytes, (images.astype(int) + 128).astype(numpy.uint8)"
            if low >= -128 and high <= 127
            else ("bring them to that range first")
        )
    # what a network gives reaches a little beyond its range
    if low >= -0.1 and high <= 1.1:
        clipped = "images" if low >= 0 and high <= 1 else "images.clip(0, 1)"
        return f"(255 * {clipped}).round().astype(numpy.uint8)"
    if low >= -1.5 and high <= 1.5:
        clipped = "images" if low >= -1 and high <= 1 else "images.clip(-1, 1)"
        return f"(({clipped} + 1) * 127.5).round().astype(numpy.uint8)"
    if low >= -1 and high <= 256:
        clipped = "images" if low >= 0 and high <= 255 else "images.clip(0, 255)"
        return f"{clipped}.round().astype(numpy.uint8)"
    return "undo their normalization first"


def _damaged(path: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot read {path} ({error.strerror}); make it readable, or give another file"
    wanted = "save" if path.suffix.lower() == ".npy" else "savez"
    return f"cannot read {path} ({first_line(error)}); save it again with numpy.{wanted}"
