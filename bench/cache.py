"""Where equibench keeps what it downloads and computes for another time."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The user's cache folder on this system, e.g. ~/.cache/equibench on Linux; it need not be there yet."""
    return Path(platformdirs.user_cache_path("equibench", appauthor=False))
