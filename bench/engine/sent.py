"""What a cell loads, on its way to a node that does not find it where the run does."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from equibench import atomic
from equibench.hub import root_of
from equibench.suite import Cell

LOADED = "loaded"  # a folder on a node


def files_of(cell: Cell, folder: str) -> dict[str, bytes]:
    """The files of what a cell loads, by their paths on a node."""
    if cell.entrant is None or cell.entrant.load is None:
        return {}
    path = Path(cell.entrant.load)
    files = [one for one in sorted(path.rglob("*")) if one.is_file()] if path.is_dir() else [path]
    return {f"{LOADED}/{folder}/{one.relative_to(root_of(path))}": one.read_bytes() for one in files}


def loading_from(cell: Cell, where: Callable[[Path], Path]) -> Cell:
    """The cell with what it loads at another place, where it loads anything; it has the same key."""
    if cell.entrant is None or cell.entrant.load is None:
        return cell
    there = str(where(Path(cell.entrant.load)))
    return dataclasses.replace(cell, entrant=cell.entrant.model_copy(update={"load": there}))


def laid_down(cell: Cell, given: Mapping[str, bytes], scratch: Path, folder: str, shared: bool) -> Cell:
    """On a node: write the files that the cell starts from below `scratch`, and give the cell, which then loads from
    there. Where the run's folder is here too (`shared`), only what the cell loads is written, and only if it is not
    found where the run has it.
    """
    if shared:
        load = cell.entrant.load if cell.entrant else None
        if load is None or Path(load).exists():
            return cell
        given = {name: content for name, content in given.items() if name.startswith(f"{LOADED}/")}
    scratch.mkdir(parents=True, exist_ok=True)
    for name, content in given.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        atomic.write(scratch / name, content)
    return loading_from(cell, lambda there: scratch / LOADED / folder / there.relative_to(root_of(there)))


def cleared(scratch: Path, folder: str) -> None:
    """Take what `laid_down` wrote for a cell's loading away, and folders in which no other cell is being done."""
    shutil.rmtree(scratch / LOADED / folder, ignore_errors=True)
    for emptied in (scratch / LOADED, scratch):
        with contextlib.suppress(OSError):
            emptied.rmdir()
