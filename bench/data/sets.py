"""Data sets by name: uint8 images in fixed splits, identified by a hash of their pixels.

One small real set ships with the package, one is computed (oracle.py), three are read from local files or downloaded by
torchvision, others are those of another library; any folder of images or `.npz` file serves too. Imports no torch.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from equibench.cache import cache_folder
from equibench.data import catalogue, oracle, own, readers
from equibench.data.arrays import Images
from equibench.data.listing import is_there
from equibench.data.parts import Labels, Part, Progress, StreamedDataset, drawn_of, part_of
from equibench.data.source import joined
from equibench.errors import UserError
from equibench.record.schema import DataInfo

DEFAULT = "fashion-mnist-10k"

_PACKAGED = Path(__file__).parent / "files"
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
_CACHE = cache_folder()
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two splits of uint8 images `[N, C, H, W]`, with int64 labels `[N]` where known."""

    name: str
    train: Images
    test: Images
    train_labels: Labels | None = None
    test_labels: Labels | None = None
    entropy_bits_per_dim: float | None = None  # of the distribution the images are drawn from; known for `oracle` only
    classes: tuple[str, ...] = ()  # names in the order of their labels, where folders give them
    split: str | None = None  # of a user's own images: "by hash" or "its own"
    lossy: str | None = None  # how many of a user's own images were compressed with loss, and how
    notes: tuple[str, ...] = ()  # what was left out, and how the rest was split

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @property
    def streamed(self) -> StreamedDataset:
        """The same, as what is read from files is given to measurements."""
        train, test = part_of(self.train), part_of(self.test)
        digests = np.concatenate([train.digests, test.digests])
        whole = Part(joined([train.source, test.source]), np.arange(len(digests)), digests)
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return StreamedDataset(whole=whole, **{**known, "train": train, "test": test})

    @property
    def sha256(self) -> str:
        """The hash of shapes, pixels and labels (data/parts.py)."""
        return self._info.sha256

    def info(self) -> DataInfo:
        """What a record says of the data."""
        return self._info

    @cached_property
    def _info(self) -> DataInfo:
        return self.streamed.info()

    def limited(self, n_train: int, n_test: int) -> Dataset:
        """Some images of each split, drawn, in the order that they have there, with a hash of their own; all of a split
        that has no more.
        """
        train, test = drawn_of(self.train, n_train), drawn_of(self.test, n_test)
        return replace(
            self,
            train=self.train[train],
            test=self.test[test],
            train_labels=None if self.train_labels is None else self.train_labels[train],
            test_labels=None if self.test_labels is None else self.test_labels[test],
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
    """The data set `name`, in memory, to be trained on: one of NAMES, another library's (catalogue.py), or the path of
    a folder of images, of an `.npz` or of an `.npy` file.

    Files that do not ship with the package are looked for in `root`, then in the system's folders and equibench's
    cache; with `download` what is missing is fetched. Of a user's own images `train` and `test` (or `val`) are used as
    they are; others are put in a split by their pixels (data/own.py).
    Raises UserError if the data set is unknown, missing, damaged or not of a kind that equibench takes.
    """
    if name in NAMES:
        return _named(name, root, download)
    if catalogue.is_named(name):
        named = Dataset(**vars(catalogue.by_name(name, root, download)))
        readers.check_sides(name, *named.shape[1:])
        return named
    path = _own_path(name)
    images = own.own_images(path)
    readers.check_sides(path, *images.source.shape[1:])
    readers.check_memory(path, images.source.count * math.prod(images.source.shape))
    found = own.split(path, own.held(images))
    if not len(found.train) or not len(found.test):
        raise UserError(
            f"{path} has too few images: by their hashes {len(found.train)} go to train and {len(found.test)} to test, "
            "and neither may be empty; give about 100 or more"
        )
    notes = found.notes
    if found.split == "by hash":
        notes = (
            f"{found.name} has no splits of its own: {len(found.test):,} of its {len(found.whole):,} images are for "
            "testing, by hash",
            *notes,
        )
    return Dataset(
        found.name,
        found.train.whole(),
        found.test.whole(),
        found.train_labels,
        found.test_labels,
        classes=found.classes,
        split=found.split,
        lossy=found.lossy,
        notes=notes,
    )


def streamed(
    name: str = DEFAULT, root: Path | None = None, download: bool = False, progress: Progress = lambda n: None
) -> StreamedDataset:
    """The data set `name`, to be compared with: as `load` finds it, with images of any size, which are read once here
    and again when they are asked for. `progress` hears how many were read. Raises UserError.
    """
    if name in NAMES:
        return _named(name, root, download).streamed
    if catalogue.is_named(name):
        return Dataset(**vars(catalogue.by_name(name, root, download))).streamed
    path = _own_path(name)
    return own.split(path, own.own_images(path), progress)


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
    rows += [Listing(*row) for row in catalogue.LISTED]
    rows.append(Listing("PATH", "a folder of images, an .npz or an .npy file", "yours"))
    return rows


def _named(name: str, root: Path | None, download: bool) -> Dataset:
    if name == DEFAULT:
        return _packaged()
    if name == "oracle":
        splits = oracle.images(10_000, seed=1), oracle.images(10_000, seed=2)
        return Dataset(name, *splits, entropy_bits_per_dim=oracle.entropy_bits_per_dim())
    folder = _find(name, root) or _download(name, root, download)
    if _FILES[name].names is _BATCHES:
        found = _read_batches(name, folder)
    else:
        found = _dataset_of_idx(name, [path for file in _IDX if (path := _file(folder, file))])
    for part in (found.train, found.test):
        if part.shape[1:] != found.train.shape[1:] or not part.size:
            raise UserError(f"{folder} holds splits {found.train.shape} and {found.test.shape}; fetch its files again")
    readers.check_sides(folder, *found.shape[1:])
    return found


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
    return next((path for path in (folder / name, folder / f"{name}.gz") if os.path.isfile(path)), None)


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


def _dataset_of_idx(name: str, paths: list[Path]) -> Dataset:
    """From files in the order of `_IDX`."""
    train, train_labels, test, test_labels = map(readers.idx, paths, (3, 1, 3, 1))
    labels = (
        readers.checked_labels(paths[1], train_labels, len(train)),
        readers.checked_labels(paths[3], test_labels, len(test)),
    )
    return Dataset(name, train[:, None], test[:, None], *labels)


def _read_batches(name: str, folder: Path) -> Dataset:
    *train, test = (readers.cifar_batch(folder / file) for file in _BATCHES)
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Dataset(name, images, test[0], labels, test[1])


def _own_path(name: str) -> Path:
    """The path that `name` is of. Raises UserError where nothing is there."""
    path = own.expanded(name)
    if name and is_there(path):
        return path
    if len(path.parts) > 1 or path.suffix:
        raise UserError(
            f"there is no folder, .npz or .npy file {name}; give an existing one, or one of {', '.join(NAMES)}"
        )
    near = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0)[0]
    raise UserError(f"there is no data set '{name}'; did you mean '{near}' (of {', '.join(NAMES)}, or a PATH)?")
