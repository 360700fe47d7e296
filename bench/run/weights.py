"""The checkpoint under a cell's name: whether it is what training the cell now would give, and where it goes if not."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from equibench.machine.code import changed_since
from equibench.run import checkpoint
from equibench.run.session import Session
from equibench.run.status import REPLACED, UNFINISHED
from equibench.suite import Cell


def weights_of(path: Path) -> Path:
    """Where the weights that were trained for a record are, or will be."""
    return path.with_suffix(".safetensors")


def unfit_weights(file: Path, cell: Cell, session: Session) -> str | None:
    """Why a checkpoint under the cell's name is not what training it now would give, as the end of a sentence on it;
    None where it is. Raises UserError where it cannot be read.
    """
    found = checkpoint.provenance_of(file)
    assert cell.entrant is not None
    trained = (found.key or session.key(cell), found.family, found.shape, found.data_sha256)
    if trained != (session.key(cell), cell.entrant.family, session.data.shape, session.data.sha256):
        return "is of another cell"
    return None if session.keep else trained_otherwise(found)


def trained_otherwise(found: checkpoint.Provenance) -> str | None:
    """Why other code, or with other packages, may have trained a model than would now, as the end of a sentence."""
    return changed_since(found.code, found.versions, own_family(found.family))


def own_family(family: str) -> list[str]:
    """The name of a user's own family, as the only one."""
    return [family] if ":" in family else []


def set_aside_unfit(file: Path, cell: Cell, session: Session) -> None:
    """Keep weights under the cell's name that training it now would not give, out of sight.

    Raises OSError, and UserError where they cannot be read.
    """
    if not cell.loaded and file.exists() and unfit_weights(file, cell, session):
        made = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC)
        set_aside(file, session.out, made.isoformat(timespec="seconds"))


def set_aside(file: Path, out: Path, stamp: str) -> None:
    """Keep a file that is to be replaced, out of sight. Raises OSError."""
    if file.exists():
        place = out / UNFINISHED / REPLACED
        place.mkdir(parents=True, exist_ok=True)
        os.replace(file, place / f"{file.stem} {stamp.replace(':', '')}{file.suffix}")
