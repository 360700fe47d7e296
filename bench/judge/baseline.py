"""Baselines: records that a check compares with, put in place deliberately."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from equibench.errors import UserError
from equibench.quantities.text import join
from equibench.record import find
from equibench.record.schema import Record
from equibench.summary.sort import rows


def make(results: Sequence[Path], out: Path, *, update: bool = False, allow_dirty: bool = False) -> list[str]:
    """Copy the records at `results`, with the arrays beside them, to `out` as a baseline; what changed, a line a row.

    Raises UserError, with nothing written, for cells that failed, for code with uncommitted changes, and for a folder
    that holds a baseline already unless `update`, which replaces it as a whole.
    """
    found = find.read_all(list(results))
    new = rows([one for _, one in found], "the run")
    _refuse([one for _, one in found], allow_dirty)
    old_files = sorted(out.glob("*.json")) if out.is_dir() else []
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder for the baseline")
    if old_files and not update:
        raise UserError(f"{out} holds a baseline of {len(old_files)} records; replace it deliberately with --update")
    if {path.resolve().parent for path, _ in found} & {out.resolve()}:
        raise UserError(f"{out} is where the records lie; give another folder for the baseline")
    old = rows([one for _, one in find.read_all([out])], "the baseline") if old_files else {}
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
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    try:
        partial.mkdir(parents=True)
        for path, _ in found:
            for file in (path, path.with_suffix(".npz")):
                if file.exists():
                    shutil.copyfile(file, partial / file.name)
        out.mkdir(parents=True, exist_ok=True)
        fresh = {file.name for file in partial.iterdir()}
        for file in partial.iterdir():
            file.replace(out / file.name)
        for file in old_files:  # what else lies in the folder, a README say, stays
            for stale in {file, file.with_suffix(".npz")} - {out / name for name in fresh}:
                stale.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error.strerror}); give another folder with --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return changes


def _refuse(records: Sequence[Record], allow_dirty: bool) -> None:
    for one in records:
        if one.status != "ok":
            raise UserError(
                f"{one.entrant} with seed {one.seed} is {one.status}: {one.reason or 'no reason was recorded'}; a "
                "baseline holds only cells that are ok, so delete its record and run it again"
            )
    dirty = [one for one in records if one.code.dirty]
    if dirty and not allow_dirty:
        raise UserError(
            f"{dirty[0].entrant} with seed {dirty[0].seed} was run by code with uncommitted changes; commit and run it "
            "again, or pass --allow-dirty"
        )


def _cells(cells: dict[int, Record]) -> str:
    return f"seed{'s' * (len(cells) > 1)} {join(map(str, cells))}"
