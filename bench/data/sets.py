"""Data sets by name: uint8 images in fixed splits, identified by a hash of their pixels.

One small real data set ships with the package, one is computed (bench/data/oracle.py), three are read from local files
or downloaded by torchvision, and any folder of images or `.npz` file serves too. This module imports no torch.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from equibench.cache import cache_folder
from equibench.data import oracle, readers
from equibench.data.readers import Images, Labels
from equibench.errors import UserError
from equibench.record.schema import DataInfo

DEFAULT = "fashion-mnist-10k"

_PACKAGED = Path(__file__).parent / "files"
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
_CACHE = cache_folder()
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_TEST_ONE_IN = 10


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two splits of uint8 images `[N, C, H, W]`, with int64 labels `[N]` where known."""

    name: str
    train: Images
    test: Images
    train_labels: Labels | None = None
    test_labels: Labels | None = None
    entropy_bits_per_dim: float | None = None  # of the distribution the images are drawn from; known for `oracle` only

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @cached_property
    def sha256(self) -> str:
        """Of shapes and pixels of both splits. Labels and the files' origin and format do not enter."""
        total = hashlib.sha256()
        for split in (self.train, self.test):
            total.update(repr(split.shape).encode())
            total.update(np.ascontiguousarray(split).data)
        return total.hexdigest()

    def info(self) -> DataInfo:
        """What a record says of the data."""
        return DataInfo(
            name=self.name,
            sha256=self.sha256,
            shape=self.shape,
            n_train=len(self.train),
            n_test=len(self.test),
            entropy_bits_per_dim=self.entropy_bits_per_dim,
        )

    def limited(self, n_train: int, n_test: int) -> Dataset:
        """The first images of each split (all, where it has fewer), with a hash of their own."""
        return replace(
            self,
            train=self.train[:n_train],
            test=self.test[:n_test],
            train_labels=None if self.train_labels is None else self.train_labels[:n_train],
            test_labels=None if self.test_labels is None else self.test_labels[:n_test],
        )


@dataclass(frozen=True)
class Listing:
    """A data set as `equibench ls` shows it."""

    name: str
    what: str
    found: str  # where it was found, or how to get it


@dataclass(frozen=True)
class _Files:
    """A data set in files, in the layout that torchvision gives them under its root."""

    what: str
    names: tuple[str, ...]
    folder: str
    torchvision: str  # the class that downloads them
    beside: tuple[str, ...] = ()  # files that come with them
    archive: str | None = None  # what they came in


_FILES = {
    "fashion-mnist": _Files("clothes, 28x28 grey, 60,000 + 10,000", _IDX, "FashionMNIST/raw", "FashionMNIST"),
    "mnist": _Files("digits, 28x28 grey, 60,000 + 10,000", _IDX, "MNIST/raw", "MNIST"),
    "cifar10": _Files(
        "things, 32x32 colour, 50,000 + 10,000",
        _BATCHES,
        "cifar-10-batches-py",
        "CIFAR10",
        ("batches.meta", "readme.html"),
        "cifar-10-python.tar.gz",
    ),
}
NAMES = (DEFAULT, *_FILES, "oracle")


def load(name: str = DEFAULT, root: Path | None = None, download: bool = False) -> Dataset:
    """The data set `name`: one of NAMES, or the path of a folder of images or of an `.npz` file.

    Files that do not ship with the package are looked for in `root`, then in the system's folders and equibench's
    cache; with `download` torchvision fetches what is missing (to `root`, or else the cache). A path's images are put
    in a split, and in an order, by their own pixels: file names and order do not matter, and exact duplicates share a
    split. An `.npz` file with `train` and `test` is used as it is.

    Raises UserError if the data set is unknown, missing, damaged or not of a kind that equibench takes.
    """
    if name == DEFAULT:
        dataset = _packaged()
    elif name == "oracle":
        splits = oracle.images(10_000, seed=1), oracle.images(10_000, seed=2)
        dataset = Dataset(name, *splits, entropy_bits_per_dim=oracle.entropy_bits_per_dim())
    elif name in _FILES:
        folder = _find(name, root) or _download(name, root, download)
        dataset = _read_batches(name, folder) if _FILES[name].names is _BATCHES else _read_idx_files(name, folder)
    else:
        dataset = _user(name)
    _check(dataset)
    return dataset


def downloads() -> dict[str, tuple[str, ...]]:
    """By data set, the files that torchvision's download leaves, relative to the cache."""
    return {
        name: tuple(
            [f"{files.folder}/{file}{packed}" for file in (*files.names, *files.beside) for packed in ("", ".gz")]
            + [archive for archive in (files.archive,) if archive]
        )
        for name, files in _FILES.items()
    }


def describe(root: Path | None = None) -> list[Listing]:
    """Every named data set, and where it is; reads no images and downloads nothing."""
    rows = [Listing(DEFAULT, "clothes, 28x28 grey, 10,000 + 10,000", "ships with equibench")]
    for name, files in _FILES.items():
        found = _find(name, root)
        rows.append(Listing(name, files.what, str(found) if found else "pass --download, or --data-root FOLDER"))
    rows.append(Listing("oracle", "glyphs of known entropy, 32x32 colour, 10,000 + 10,000", "computed"))
    rows.append(Listing("PATH", "a folder of images, or an .npz file", "yours"))
    return rows


