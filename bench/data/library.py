"""Images that another library hands out, as arrays of one size, with labels by the names of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from equibench.data import own
from equibench.data.arrays import Images
from equibench.data.parts import Labels
from equibench.data.readers import check_memory
from equibench.data.source import of_array
from equibench.errors import UserError, first_line
from equibench.hashing import image_digests

_GREY, _COLOUR = ("1", "L"), ("RGB", "P")


@dataclass(frozen=True)
class Split:
    """One split, as a library hands it out: `images` gives each in turn."""

    count: int
    images: Callable[[], Iterator[Image.Image]]
    labels: Labels | None = None  # [count]; None where some have none
    classes: tuple[str, ...] = ()
    lossy: str | None = None  # how many were compressed with loss, and how


@dataclass(frozen=True)
class Gathered:
    """Both splits in memory."""

    name: str
    train: Images
    test: Images
    train_labels: Labels | None
    test_labels: Labels | None
    classes: tuple[str, ...]
    split: str  # "its own" or "by hash"
    lossy: str | None
    notes: tuple[str, ...]


def gathered(name: str, train: Split, test: Split | None, side: int | None) -> Gathered:
    """The images of both splits, of one size: their own, or after a crop to the square in the middle `side` pixels
    wide and high. Without a `test` split they are split by hash, as a user's own are.

    Raises UserError for images of several sizes without a `side`, for splits with equal images, and for classes of the
    test images that training images do not have.
    """
    images = _arrays(name, train, side)
    if test is None:
        there = own.OwnImages(name, of_array(images), labels=train.labels, classes=train.classes)
        found = own.split(Path(name), there)
        many = f"{len(found.test):,} of its {len(images):,} images"
        by_hash = f"{name} has no splits of its own: {many} are for testing, by hash"
        both = found.train.whole(), found.test.whole(), found.train_labels, found.test_labels
        return Gathered(name, *both, train.classes, "by hash", train.lossy, (by_hash, *found.notes))
    others = _arrays(name, test, side)
    if others.shape[1:] != images.shape[1:]:
        raise UserError(
            f"{name} has training images of {_size(images)} and test images of {_size(others)}; give a side that all "
            f"are brought to, as {name}:{min(images.shape[2:])}"
        )
    known = {digest.tobytes() for digest in image_digests(images)}
    shared = sum(digest.tobytes() in known for digest in image_digests(others))
    if shared == len(others):
        raise UserError(
            f"{name} has the same images in both splits, so that nothing can be tested; use another data set"
        )
    notes = (
        (f"{shared:,} of {len(others):,} test images are training images, too, to the last pixel",) if shared else ()
    )
    lossy = "; ".join(dict.fromkeys(filter(None, (train.lossy, test.lossy)))) or None
    test_labels = _by_name(name, train, test)
    return Gathered(name, images, others, train.labels, test_labels, train.classes, "its own", lossy, notes)


def _by_name(name: str, train: Split, test: Split) -> Labels | None:
    """The test images' labels in the order of the training images' classes."""
    if test.labels is None or train.labels is None or test.classes == train.classes:
        return test.labels if train.labels is not None else None
    strange = [one for one in test.classes if one not in train.classes]
    if strange or not test.classes:
        raise UserError(f"{name} has test images of the class {strange[:1]}, of which there are no training images")
    return np.array([train.classes.index(one) for one in test.classes], np.int64)[test.labels]


def _arrays(name: str, split: Split, side: int | None) -> Images:
    """uint8 `[N, C, H, W]`, with one channel where all images are grey."""
    found: list[np.ndarray] = []
    grey = True
    for image in _read(name, split):
        try:
            if image.mode not in (*_GREY, *_COLOUR):
                raise UserError(f"{name} has images of the mode {image.mode}; only grey and RGB ones are read")
            one = np.array(_squared(image.convert("L" if image.mode in _GREY else "RGB"), side))
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from None
        grey = grey and one.ndim == 2
        if found and one.shape[:2] != found[0].shape[:2]:
            raise UserError(
                f"{name} has images of several sizes, such as {_hw(found[0])} and {_hw(one)}; give the side that they "
                f"are cropped and resized to, as {name}:64"
            )
        if not found:
            check_memory(Path(name), split.count * one.shape[0] * one.shape[1] * 3)
        found.append(one)
    if not found:
        raise UserError(f"{name} has a split without images; use another data set")
    if grey:
        return np.stack(found)[:, None]
    return (
        np.stack([one if one.ndim == 3 else np.repeat(one[..., None], 3, 2) for one in found])
        .transpose(0, 3, 1, 2)
        .copy()
    )


def _read(name: str, split: Split) -> Iterator[Image.Image]:
    """Each image in turn. Raises UserError where the library cannot open one."""
    try:
        yield from split.images()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> UserError:
    return UserError(f"{name} has an image that cannot be read ({first_line(error)}); fetch it again")


def _squared(image: Image.Image, side: int | None) -> Image.Image:
    """The square in the middle, resized with Lanczos' filter, antialiased; as it is without a side, or of that size."""
    if side is None or image.size == (side, side):
        return image
    width, height = image.size
    least = min(width, height)
    left, top = (width - least) / 2, (height - least) / 2
    return image.resize((side, side), Image.Resampling.LANCZOS, box=(left, top, left + least, top + least))


def _hw(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _size(images: Images) -> str:
    return f"{images.shape[3]}x{images.shape[2]} with {images.shape[1]} channel{'s' if images.shape[1] > 1 else ''}"
