"""Where equibench keeps what it downloads and computes for another time."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import platformdirs

# features, reference statistics and plans under their hashes, and what a killed writer of one leaves
COMPUTED = re.compile(
    r"(features|reference)-[0-9a-f]{64}\.(npz|\d+\.partial)|plan-[0-9a-f]{64}\.json|\.[\w.-]+\.\d+\.[0-9a-f]{8}\.partial"
)
NOWHERE = Path(os.devnull) / "equibench"  # no file can be there: what cannot be kept is computed, or asked for, again


def cache_folder() -> Path:
    """The user's cache folder on this system, e.g. ~/.cache/equibench on Linux; it need not be there yet. NOWHERE for a
    user without a home, for whom it would be a folder called `~` in the working one.
    """
    try:
        folder = Path(platformdirs.user_cache_path("equibench", appauthor=False))
    except (OSError, KeyError, RuntimeError):  # no entry for the user
        return NOWHERE
    return folder if folder.is_absolute() else NOWHERE


# what lies in them is all equibench's, or a library's that it called
TORCHVISION_FOLDER, HUB_FOLDER = "torchvision", "datasets"
FOLDERS = {
    TORCHVISION_FOLDER: "data sets of torchvision by name, downloaded",
    HUB_FOLDER: "data sets of the hub, as tables",
}


def usable_cache(instead: Path) -> Path:
    """The cache folder if this user can write there, else `instead`: what several processes need is computed once."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return instead
    return folder if os.access(folder, os.W_OK | os.X_OK) else instead


class Kept(NamedTuple):
    """Files of one kind in the cache that equibench, or torchvision for it, put there."""

    what: str
    files: tuple[Path, ...]
    size_bytes: int


def kept(downloads: Mapping[str, Iterable[str]]) -> list[Kept]:
    """What lies in the cache: features, and downloaded data by name, whose files `downloads` gives relative to the
    cache. What equibench did not put there, and what lies behind a link, is left out.
    """
    folder = cache_folder()
    try:
        computed = [Path(entry.path) for entry in os.scandir(folder) if COMPUTED.fullmatch(entry.name)]
    except OSError:  # no cache, or none that may be read
        return []
    found = {"features of images, and plans of entrants, computed": sorted(computed)}
    found |= {what: sorted((folder / inner).rglob("*")) for inner, what in FOLDERS.items()}
    found |= {f"data set {name}, downloaded": [folder / file for file in files] for name, files in downloads.items()}
    return [one for what, files in found.items() if (one := _own(what, files, folder)).files]


def clear(found: Iterable[Kept]) -> int:
    """Remove the files, and folders that are empty then; the bytes that this frees. Raises OSError."""
    root, freed_bytes = cache_folder(), 0
    for one in found:
        for file in one.files:
            size_bytes = file.lstat().st_size
            file.unlink()
            freed_bytes += size_bytes
            with contextlib.suppress(OSError):  # not empty
                for folder in file.parents:
                    if folder == root:
                        break
                    folder.rmdir()
    return freed_bytes


def _own(what: str, files: Iterable[Path], folder: Path) -> Kept:
    """What is kept of one kind: those of `files` that are ordinary files in ordinary folders."""
    there = []
    for file in files:
        between = [parent for parent in file.parents if folder in parent.parents]
        if not any(parent.is_symlink() for parent in between) and not file.is_symlink() and file.is_file():
            there.append(file)
    return Kept(what, tuple(there), sum(file.lstat().st_size for file in there))