def _packaged() -> Dataset:
    paths = [_PACKAGED / f"fashion-mnist-{name.replace('train', 'train-10k')}.gz" for name in _IDX]
    try:
        sums = (_PACKAGED / "SHA256SUMS").read_text().splitlines()
        damaged = [p for p in paths if f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" not in sums]
    except OSError as error:
        raise UserError(f"the packaged file {error.filename} is missing; reinstall equibench") from None
    if damaged:
        raise UserError(f"the packaged file {damaged[0]} is damaged (see SHA256SUMS beside it); reinstall equibench")
    return _dataset_of_idx(DEFAULT, paths)


def _find(name: str, root: Path | None) -> Path | None:
    """The first folder that holds all files of `name`. MNIST and Fashion-MNIST share file names: own folders first."""
    files = _FILES[name]
    places = [root / files.folder, root / name, root] if root else []
    places += [_DEBIAN] if name == "fashion-mnist" else []
    places += [_CACHE / files.folder]
    return next((place for place in places if all(_file(place, file) for file in files.names)), None)


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _download(name: str, root: Path | None, allowed: bool) -> Path:
    files = _FILES[name]
    if not allowed:
        raise UserError(
            f"{name} is not on this machine; pass --download to fetch it with torchvision, or --data-root FOLDER "
            f"with the files {', '.join(files.names)}"
        )
    import torchvision.datasets

    try:
        getattr(torchvision.datasets, files.torchvision)(str(root or _CACHE), download=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot download {name} ({error}); pass --data-root FOLDER with its files instead") from None
    folder = _find(name, root)
    if folder is None:
        raise UserError(f"torchvision's download of {name} lacks files; pass --data-root FOLDER with them")
    return folder


def _read_idx_files(name: str, folder: Path) -> Dataset:
    return _dataset_of_idx(name, [path for file in _IDX if (path := _file(folder, file))])


def _dataset_of_idx(name: str, paths: list[Path]) -> Dataset:
    """From files in the order of `_IDX`."""
    train, train_labels, test, test_labels = map(readers.idx, paths, (3, 1, 3, 1))
    labels = readers.checked_labels(paths[1], train_labels, train), readers.checked_labels(paths[3], test_labels, test)
    return Dataset(name, train[:, None], test[:, None], *labels)


def _read_batches(name: str, folder: Path) -> Dataset:
    *train, test = (readers.cifar_batch(folder / file) for file in _BATCHES)
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Dataset(name, images, test[0], labels, test[1])


def _user(name: str) -> Dataset:
    path = Path(os.path.expanduser(name))  # Path.expanduser raises where there is no such user
    if name and path.is_dir():
        return _split(path, readers.pictures(path), None)
    if path.is_file() and path.suffix == ".npz":
        return _dataset_of_arrays(path, readers.npz(path))
    if name and path.exists():
        raise UserError(f"{name} is neither a folder of images nor an .npz file; give one of these")
    if len(path.parts) > 1 or path.suffix:
        raise UserError(f"there is no folder or .npz file {name}; give an existing one, or one of {', '.join(NAMES)}")
    near = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0)[0]
    raise UserError(f"there is no data set '{name}'; did you mean '{near}' (of {', '.join(NAMES)}, or a PATH)?")


def _dataset_of_arrays(path: Path, arrays: dict[str, Any]) -> Dataset:
    """Of `train` and `test` as they are, or else of all images, split."""

    def labels(key: str, images: Images) -> Labels | None:
        return readers.checked_labels(path, arrays[key], images) if key in arrays else None

    if "train" in arrays and "test" in arrays:
        train, test = (readers.channels_first(path, arrays[key]) for key in ("train", "test"))
        return Dataset(path.name, train, test, labels("train_labels", train), labels("test_labels", test))
    key = next((key for key in ("images", "arr_0", "x") if key in arrays), None)
    if key is None:
        raise UserError(f"{path} holds {', '.join(arrays) or 'nothing'}; save images, or train and test, in it")
    images = readers.channels_first(path, arrays[key])
    return _split(path, images, labels("labels", images))


def _split(path: Path, images: Images, labels: Labels | None) -> Dataset:
    """Split and order by each image's sha256: the first n of a split are a fair draw, whatever the files' order."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    order = sorted(range(len(images)), key=digests.__getitem__)
    test = [i for i in order if int.from_bytes(digests[i]) % _TEST_ONE_IN == 0]
    train = [i for i in order if int.from_bytes(digests[i]) % _TEST_ONE_IN != 0]
    if not train or not test:
        raise UserError(
            f"{path} has too few images: by their hashes {len(train)} go to train and {len(test)} to test, and neither "
            "may be empty; give about 100 or more"
        )
    parts = (None, None) if labels is None else (labels[train], labels[test])
    return Dataset(path.resolve().name, images[train], images[test], *parts)


def _check(dataset: Dataset) -> None:
    train, test = dataset.train.shape, dataset.test.shape
    if train[1:] != test[1:] or 0 in (train[0], test[0]):
        raise UserError(
            f"{dataset.name} has splits {train} and {test}; neither may be empty, nor their images differ in shape"
        )
    readers.check_sides(dataset.name, *dataset.shape[1:])
