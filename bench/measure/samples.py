"""Measures samples of any tool: reads them, refuses what cannot be compared, and gives their quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.data import readers, sets
from equibench.errors import UserError
from equibench.hashing import array_sha256
from equibench.machine.provenance import code_version, package_versions
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality import imported, metrics
from equibench.measure.quality.memorization import memorization_test
from equibench.measure.quality.reference import Reference, drawn, features_of, reference_of_images
from equibench.protocol import PROTOCOL
from equibench.record.base import Strict
from equibench.record.schema import Code, DataInfo, Quality

FEWEST = 50  # below this the numbers would say more of the draw than of the model
COPIES = 0.01  # share of exact copies from which they are remarked on
SPLITS, RESAMPLES = 10, 20


class Measured(Strict):
    """Quality of samples from outside, with what is needed to measure it again."""

    samples: str
    samples_sha256: str
    data: DataInfo | None  # None where the reference is imported statistics
    quality: Quality
    notes: list[str]
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
) -> Measured:
    """Quality of the images at `samples` against a split of `dataset`, or against imported `statistics`.

    Raises UserError where a file is not readable, or where samples and reference cannot be compared.
    """
    if (dataset is None) == (statistics is None):
        raise UserError("give one thing to compare with: --dataset NAME, or --reference FILE with mu and sigma")
    images = load(samples)
    if statistics is not None:
        found = None
        against = imported.read(statistics, extractor)
        images, notes = _against_statistics(samples, images, statistics, against, extractor)
    else:
        assert dataset is not None
        found = sets.load(dataset, data_root, download)
        images = _against_data(samples, images, dataset, found)
        notes = _copies(images, getattr(found, split), split)
        against = reference_of_images(split, getattr(found, split), extractor)
    features = torch.from_numpy(extractor(images)).to(extractor.device)
    result = metrics.measure(features, against, extractor, splits=SPLITS, resamples=RESAMPLES, also=True)
    if found is not None:
        n = min(len(found.train), len(found.test))
        train, held_out = (part[drawn(len(part), n)] for part in (found.train, found.test))
        known, others = (features_of(part, extractor) for part in (train, held_out))
        test, _ = memorization_test(features, images, train, known, others)
        result = result.model_copy(update={"memorization": test})
    return Measured(
        samples=str(samples),
        samples_sha256=array_sha256(images),
        data=found.info() if found else None,
        quality=result,
        notes=notes,
        versions=package_versions(),
        code=code_version(),
    )


def _against_statistics(
    samples: Path, images: NDArray[np.uint8], statistics: Path, against: Reference, extractor: Extractor
) -> tuple[NDArray[np.uint8], list[str]]:
    """The images as these statistics were made of, with remarks on what is not known of them."""
    notes = list(against.notes)
    if against.shape is None:
        notes.append(
            f"{statistics.name} does not say which network and images made it; it was taken to be "
            f"{extractor.info.name} on images like these"
        )
    else:
        images = _fitting(samples, images, statistics.name, against.shape)
    if _lossy(samples):
        notes.append("the samples are JPEG or WebP, and compression changes the distance unless the reference is, too")
    return images, notes


def _against_data(samples: Path, images: NDArray[np.uint8], dataset: str, found: sets.Dataset) -> NDArray[np.uint8]:
    """The images as the data set has them. Raises UserError where the two cannot be compared."""
    lossy = dataset not in sets.NAMES and _lossy(Path(dataset).expanduser())
    if _lossy(samples) != lossy:
        raise UserError(
            f"{samples} holds {'JPEG or WebP' if not lossy else 'lossless'} images, {found.name} "
            f"{'lossless' if not lossy else 'JPEG or WebP'} ones; compression changes the distance: save both alike"
        )
    return _fitting(samples, images, found.name, found.shape)


def load(path: Path) -> NDArray[np.uint8]:
    """Samples as uint8 `[N, C, H, W]`: all images of a folder, or the one array of images in an `.npz` or `.npy`."""
    if path.is_dir():
        images = readers.pictures(path)
    elif path.suffix == ".npz" and path.is_file():
        images = readers.channels_first(path, _images_of(path, readers.npz(path)))
    elif path.suffix == ".npy" and path.is_file():
        try:
            images = readers.channels_first(path, np.load(path, allow_pickle=False))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"cannot read {path} ({error}); save it again with numpy.save") from None
    else:
        raise UserError(f"there are no samples at {path}; give a folder of images, an .npz or an .npy file")
    if not images.size:
        raise UserError(f"{path} holds images without pixels ({list(images.shape)}); save [N, H, W, C] or [N, C, H, W]")
    readers.check_sides(path, *images.shape[2:])
    if len(images) < FEWEST:
        raise UserError(
            f"{path} holds {len(images)} images; give at least {FEWEST}, better as many as the reference has"
        )
    levels = set(np.unique(images).tolist())
    if 1 in levels and levels <= {0, 1, 255}:  # of 0..1, or of -1..1, cast to whole numbers
        shown = ", ".join(str(level) for level in sorted(levels))
        raise UserError(f"{path} holds no levels but {shown}; save levels 0..255 (of 0..1: (255 * images).round())")
    return images


def _images_of(path: Path, arrays: dict[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    key = next((key for key in ("samples", "images", "arr_0", "x") if key in arrays), None)
    if key is None:
        raise UserError(f"{path} holds {', '.join(arrays) or 'nothing'}; save the samples as `images` in it")
    return arrays[key]


def _fitting(path: Path, images: NDArray[np.uint8], name: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """`images` with the reference's channels: grey pictures saved in colour are grey. Raises UserError otherwise."""
    if shape[0] == 1 and images.shape[1] == 3 and (images == images[:, :1]).all():
        images = np.ascontiguousarray(images[:, :1])
    if images.shape[1:] != shape:
        theirs, ours = ("x".join(map(str, sides)) for sides in (images.shape[1:], shape))
        raise UserError(
            f"{path} holds images of {theirs} (channels, height, width) and {name} of {ours}; resizing changes "
            "the distance, so sample at the data's size"
        )
    return images


def _copies(images: NDArray[np.uint8], reference: NDArray[np.uint8], split: str) -> list[str]:
    """Remarks on samples that are equal to the last pixel, to each other or to images of the reference."""
    kinds, there = {image.tobytes() for image in images}, {image.tobytes() for image in reference}
    repeated = len(images) - len(kinds)
    shared = sum(image.tobytes() in there for image in images)
    notes = []
    if repeated > COPIES * len(images):
        notes.append(f"{repeated:,} of {len(images):,} samples are exact copies of others: N counts them all")
    if shared > COPIES * len(images):
        notes.append(f"{shared:,} of {len(images):,} samples are images of the {split} split to the last pixel")
    return notes


def _lossy(path: Path) -> bool:
    """Whether a folder holds images that were compressed with loss, whatever their files are called."""
    return path.is_dir() and any(readers.is_lossy(file) for file in readers.picture_files(path))
