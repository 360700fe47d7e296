"""Where equibench keeps what it downloads and computes for another time."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

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
