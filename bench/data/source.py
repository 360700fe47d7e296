"""Images that are read as they are needed, in batches of bounded size: of a folder, of an array in a file or memory."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equibench.data import arrays, pictures
from equibench.data.arrays import Images, StoredArray
from equibench.data.listing import check_is_file, is_there, picture_files, shown
from equibench.errors import UserError

Positions = NDArray[np.intp]
Read = Callable[[Positions], Iterator[Images]]

KEYS = ("samples", "images", "arr_0", "x")  # of the images in an .npz, the first that is there
_WORKERS = min(os.cpu_count() or 1, 8)
_AHEAD_BYTES = 2**26  # of images that are decoded before they are asked for


@dataclass(frozen=True, eq=False)
class Source:
    """uint8 images `[count, *shape]`, shape C, H, W with C of 1 or 3. `read` gives those at some positions, in pieces
    of any length, and raises UserError for what turns out to be broken. A source that `seeks` takes positions in any
    order; of another they must ascend, as an image cannot be read without those before it.
    """

    count: int
    shape: tuple[int, int, int]
    read: Read
    files: Sequence[Path] = ()  # of a folder: one an image
    seeks: bool = True
    lossy_count: int = 0  # images that were compressed with loss, by content
    lossy_example: str = ""
    notes: tuple[str, ...] = ()  # what was left out, or read in one of several ways

    @property
    def lossy(self) -> str | None:
        """What was compressed with loss, in words; None where nothing was."""
        if not self.lossy_count:
            return None
        return f"{self.lossy_count:,} of {self.count:,} images, such as {self.lossy_example}"

    def batches(self, size: int, positions: Positions | None = None) -> Iterator[Images]:
        """The images at `positions`, or all, `size` at a time: [size, C, H, W], the last one shorter."""
        wanted = np.arange(self.count) if positions is None else positions
        batch = np.empty((min(size, len(wanted)), *self.shape), np.uint8)
        filled = done = 0
        for piece in self.read(wanted):
            while len(piece):
                part = piece[: len(batch) - filled]
                batch[filled : filled + len(part)] = part
                filled, piece = filled + len(part), piece[len(part) :]
                if filled == len(batch):
                    yield batch
                    done += filled
                    batch, filled = np.empty((min(size, len(wanted) - done), *self.shape), np.uint8), 0

    def whole(self) -> Images:
        """All images in memory."""
        images = np.empty((self.count, *self.shape), np.uint8)
        at = 0
        for piece in self.read(np.arange(self.count)):
            images[at : at + len(piece)] = piece
            at += len(piece)
        return images

    def changed(self, channels: int, change: Callable[[Images], Images]) -> Source:
        """The same images with another number of channels."""
        return replace(
            self, shape=(channels, *self.shape[1:]), read=lambda positions: map(change, self.read(positions))
        )


def of_array(images: Images) -> Source:
    """A source of the uint8 images `[N, C, H, W]`, which are in memory."""
    channels, height, width = images.shape[1:]
    many = max(arrays.PIECE_BYTES // max(math.prod(images.shape[1:]), 1), 1)

    def read(positions: Positions) -> Iterator[Images]:
        return (images[positions[start : start + many]] for start in range(0, len(positions), many))

    return Source(len(images), (channels, height, width), read)


def of_stored(array: StoredArray) -> Source:
    """A source of the images in an array that a file holds. Raises UserError for other shapes and types."""
    shape = arrays.image_shape(array)
    seeks = array.key is None
    many = max(arrays.PIECE_BYTES // math.prod(shape), 1)

    def read(positions: Positions) -> Iterator[Images]:
        if not seeks or (np.diff(positions) > 0).all():
            yield from map(arrays.channels_first, array.rows(positions))
            return
        for start in range(0, len(positions), many):
            some, places = np.unique(positions[start : start + many], return_inverse=True)
            yield arrays.channels_first(np.concatenate(list(array.rows(some)))[places])

    return Source(array.shape[0], shape, read, seeks=seeks)


def of_npz(path: Path, found: dict[str, StoredArray], else_say: str) -> Source:
    """A source of the one array of images in an `.npz`. Raises UserError where there is none, or more than one."""
    key = next((key for key in KEYS if key in found), None)
    if key is None:
        raise UserError(f"{path} holds {', '.join(found) or 'nothing'}; save {else_say}")
    source = of_stored(found[key])
    deep = [name for name, array in found.items() if name != key and len(array.shape) > 2]
    more = [name for name in deep if found[name].dtype == np.uint8]
    if more:
        raise UserError(
            f"{path} holds images in {', '.join([key, *more])}, and one array is read; join them with "
            "numpy.concatenate, or give a file that holds the ones that are meant"
        )
    notes = [f"{name} in {path.name}, of type {found[name].dtype}, was not read" for name in deep]
    return replace(source, notes=tuple(notes))


def of_folder(folder: Path) -> Source:
    """A source of all images under a folder, by path: with one channel if all files are grey, else with three.

    Every header is read first: raises UserError for the first file that cannot be read as it is, and where images
    differ in size.
    """
    found = picture_files(folder)
    headers = [pictures.header(file) for file in found.files]
    first = headers[0]
    for file, known in zip(found.files, headers, strict=True):
        if (known.width, known.height) != (first.width, first.height):
            raise UserError(
                f"images differ in size: {found.files[0]} has {first.width}x{first.height} pixels and {file} has "
                f"{known.width}x{known.height}; crop or resize them to one size"
            )
    channels = max(known.channels for known in headers)
    lossy = [(file, known.lossy) for file, known in zip(found.files, headers, strict=True) if known.lossy]
    turned, more = (sum(getattr(known, name) for known in headers) for name in ("turned", "more"))
    notes = list(found.notes)
    if turned:
        notes.append(f"{turned:,} images have an EXIF orientation, which is not applied: pixels are taken as stored")
    if more:
        notes.append(f"{more:,} JPEG files hold further pictures, of which the first is read")

    def decode(position: int) -> Images:
        image = pictures.decoded(found.files[position], headers[position], channels)
        return image[None, None] if channels == 1 else image.transpose(2, 0, 1)[None]

    return Source(
        len(headers),
        (channels, first.height, first.width),
        lambda positions: _decoded(decode, positions, channels * first.width * first.height),
        found.files,
        lossy_count=len(lossy),
        lossy_example=f"{shown(lossy[0][0])}, {lossy[0][1]}" if lossy else "",
        notes=tuple(notes),
    )


def of_path(path: Path) -> Source:
    """Samples: all images of a folder, or the one array of images in an `.npz` or `.npy` file. Raises UserError."""
    if not is_there(path):
        raise UserError(f"there are no samples at {path}; give a folder of images, an .npz or an .npy file")
    kind = kind_of(path)
    if kind == "folder":
        return of_folder(path)
    return (
        of_stored(arrays.npy(path))
        if kind == ".npy"
        else of_npz(path, arrays.npz(path), "the samples as `images` in it")
    )


def kind_of(path: Path) -> str:
    """`folder`, `.npz` or `.npy`. Raises UserError for anything else; nothing is opened."""
    if os.path.isdir(path):
        return "folder"
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return suffix
    if suffix in (".zip", ".tar", ".gz", ".tgz"):
        raise UserError(f"{path} is an archive; unpack it, and give the folder of its images")
    raise UserError(f"{path} is neither a folder of images nor an .npz or .npy file; give one of these")


def joined(sources: Sequence[Source]) -> Source:
    """One source after the other; they have images of one shape."""
    ends = np.cumsum([source.count for source in sources])

    def read(positions: Positions) -> Iterator[Images]:
        for source, end in zip(sources, ends, strict=True):
            inside = positions[(positions >= end - source.count) & (positions < end)]
            if len(inside):
                yield from source.read(inside - (end - source.count))

    notes = tuple(dict.fromkeys(note for source in sources for note in source.notes))
    return Source(int(ends[-1]), sources[0].shape, read, seeks=False, notes=notes)


def _decoded(decode: Callable[[int], Images], positions: Positions, image_bytes: int) -> Iterator[Images]:
    """Images one by one, a bounded number of them decoded ahead by several threads."""
    ahead = max(min(4 * _WORKERS, _AHEAD_BYTES // image_bytes), 1)
    waiting = iter(positions.tolist())
    with ThreadPoolExecutor(min(_WORKERS, ahead)) as pool:
        begun = deque(pool.submit(decode, position) for position in islice(waiting, ahead))
        try:
            while begun:
                image = begun.popleft().result()
                begun.extend(pool.submit(decode, position) for position in islice(waiting, 1))
                yield image
        finally:
            for future in begun:
                future.cancel()
