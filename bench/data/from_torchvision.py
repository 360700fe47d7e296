"""Data sets of torchvision by the name of their class, from its own files; fetched by it where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from equibench.data.library import Split
from equibench.errors import UserError, first_line, nearest

PREFIX = "torchvision:"
_SPLIT = ({"split": "train"}, {"split": "test"})
_TRAIN = ({"train": True}, {"train": False})


class _Known(NamedTuple):
    """How a class is asked for its splits, none where it has none, and whether its images are JPEGs."""

    train: dict[str, Any]
    test: dict[str, Any] | None
    jpeg: bool = False


KNOWN = {
    **{name: _Known(*_TRAIN) for name in ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS")},
    "EMNIST": _Known({"split": "balanced", "train": True}, {"split": "balanced", "train": False}),
    **{name: _Known(*_SPLIT) for name in ("SVHN", "STL10", "GTSRB", "PCAM")},
    **{name: _Known(*_SPLIT, jpeg=True) for name in ("CelebA", "Country211", "DTD", "Flowers102", "Food101")},
    **{
        name: _Known({"split": "trainval"}, {"split": "test"}, jpeg=True) for name in ("FGVCAircraft", "OxfordIIITPet")
    },
    "Imagenette": _Known({"split": "train", "size": "320px"}, {"split": "val", "size": "320px"}, jpeg=True),
    "EuroSAT": _Known({}, None, jpeg=True),
}  # fmt: skip


def splits(name: str, root: Path, download: bool) -> tuple[Split, Split | None]:
    """Training and test images of `torchvision:NAME`, whose files lie in `root` as torchvision puts them there; the
    second is None where it has no splits. Raises UserError.
    """
    plain = name.removeprefix(PREFIX)
    if plain not in KNOWN:
        raise UserError(f"{name} is none of torchvision's data sets that are known here{nearest(plain, KNOWN)}")
    known = KNOWN[plain]
    train = _split(name, plain, known.train, root, download, known.jpeg)
    test = None if known.test is None else _split(name, plain, known.test, root, download, known.jpeg)
    return train, test


def _split(name: str, plain: str, asked: dict[str, Any], root: Path, download: bool, jpeg: bool) -> Split:
    import torchvision.datasets

    try:
        if download:
            root.mkdir(parents=True, exist_ok=True)
        found = getattr(torchvision.datasets, plain)(str(root), **asked, download=download)
    except Exception as error:  # of many kinds: no files, damaged ones, no network, a package that a class takes
        if download:
            raise UserError(
                f"cannot fetch {name} ({first_line(error)}); put its files into --data-root FOLDER"
            ) from None
        raise UserError(
            f"{name} is not in {root}, or not whole; pass --download to fetch it with torchvision, or --data-root "
            "FOLDER with its files as torchvision lays them"
        ) from None
    many = len(found)
    return Split(
        many,
        lambda: _images(found),
        _labels(found, many),
        tuple(map(str, getattr(found, "classes", ()))),
        f"{many:,} images of {plain}, which are JPEGs" if jpeg else None,
    )


def _images(found: Any) -> Iterator[Image.Image]:
    for i in range(len(found)):
        yield found[i][0]


def _labels(found: Any, many: int) -> Any:
    """From the list that a class holds, so that no image is read for them; None where not each has one number."""
    for place in ("targets", "labels", "_labels"):
        held = getattr(found, place, None)
        if held is not None and len(held) == many:
            labels = np.asarray(held)
            return (
                labels.astype(np.int64)
                if labels.ndim == 1 and labels.dtype.kind in "iu" and labels.min() >= 0
                else None
            )
    return None
