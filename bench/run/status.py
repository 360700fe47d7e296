"""What is done, running, stopped and left in a folder of records, by the files that runs leave there: without torch."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from equibench import atomic
from equibench.errors import UserError
from equibench.hashing import digest
from equibench.machine.code import record_changed, what_runs
from equibench.protocol import PROTOCOL
from equibench.record import files as record_files
from equibench.record import find
from equibench.record.schema import Record
from equibench.run import claims

UNFINISHED = ".cells"  # the folder, beside the records, of cells that are not finished; hidden, as it is no result
WANTED = "wanted"  # within it: which cells each run was asked for
REPLACED = "replaced"  # within it: records and weights in whose place others were made
ATTEMPTS = "attempts.json"  # within the folder of one of those cells
POINTS = "points"  # within the same: weights at points along its training
LONGEST_NAME = 255  # bytes, of a file

State = Literal["done", "failed", "running", "stopped", "left"]


class CellStatus(NamedTuple):
    """Where one cell stands. `detail`: how it ended, or what is being done and how much of that."""

    cell: str
    seed: int
    state: State
    detail: str


def want(out: Path, suite: str, wanted: Iterable[tuple[str, int, Path]]) -> None:
    """Note which cells, by name, seed and path of the record, a run was asked for. Raises OSError."""
    found = {"suite": suite, "cells": [[name, seed, path.name] for name, seed, path in wanted]}
    atomic.write(out / UNFINISHED / WANTED / f"{digest(found)[:16]}.json", json.dumps(found).encode())


def status(out: Path) -> list[CellStatus]:
    """Every cell that a run into this folder was asked for, in its order, and every other one that has a record.

    Raises UserError where the folder has neither.
    """
    cells: dict[str, tuple[str, int]] = {}
    for file in sorted((out / UNFINISHED / WANTED).glob("*.json"), key=lambda file: file.stat().st_mtime):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            for name, seed, record in json.loads(file.read_bytes())["cells"]:
                if _is_name_of_record(record):
                    cells.setdefault(record, (str(name), int(seed)))
    with contextlib.suppress(UserError):  # none yet
        for path, record in find.read_all([out]):
            cells.setdefault(path.name, (record.entrant, record.seed))
    if not cells:
        raise UserError(f"no run has written to {out}; start one with `equibench run SUITE --out {out}`")
    observer = claims.Observer()
    return [CellStatus(name, seed, *_state(out, record, observer)) for record, (name, seed) in cells.items()]


def made_otherwise(out: Path) -> Counter[str]:
    """How many records in a folder were made by other code, or with other packages, than a run has now, for each
    reason, which ends a sentence on it. Empty where there is no such folder, or nothing that can be read.
    """
    found: Counter[str] = Counter()
    with contextlib.suppress(UserError):
        for _, record in find.read_all([out]) if out.is_dir() else ():
            if why := _changed(record):
                found[why] += 1
    return found


def _changed(record: Record) -> str | None:
    """One of another protocol is another cell's, which no run looks at."""
    return record_changed(record) if record.protocol == PROTOCOL else None


def _silence(beat: dict[str, Any]) -> str:
    """How long ago the owner was heard of, where that is long: of another machine's nothing else is known at once."""
    then = beat.get("time")
    silent_sec = time.time() - then if isinstance(then, float) else 0.0
    return f"; not heard of for {silent_sec / 60:.0f} min" if silent_sec > claims.DEAD_SEC else ""


def _is_name_of_record(name: str) -> bool:
    """Whether a file of this folder, and of no other, can be called so."""
    return bool(find.NAME.fullmatch(name)) and not {"/", "\0"} & {*name} and len(os.fsencode(name)) <= LONGEST_NAME


def _state(out: Path, record: str, observer: claims.Observer) -> tuple[State, str]:
    path = out / record
    if path.exists():
        try:
            found = record_files.read(path)
        except UserError as error:
            return "failed", str(error)
        why = _changed(found)
        again = f"; the next run makes it again, as it {why} (--keep takes it)" if why else ""
        return ("done", f"ok{again}") if found.status == "ok" else ("failed", f"{found.status}: {found.reason}{again}")
    folder = out / UNFINISHED / path.stem
    claim = claims.last(folder)
    if claim is not None and not observer.is_dead(claim):
        beat = claim.last_beat()
        doing, share = str(beat.get("doing", "start")), beat.get("share", 0.0)
        shown = f"{doing}, {share:.0%}" if isinstance(share, float) and share else doing
        return "running", shown + _silence(beat)
    kept = [name for name in ("training", "progress.json") if (folder / name).exists()]
    trained = path.with_suffix(".safetensors").exists()
    if (kept or trained) and _is_of_other_code(folder):
        return "stopped", "begun by other code or packages; the next run begins it anew"
    if trained:
        return "stopped", "trained; the rest goes on with the next run"
    return ("stopped", "goes on where it was kept with the next run") if kept else ("left", "")


def _is_of_other_code(folder: Path) -> bool:
    try:
        return str(json.loads((folder / ATTEMPTS).read_bytes())["code"]) != what_runs()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # nothing is known of it
        return False
