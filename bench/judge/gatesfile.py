"""The gates file of a user's repository: TOML, read and held to its rules."""

from __future__ import annotations

from pathlib import Path

from equibench.judge.gates import Gates
from equibench.validation import read_toml


def read(path: Path | None) -> Gates:
    """The gates of a file; the usual ones without. Raises UserError for a file that cannot be read, is no TOML, or says
    what no gates file may.
    """
    return Gates() if path is None else read_toml(path, Gates, "gates file")
