"""Where equibench keeps what it downloads and computes for another time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The user's cache folder on this system, e.g. ~/.cache/equibench on Linux; it need not be there yet. Of a user
    without a home it is one of their own among the temporary files.
    """
    try:
        usual = Path(platformdirs.user_cache_path("equibench", appauthor=False))
    except RuntimeError:
        usual = Path()
    if usual.is_absolute():  # without a home it may begin with a literal ~
        return usual
    folder = Path(tempfile.gettempdir()) / f"equibench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # a name that anyone can foresee: what others put there is not ours
    return folder if folder.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp(prefix="equibench-"))
