"""A user's own images as a data set: their own splits where they have some, else one by hash; classes by folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from equibench.data import arrays
from equibench.data.arrays import StoredArray
from equibench.data.listing import shown
from equibench.data.parts import Labels, Part, Progress, StreamedDataset, surveyed
from equibench.data.readers import checked_labels
from equibench.data.source import Positions, Source, joined, kind_of, of_array, of_folder, of_npz, of_stored
from equibench.errors import UserError

TRAIN, HELD_OUT = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # in any capitals
_TEST_ONE_IN = 10


@dataclass(frozen=True, eq=False)
class OwnImages:
    """Images as they lie there. `train` and `test` are positions of the user's own splits; None where there are none.
    Labels are of all images, in the source's order, and -1 for those that have none.
    """

    name: str
    source: Source
    train: Positions | None = None
    test: Positions | None = None
    labels: Labels | None = None
    classes: tuple[str, ...] = ()  # names of folders; the place of each is its label
    notes: tuple[str, ...] = ()


def own_images(path: Path) -> OwnImages:
    """What is at `path`, a folder of images, an `.npz` or an `.npy`. Reads headers alone. Raises UserError."""
    kind = kind_of(path)
    if kind == "folder":
        return _folder(path)
    if kind == ".npz":
        return _npz(path, arrays.npz(path))
    return OwnImages(shown(path.name), of_stored(arrays.npy(path)))


def split(path: Path, own: OwnImages, progress: Progress = lambda n: None) -> StreamedDataset:
    """Reads all images once. Images without splits are put in one, and in an order, by each image's sha256: the first n
    of a split are a fair draw, whatever the files' names and order, and exact duplicates share a split.
    """
    source, digests = surveyed(str(path), own.source, progress, grey_alike=bool(own.source.files))
    notes = [*own.notes, *source.notes]
    if own.train is not None and own.test is not None:
        how, train, test, order = "its own", own.train, own.test, np.arange(source.count)
        there = {digest.tobytes() for digest in digests[train]}
        if shared := sum(digest.tobytes() in there for digest in digests[test]):
            notes.append(f"{shared:,} of {len(test):,} test images are training images, too, to the last pixel")
    else:
        label = np.zeros(source.count, np.int64) if own.labels is None else own.labels
        ranked = sorted(range(source.count), key=lambda i: (digests[i].tobytes(), label[i]))
        how, order = "by hash", np.array(ranked, np.intp)
        chosen = np.array([int.from_bytes(digests[i].tobytes()) % _TEST_ONE_IN == 0 for i in order], bool)
        train, test = order[~chosen], order[chosen]

    def part(positions: Positions) -> Part:
        return Part(source, positions, digests[positions])

    def labels(positions: Positions) -> Labels | None:
        known = None if own.labels is None else own.labels[positions]
        return None if known is None or (known < 0).any() or not len(known) else known

    return StreamedDataset(
        own.name,
        part(train),
        part(test),
        part(order),
        labels(train),
        labels(test),
        classes=own.classes,
        split=how,
        lossy=source.lossy,
        notes=tuple(notes),
    )


def _folder(folder: Path) -> OwnImages:
    source = of_folder(folder)
    name = shown(folder.resolve().name)
    places = [file.relative_to(folder).parts[:-1] for file in source.files]
    trains, tests = (_tops(places, names) for names in (TRAIN, HELD_OUT))
    tests = [top for top in tests if top.lower().startswith("test")] or tests
    notes = []
    if trains and tests:
        if len(trains) > 1 or len(tests) > 1:
            raise UserError(
                f"{folder} holds {', '.join(sorted(trains + tests))}, where one is for training and one for testing; "
                "move the others away"
            )
        train, test = (np.array([i for i, at in enumerate(places) if at[:1] == (top,)], np.intp) for top in
                       (trains[0], tests[0]))  # fmt: skip
        if rest := source.count - len(train) - len(test):
            notes.append(
                f"{rest:,} of {name}'s {source.count:,} images lie neither in {shown(trains[0])} nor in "
                f"{shown(tests[0])} and are in no split; --split all takes them, too"
            )
        within = [at[1:2] if at[:1] in ((trains[0],), (tests[0],)) else None for at in places]
        labels, classes = _labels(within)
        return OwnImages(name, source, train, test, labels, classes, tuple(notes))
    labels, classes = _labels([at[:1] for at in places])
    return OwnImages(name, source, labels=labels, classes=classes)


def _tops(places: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> list[str]:
    """The first folders on the way to images that are called one of `names`."""
    return sorted({at[0] for at in places if at and at[0].lower() in names})


def _labels(within: Sequence[tuple[str, ...] | None]) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels by class folders, where every image (but those that are in no split, None) lies in one of two or more."""
    used = [at for at in within if at is not None]
    classes = sorted({at[0] for at in used if at})
    if len(classes) < 2 or not all(used):
        return None, ()
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[at[0]] if at else -1 for at in within], np.int64)
    return labels, tuple(shown(name) for name in classes)


def _npz(path: Path, found: dict[str, StoredArray]) -> OwnImages:
    name = shown(path.name)
    trains = [key for key in found if key.lower() in TRAIN]
    tests = [key for key in found if key.lower() in HELD_OUT]
    tests = [key for key in tests if key.lower().startswith("test")] or tests
    if not trains or not tests:
        source = of_npz(path, found, "images, or train and test, in it")
        given = found.get("labels")
        if given is None and "arr_1" in found and len(found["arr_1"].shape) == 1:
            given = found["arr_1"]  # as in ADM's reference batches
        labels = checked_labels(path, given.whole(), source.count) if given else None
        return OwnImages(name, source, labels=labels)
    if len(trains) > 1 or len(tests) > 1:
        raise UserError(f"{path} holds {', '.join(trains + tests)}; keep one for training and one for testing")
    keys = [trains[0], tests[0]]
    keys += [key for key in found if key.lower() in HELD_OUT and key not in keys and len(found[key].shape) > 2]
    sources = {key: of_stored(found[key]) for key in keys}
    for key in keys[1:]:
        if sources[key].shape != sources[keys[0]].shape:
            shapes = " and ".join(str((one.count, *one.shape)) for one in (sources[keys[0]], sources[key]))
            raise UserError(f"{path} has splits {shapes}; their images may not differ in shape")
    labelled = [
        checked_labels(path, found[f"{key}_labels"].whole(), sources[key].count)
        if f"{key}_labels" in found
        else np.full(sources[key].count, -1, np.int64)
        for key in keys
    ]
    n_train, n_test = sources[keys[0]].count, sources[keys[1]].count
    others = [key for key, array in found.items() if key not in keys and len(array.shape) > 2]
    notes = [f"{key} in {path.name} is in no split; --split all takes it, too" for key in keys[2:]]
    notes += [f"{key} in {path.name} was not read" for key in others]
    return OwnImages(
        name,
        joined(list(sources.values())),
        np.arange(n_train),
        np.arange(n_train, n_train + n_test),
        np.concatenate(labelled),
        notes=tuple(notes),
    )


def held(own: OwnImages) -> OwnImages:
    """The same, with all images in memory."""
    return replace(own, source=replace(own.source, read=of_array(own.source.whole()).read, seeks=True))


def expanded(name: str) -> Path:
    """A path as typed, with `~` for a home folder where there is one: Path.expanduser raises where there is none."""
    return Path(os.path.expanduser(name))
