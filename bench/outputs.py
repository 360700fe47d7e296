"""Files that a person names for a command to write: what is there already is replaced only if equibench made it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from equibench import atomic
from equibench.errors import UserError


def refuse_foreign(path: Path, is_ours: Callable[[Path], bool], what: str, way_out: str) -> None:
    """Raises UserError where something is at `path` that may not be replaced: a folder, or a file that holds anything
    and for which `is_ours` is not true. `what` says what is written there, `way_out` what else one can do.
    """
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(_refused(path, error, way_out)) from None
    if stat.S_ISDIR(there.st_mode):
        raise UserError(f"{path} is a folder, where {what} is a file; {way_out}")
    if stat.S_ISREG(there.st_mode) and there.st_size and not is_ours(path):
        raise UserError(f"{path} is there already and is not {what} of equibench; {way_out}, or move it away")


def put(path: Path, content: bytes, way_out: str) -> None:
    """Write `content` to `path`, whole or not at all; through a link to where it leads, and into a pipe or a device as
    it is. Raises UserError where that cannot be done.
    """
    try:
        place = Path(os.path.realpath(path))
        if place.exists() and not place.is_file():
            with path.open("wb") as stream:
                stream.write(content)
        else:
            atomic.write(place, content)
    except (OSError, ValueError) as error:
        raise UserError(_refused(path, error, way_out)) from None


def _refused(path: Path, error: OSError | ValueError, way_out: str) -> str:
    return f"cannot write {path} ({getattr(error, 'strerror', None) or error}); {way_out}"
