"""What the classes of a data set are called, for people: no name in here is part of a data set's hash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equibench.data.parts import Labels, StreamedDataset
from equibench.data.sets import Dataset

_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# as their authors name them, in the order of their labels
NAMES = {"fashion-mnist-10k": _CLOTHES, "fashion-mnist": _CLOTHES, "cifar10": _THINGS}
UNLABELLED = "no class"


class Classes(NamedTuple):
    """The classes of some images: their names, unlike each other, and which of them each image has, `[N]`."""

    names: tuple[str, ...]
    of_images: NDArray[np.int64]


def name_of(data: Dataset | StreamedDataset, label: int) -> str:
    """What a label of a data set is called; the label itself where it has no name."""
    known = data.classes or (NAMES.get(data.name, ()) if data.split is None else ())  # a user's own has a split
    if label < 0:
        return UNLABELLED
    return known[label] if label < len(known) else str(label)


def names_of(data: Dataset | StreamedDataset, labels: Iterable[int]) -> tuple[str, ...]:
    """What labels are called, each unlike the others: by the labels themselves where two have one name."""
    there = tuple(labels)
    names = tuple(name_of(data, label) for label in there)
    return names if len(set(names)) == len(names) else tuple(map(str, there))


def classes_of(data: Dataset | StreamedDataset, labels: Labels | None) -> Classes | None:
    """The classes that images with these labels `[N]` of a data set have, in the order of the labels; a class without
    a name goes by its label. None where labels are not known, or are all the same.
    """
    if labels is None:
        return None
    there, of_images = np.unique(labels, return_inverse=True)
    if len(there) < 2:
        return None
    return Classes(names_of(data, there.tolist()), of_images.reshape(-1).astype(np.int64))
