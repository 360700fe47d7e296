"""Measures samples of any tool: reads them, refuses what cannot be compared, and gives their quality."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.data import sets
from equibench.data.arrays import Images
from equibench.data.classes import classes_of
from equibench.data.listing import shown
from equibench.data.parts import Levels, Part, StreamedDataset, batch_size, drawn_order, is_grey
from equibench.data.source import Source, of_path
from equibench.errors import UserError
from equibench.hashing import image_digests, images_sha256
from equibench.machine.code import code_version, package_versions
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality import imported, metrics
from equibench.measure.quality.distance_parts import class_parts
from equibench.measure.quality.memorization import nearness_test
from equibench.measure.quality.reference import (
    Reference,
    extractor_batch,
    features_of,
    reference_of_images,
)
from equibench.protocol import PROTOCOL
from equibench.record.anatomy import DistanceParts
from equibench.record.base import Strict
from equibench.record.schema import Code, DataInfo, Memorization, Quality

FEWEST_SAMPLES = 50  # below this the numbers would say more of the draw than of the model
COPIES = 0.01  # share of exact copies from which they are remarked on
SPLITS, RESAMPLES = 10, 20

Tell = Callable[[str, int, int], None]  # what is being done, how many images are newly done, of how many


class Measured(Strict):
    """Quality of samples from outside, with what is needed to measure it again."""

    samples: str
    samples_sha256: str
    data: DataInfo | None  # None where the reference is imported statistics
    quality: Quality
    distance_parts: DistanceParts | None = None  # by class, where those of the reference's images are known
    notes: list[str]
    allowed_lossy: str | None = None  # what was compressed with loss, where it was measured all the same
    protocol: str = PROTOCOL
    versions: dict[str, str]
    code: Code


def measure(
    samples: Path,
    extractor: Extractor,
    *,
    dataset: str | None,
    split: str = "test",
    statistics: Path | None = None,
    data_root: Path | None = None,
    download: bool = False,
    allow_lossy: bool = False,
    tell: Tell = lambda what, done, total: None,
) -> Measured:
    """Quality of the images at `samples` against a split of `dataset` (`train`, `test` or `all`), or against imported
    `statistics`. Images are read in batches: of neither side do all need to fit the memory.

    Raises UserError where a file is not readable, or where samples and reference cannot be compared; with `allow_lossy`
    one side may be compressed with loss where the other is not.
    """
    if (dataset is None) == (statistics is None):
        raise UserError("give one thing to compare with: --dataset NAME, or --reference FILE with mu and sigma")
    source = load(samples)
    notes = [f"samples: {note}" for note in source.notes]
    found, lossy = None, None
    if statistics is not None:
        against = imported.read(statistics, extractor)
        source, more = _against_statistics(samples, source, statistics, against, extractor)
        check_levels(samples, source)
        features, digests = _features(source, extractor, tell)
    else:
        assert dataset is not None
        found = sets.streamed(dataset, data_root, download, lambda n: tell(f"reading {dataset}", n, 0))
        part = found.part(split)
        lossy = _unlike(samples, source, found, allow_lossy)
        source = fitting(samples, source, found.name, found.shape)
        check_levels(samples, source)
        against = reference_of_images(
            split, part, extractor, progress=lambda n: tell(f"features of {found.name}", n, len(part))
        )
        features, digests = _features(source, extractor, tell)
        more = [*_about_data(found, split, lossy), *_copies(digests, part.digests, split)]
    tell("metrics", 0, 0)
    on_device = torch.from_numpy(features).to(extractor.device)
    result = metrics.measure(on_device, against, extractor, splits=SPLITS, resamples=RESAMPLES, also=True)
    if found is not None:
        why = _with_more(result, found, split, extractor)
        test = _memorization(on_device, found, part, against, extractor)
        result = result.model_copy(update={"reason": why, "memorization": test})
    return Measured(
        samples=shown(samples),
        samples_sha256=images_sha256((source.count, *source.shape), digests),
        data=found.info() if found else None,
        quality=result,
        distance_parts=_by_class(on_device, found, split, against) if found else None,
        notes=notes + more,
        allowed_lossy=lossy,
        versions=package_versions(),
        code=code_version(),
    )


def load(path: Path) -> Source:
    """Samples, by their headers: all images of a folder, or the one array of images in an `.npz` or `.npy`."""
    source = of_path(path)
    if source.count < FEWEST_SAMPLES:
        raise UserError(
            f"{path} holds {source.count} images; give at least {FEWEST_SAMPLES}, better as many as the reference has"
        )
    return source


def check_levels(path: Path, source: Source) -> None:
    """Raises UserError where the levels are those of floats cast without scaling; reads no further than it must."""
    levels = Levels()
    for images in source.batches(batch_size(source.shape)):
        levels.see(images)
        if levels.others:
            return
    levels.check(str(path))


def _features(source: Source, extractor: Extractor, tell: Tell) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features `[N, d]` and digests `[N, 32]` of all images, read once."""
    features, digests, at = np.empty((source.count, extractor.info.dims), np.float32), [], 0
    for images in source.batches(extractor_batch(source, extractor)):
        features[at : at + len(images)] = extractor(images)
        digests.append(image_digests(images))
        at += len(images)
        tell("features of the samples", len(images), source.count)
    return features, np.concatenate(digests)


