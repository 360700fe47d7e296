"""Data sets of the Hugging Face hub, and those that its library `datasets` saved to a folder. None can bring code."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from equibench import hub
from equibench.cache import HUB_FOLDER, cache_folder
from equibench.data.library import Split
from equibench.data.own import HELD_OUT, TRAIN
from equibench.data.pictures import FORMATS
from equibench.errors import UserError, first_line

PATTERNS = ("*.parquet", "*.arrow", "*.json", "*.jsonl", "*.csv", "*.md", "*.png", "*.jpg", "*.jpeg", "*.webp", "*.zip",
            "*.tar", "*.tar.gz")  # fmt: skip
SAVED = ("dataset_dict.json", "dataset_info.json")  # of `save_to_disk`


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved what lies in a folder."""
    return any(os.path.isfile(folder / name) for name in SAVED)  # false, too, of names that no file can have


def splits(name: str, download: bool) -> tuple[Split, Split | None]:
    """Training and test images of `hub:OWNER/NAME@COMMIT`; the second is None where it has no splits.

    Raises UserError.
    """
    one = hub.hub_id(name)
    folder = hub.folder_of(one, "dataset", download, PATTERNS)
    library = _library(name)
    try:
        kept = str(cache_folder() / HUB_FOLDER)
        with warnings.catch_warnings(action="ignore"):  # of what it pickles to name its cache
            return _both(name, library.load_dataset(str(folder), one.configuration, cache_dir=kept), library)
    except UserError:
        raise
    except Exception as error:  # whatever its readers raise
        raise UserError(
            f"cannot read {name} ({first_line(error)}); where it has several configurations, give one, as "
            f"hub:{one.repository}/CONFIGURATION@{one.commit[:7]}..."
        ) from None


def saved_splits(folder: Path) -> tuple[Split, Split | None]:
    """The same of what `save_to_disk` wrote to a folder. Raises UserError."""
    library = _library(str(folder))
    try:
        with warnings.catch_warnings(action="ignore"):
            return _both(folder.name, library.load_from_disk(str(folder)), library)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot read {folder} ({first_line(error)}); save it again with save_to_disk") from None


def _library(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{name} takes the library datasets; install it with `pip install 'equibench[datasets]'`"
        ) from None
    datasets.disable_progress_bars()
    return datasets


def _both(name: str, found: Any, library: Any) -> tuple[Split, Split | None]:
    if not isinstance(found, dict):
        return _split(name, found, library), None
    if len(found) == 1:
        return _split(name, next(iter(found.values())), library), None
    train, test = (next((split for split in names if split in found), None) for names in (TRAIN, HELD_OUT))
    if train is None or test is None:
        raise UserError(f"{name} has the splits {', '.join(found)}, of which one has to be called train and one test")
    return _split(name, found[train], library), _split(name, found[test], library)


def _split(name: str, found: Any, library: Any) -> Split:
    image = _column(name, found, library.Image, ("image", "img"))
    if image is None:
        raise UserError(f"{name} has no column of images; its columns are {', '.join(found.features)}")
    label = _column(name, found, library.ClassLabel, ("label", "labels", "fine_label"))
    given = None if label is None else np.asarray(found[label][:], np.int64)
    classes = () if label is None else tuple(found.features[label].names)
    files = found.select_columns([image]).cast_column(image, library.Image(decode=False))
    jpegs = sum(_bytes(row[image])[:2] == b"\xff\xd8" for row in files)
    return Split(
        len(found),
        lambda: (Image.open(io.BytesIO(_bytes(row[image])), formats=FORMATS) for row in files),
        None if given is None or (given < 0).any() else given,  # -1 stands for none
        classes,
        f"{jpegs:,} of {len(found):,} images, by JPEG" if jpegs else None,
    )


def _column(name: str, found: Any, kind: type, usual: tuple[str, ...]) -> str | None:
    """The only column of a kind, or of several the one with a usual name."""
    there = [column for column, feature in found.features.items() if isinstance(feature, kind)]
    named = [column for column in usual if column in there]
    if len(there) > 1 and not named:
        raise UserError(f"{name} has several columns that could be meant ({', '.join(there)}); call one {usual[0]}")
    return named[0] if named else there[0] if there else None


def _bytes(file: dict[str, Any]) -> bytes:
    """The content of an image's file, which lies in the table or beside it."""
    held: bytes | None = file["bytes"]
    return Path(file["path"]).read_bytes() if held is None else held
