"""Data sets whose images are read as they are needed: parts with a fixed order, and what is found on the first way
through.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equibench.data.arrays import Images
from equibench.data.source import Positions, Source, of_array
from equibench.errors import UserError
from equibench.hashing import image_digests, images_sha256
from equibench.protocol import SUBSET_SEED
from equibench.record.schema import DataInfo

Labels = NDArray[np.int64]  # [N]
Progress = Callable[[int], None]  # hears how many images were read since it was last called

_BATCH_BYTES = 2**23


@dataclass(frozen=True, eq=False)
class Part:
    """Images of a source in an order of their own, known one by one by their sha256."""

    source: Source
    positions: Positions  # in the source, [N]
    digests: NDArray[np.uint8]  # [N, 32]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W, as an array of the images would have it."""
        return (len(self), *self.source.shape)

    @cached_property
    def sha256(self) -> str:
        """The hash of the images in their order."""
        return images_sha256(self.shape, self.digests)

    def at(self, indices: NDArray[np.integer]) -> Part:
        """Some of the images, in the order of `indices`."""
        return Part(self.source, self.positions[indices], self.digests[indices])

    @property
    def as_stored(self) -> bool:
        """Whether the images are read in another order than this part's, because their source cannot seek."""
        return not self.source.seeks and bool((np.diff(self.positions) < 0).any())

    def batches(self, size: int) -> Iterator[tuple[NDArray[np.intp], Images]]:
        """All images, `size` at a time, and which of this part they are: in its order, or as they are stored."""
        places = np.argsort(self.positions, kind="stable") if self.as_stored else np.arange(len(self))
        at = 0
        for images in self.source.batches(size, self.positions[places]):
            yield places[at : at + len(images)], images
            at += len(images)

    def whole(self) -> Images:
        """All images in memory, in their order."""
        images = np.empty(self.shape, np.uint8)
        for places, batch in self.batches(batch_size(self.source.shape)):
            images[places] = batch
        return images


def part_of(images: Images) -> Part:
    """A part that holds all of `images`, `[N, C, H, W]`, which are in memory."""
    return Part(of_array(images), np.arange(len(images)), image_digests(images))


def drawn_order(digests: NDArray[np.uint8], seed: int = SUBSET_SEED) -> Positions:
    """An order of images by which n of them are drawn, its first n: by a hash of each one's digest `[N, 32]` and a seed
    of the protocol's. So it is a random sample whatever order the images lie in, the same one in any order, and that of
    n is part of that of more. Equal images keep their order.
    """
    salt = seed.to_bytes(8, "big")
    hashed = b"".join(hashlib.sha256(salt + digest.tobytes()).digest()[:8] for digest in digests)
    return np.argsort(np.frombuffer(hashed, ">u8"), kind="stable")


def drawn_of(images: Images, n: int) -> Positions | slice:
    """Which are the n of `images` `[N, C, H, W]` that are drawn, ascending; all, where there are no more."""
    return slice(None) if n >= len(images) else np.sort(drawn_order(image_digests(images))[:n])


def batch_size(shape: tuple[int, int, int]) -> int:
    """How many images of a shape are read at once where nothing else decides."""
    return max(_BATCH_BYTES // max(math.prod(shape), 1), 1)


def surveyed(
    name: str, source: Source, progress: Progress = lambda n: None, grey_alike: bool = False
) -> tuple[Source, NDArray[np.uint8]]:
    """The digest of each image of `source`, [N, 32]; with `grey_alike` the source has one channel if all its images
    are grey, whatever they were saved as.

    Raises UserError where all levels are those of images in 0..1 or -1..1 that were cast to whole numbers.
    """
    digests, of_greys, levels = [], [], Levels()
    grey = grey_alike and source.shape[0] == 3
    for images in source.batches(batch_size(source.shape)):
        digests.append(image_digests(images))
        grey = grey and is_grey(images)
        if grey:
            of_greys.append(image_digests(images[:, :1]))
        levels.see(images)
        progress(len(images))
    levels.check(name)
    if grey:
        return source.changed(1, lambda images: images[:, :1]), np.concatenate(of_greys)
    return source, np.concatenate(digests)


def is_grey(images: Images) -> bool:
    """Whether all channels of all images `[N, C, H, W]` are equal."""
    return bool((images == images[:, :1]).all())


class Levels:
    """Whether images have other levels than 0, 1 and 255, which is all that is left of floats cast without scaling."""

    def __init__(self) -> None:
        self.others = False
        self.seen: set[int] = set()

    def see(self, images: Images) -> None:
        if not self.others:
            self.others = bool(((images > 1) & (images < 255)).any())
            self.seen |= {level for level in (0, 1, 255) if (images == level).any()}

    def check(self, name: str) -> None:
        """Raises UserError where there are no others, and 1 among them: black and white alone are 0 and 255."""
        if 1 in self.seen and not self.others:
            raise UserError(
                f"{name} holds no levels but {', '.join(map(str, sorted(self.seen)))}; save levels 0..255 (of 0..1: "
                "(255 * images).round().astype(numpy.uint8))"
            )


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """A data set whose images, of any size, are read as they are needed. A split may be empty."""

    name: str
    train: Part
    test: Part
    whole: Part  # of both splits, and of what is in none
    train_labels: Labels | None = None
    test_labels: Labels | None = None
    entropy_bits_per_dim: float | None = None
    classes: tuple[str, ...] = ()  # names in the order of their labels, where folders give them
    split: str | None = None  # of a user's own images: "by hash" or "its own"
    lossy: str | None = None  # how many of a user's own images were compressed with loss, and how
    notes: tuple[str, ...] = ()  # what was left out

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        return self.whole.source.shape

    @cached_property
    def sha256(self) -> str:
        """The hash of the shapes, pixels and labels of both splits, and of the classes' names where they are known:
        with other labels it is another data set. The files' origin and format do not enter.
        """
        total = hashlib.sha256()
        for part, labels in self._labelled():
            total.update(part.sha256.encode())
            if labels is not None:
                total.update(b"labels" + labels.astype("<i8").tobytes())
        if self.classes:
            total.update(json.dumps(self.classes).encode())
        return total.hexdigest()

    def info(self) -> DataInfo:
        """What a record says of the data."""
        known = [labels.astype("<i8").tobytes() for _, labels in self._labelled() if labels is not None]
        return DataInfo(
            name=self.name,
            sha256=self.sha256,
            shape=self.shape,
            n_train=len(self.train),
            n_test=len(self.test),
            entropy_bits_per_dim=self.entropy_bits_per_dim,
            split=self.split,
            classes=list(self.classes),
            labels_sha256=hashlib.sha256(b"".join(known)).hexdigest() if known else None,
            lossy=self.lossy,
        )

    def _labelled(self) -> list[tuple[Part, Labels | None]]:
        return [(self.train, self.train_labels), (self.test, self.test_labels)]

    def part(self, split: str) -> Part:
        """`train`, `test`, or `all`. Raises UserError for one without images."""
        part: Part = self.whole if split == "all" else getattr(self, split)
        if not len(part):
            raise UserError(
                f"no image of {self.name} is in the split {split}: {len(self.train)} are for training and "
                f"{len(self.test)} for testing; --split all takes all {len(self.whole)}"
            )
        return part