def _against_statistics(
    samples: Path, source: Source, statistics: Path, against: Reference, extractor: Extractor
) -> tuple[Source, list[str]]:
    """The images as these statistics were made of, with remarks on what is not known of them."""
    notes = list(against.notes)
    if against.shape is None:
        notes.append(
            f"{shown(statistics.name)} does not say which network and images made it; it was taken to be "
            f"{extractor.info.name} on images like these"
        )
    else:
        source = fitting(samples, source, statistics.name, against.shape)
    if source.lossy_count:
        notes.append(
            f"{source.lossy_count:,} of {source.count:,} samples were compressed with loss ({source.lossy_example}), "
            "which changes the distance unless the reference's images were, too"
        )
    return source, notes


def _unlike(samples: Path, source: Source, found: StreamedDataset, allowed: bool) -> str | None:
    """What was compressed with loss, where samples and data are not alike in this and may be compared all the same.

    Raises UserError where they may not.
    """
    theirs = found.whole.source

    def kind(one: Source) -> int:  # none, some, all
        return (one.lossy_count > 0) + (one.lossy_count == one.count)

    if kind(source) == kind(theirs):
        return None
    example = source.lossy_example or theirs.lossy_example
    unlike = (
        f"{source.lossy_count:,} of {source.count:,} images of {shown(samples)} and {theirs.lossy_count:,} of "
        f"{theirs.count:,} of {found.name} were compressed with loss (such as {example})"
    )
    if not allowed:
        raise UserError(
            f"{unlike}, which changes the distance; save both alike, or pass --allow-lossy to measure all the same"
        )
    return unlike


def _about_data(found: StreamedDataset, split: str, lossy: str | None) -> list[str]:
    notes = [f"{lossy}, which changes the distance; it was measured all the same (--allow-lossy)"] if lossy else []
    if found.split == "by hash" and split != "all":
        notes.append(
            f"{split}: {len(found.part(split)):,} of {found.name}'s {len(found.whole):,} images, by hash; --split all "
            "takes them all"
        )
    return notes + [f"{found.name}: {note}" for note in found.notes]


def _with_more(result: Quality, found: StreamedDataset, split: str, extractor: Extractor) -> str | None:
    """Why there is no distance, with where more images are to be had."""
    few, many = len(found.part(split)), len(found.whole)
    if result.value is not None or few > extractor.info.dims or few == many:
        return result.reason
    other = "all" if split == "train" else "train or all"
    return f"{result.reason}; {split} is {few:,} of {found.name}'s {many:,} images, and --split {other} takes more"


def fitting(path: Path, source: Source, name: str, shape: tuple[int, int, int]) -> Source:
    """The samples with the reference's channels: grey ones saved in colour are grey, and grey ones beside colour have
    three equal channels. Raises UserError, or the source does as it is read, where they cannot be compared.
    """
    theirs, ours = ("x".join(map(str, sides)) for sides in (source.shape, shape))
    refusal = f"{path} holds images of {theirs} (channels, height, width) and {name} of {ours}; "
    if source.shape[1:] != shape[1:]:
        raise UserError(f"{refusal}resizing changes the distance, so sample at the data's size")

    def one_channel(images: Images) -> Images:
        if not is_grey(images):
            raise UserError(f"{refusal}sample in the data's channels, or compare with data in colour")
        return images[:, :1]

    if source.shape[0] == shape[0]:
        return source
    return source.changed(shape[0], one_channel if shape[0] == 1 else partial(np.repeat, repeats=3, axis=1))


def _copies(digests: NDArray[np.uint8], reference: NDArray[np.uint8], split: str) -> list[str]:
    """Remarks on samples that are equal to the last pixel, to each other or to images of the reference."""
    ours, theirs = ([digest.tobytes() for digest in part] for part in (digests, reference))
    there = set(theirs)
    repeated, shared = len(ours) - len(set(ours)), sum(digest in there for digest in ours)
    notes = []
    if repeated > COPIES * len(ours):
        notes.append(f"{repeated:,} of {len(ours):,} samples are exact copies of others: N counts them all")
    if shared > COPIES * len(ours):
        where = "the data set" if split == "all" else f"the {split} split"
        notes.append(f"{shared:,} of {len(ours):,} samples are images of {where} to the last pixel")
    return notes


def _by_class(features: Tensor, found: StreamedDataset, split: str, against: Reference) -> DistanceParts | None:
    """What makes the distance; None where the classes of the split are not known."""
    labels = {"train": found.train_labels, "test": found.test_labels}.get(split)
    classes = classes_of(found, labels)
    return class_parts(features, against, classes) if classes else None


def _memorization(
    features: Tensor, found: StreamedDataset, part: Part, against: Reference, extractor: Extractor
) -> Memorization | None:
    """Whether samples lie nearer to training images than to as many held-out ones; None where a split is empty."""
    n = min(len(found.train), len(found.test))
    if not n:
        return None
    rows = {digest.tobytes(): row for row, digest in enumerate(part.digests)}
    theirs = []
    for images in (found.train, found.test):
        chosen = images.at(np.sort(drawn_order(images.digests)[:n]))
        there = [rows.get(digest.tobytes()) for digest in chosen.digests]
        if None in there:
            theirs.append(torch.from_numpy(features_of(chosen, extractor)).to(features.device))
        else:  # the features of these images are the reference's
            assert against.features is not None
            theirs.append(against.features[torch.tensor(there, device=features.device)])
    test = nearness_test(features, *theirs)
    return Memorization(share_nearer_train=test.share, stderr=test.stderr, p=test.p, n_train=n)
