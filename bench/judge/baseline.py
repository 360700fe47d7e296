"""Baselines: records that a check compares with, put in place deliberately."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from equibench import atomic
from equibench.errors import UserError
from equibench.judge import older
from equibench.quantities.text import join
from equibench.record import find
from equibench.record.schema import Record
from equibench.summary.sort import Rows, rows


def make(results: Sequence[Path], out: Path, *, update: bool = False, allow_dirty: bool = False) -> list[str]:
    """Copy the records at `results`, with the arrays beside them, to `out` as a baseline; what changed, a line a row.

    The noise of the baseline that is replaced stays, in a small file beside the new one (judge/older.py).

    Raises UserError, with nothing written, for cells that failed, for records that were changed by hand, for code with
    uncommitted changes, for a folder that holds a baseline already unless `update`, which replaces it as a whole, and
    for one that a run wrote. What else lies in the folder, a README say, stays. A baseline that is being replaced is
    marked as such until it is whole.
    """
    found = find.read_all(list(results))
    new = rows([one for _, one in found], "the results")
    kept = {id(one) for row in new.values() for one in row.values()}
    found = [(path, one) for path, one in found if id(one) in kept]
    find.refuse_edited([one for _, one in found], "a baseline holds records as they were written")
    _refuse([one for _, one in found], allow_dirty)
    old = _old(out, update)
    _refuse_place(out, found, old)
    whole = not (out / find.UNFINISHED).exists()
    changes = _changes(rows([one for _, one in old], "the baseline") if whole else {}, new)
    files = [file for path, _ in found for file in (path, path.with_suffix(".npz")) if file.is_file()]
    stale = [file for path, _ in old for file in (path, path.with_suffix(".npz")) if file.is_file()]
    _refuse_foreign(out, files, stale)
    replaced = [one for _, one in old] if whole else []
    noise = older.with_replaced(older.read([out]), replaced, [one for _, one in found])
    try:
        _replace(out, files, stale, noise)
    except OSError as error:
        raise UserError(
            f"cannot write to {out} ({error.strerror}); make room or give another folder with --out, and run the same "
            "command again"
        ) from None
    return changes


def _old(out: Path, update: bool) -> list[tuple[Path, Record]]:
    """The records of the baseline that is there. Raises UserError if it may not be replaced."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder for the baseline")
    if not out.is_dir():
        return []
    unfinished = (out / find.UNFINISHED).exists()
    files = find.record_files([out], unfinished=True)
    old = [(file, one) for file in files if (one := find.read_if_record(file)) is not None]
    if old and not update and not unfinished:
        raise UserError(f"{out} holds a baseline of {len(old)} records; replace it deliberately with --update")
    return old


def _refuse_place(out: Path, found: Sequence[tuple[Path, Record]], old: Sequence[tuple[Path, Record]]) -> None:
    """Raises UserError for a folder whose records are no baseline but what a run wrote."""
    if out.exists() and any(path.resolve().parent.samefile(out) for path, _ in found):
        raise UserError(f"{out} is where the records lie; give another folder for the baseline")
    if any(one.checkpoint and (path.parent / one.checkpoint).exists() for path, one in old):
        raise UserError(
            f"{out} is where a run wrote, with checkpoints beside its records; give another folder for the baseline"
        )


def _refuse_foreign(out: Path, files: Sequence[Path], stale: Sequence[Path]) -> None:
    """Raises UserError where a file would be written over one that is not the baseline's."""
    ours = {file.name for file in stale}
    for file in files:
        if file.name not in ours and os.path.lexists(out / file.name):
            raise UserError(f"{out / file.name} is there already and is not the baseline's; move it away")


def _changes(old: Rows, new: Rows) -> list[str]:
    changes = [f"{key}: gone ({_cells(old[key])})" for key in old if key not in new]
    for key, cells in new.items():
        if key not in old:
            changes.append(f"{key}: new ({_cells(cells)})")
        elif {one.key for one in old[key].values()} != {one.key for one in cells.values()}:
            changes.append(f"{key}: other cells ({_cells(old[key])} -> {_cells(cells)})")
        elif dict(old[key]) != dict(cells):
            changes.append(f"{key}: other values ({_cells(cells)})")
        else:
            changes.append(f"{key}: as before ({_cells(cells)})")
    return changes


def _replace(out: Path, files: Sequence[Path], stale: Sequence[Path], noise: bytes | None) -> None:
    """Copies of `files` in place of the `stale` ones in `out`, with the `noise` of older baselines. All are written
    before any is moved to its place; the moves, which a kill may stop, stand under a mark that says so. Raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    fresh = {file.name for file in files}
    copies = Path(tempfile.mkdtemp(prefix=".baseline-", suffix=".partial", dir=out))
    try:
        for file in files:
            atomic.write(copies / file.name, file.read_bytes())
        mark = out / find.UNFINISHED
        atomic.write(mark, b"")
        if noise:  # first: a second try finds the old baseline's noise there, and adds none of a half-replaced one
            atomic.write(out / older.NAME, noise)
        for file in files:
            (copies / file.name).replace(out / file.name)
        for file in reversed(stale):  # a record after its arrays, which nothing would name any more
            if file.name not in fresh:
                file.unlink(missing_ok=True)
        mark.unlink()
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def _refuse(records: Sequence[Record], allow_dirty: bool) -> None:
    for one in records:
        if one.status != "ok":
            raise UserError(
                f"{one.entrant} with seed {one.seed} is {one.status}: {one.reason or 'no reason was recorded'}; a "
                "baseline holds only cells that are ok, so run it again"
            )
    dirty = [one for one in records if one.code.dirty]
    if dirty and not allow_dirty:
        raise UserError(
            f"{dirty[0].entrant} with seed {dirty[0].seed} was run by code with uncommitted changes; commit and run it "
            "again, or pass --allow-dirty"
        )


def _cells(cells: dict[int, Record]) -> str:
    return f"seed{'s' * (len(cells) > 1)} {join(map(str, cells))}"
