"""Records as files: written once, read and validated."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from equibench import atomic
from equibench.errors import UserError
from equibench.record.schema import Record


def write(record: Record, folder: Path, arrays: dict[str, np.ndarray] | None = None) -> Path:
    """Write `record` (and `arrays` beside it) to `folder`, atomically and never over an existing record: of any number
    of writers one does.

    Returns the path of the JSON file. Raises FileExistsError if the cell has a record already, OSError where nothing
    can be written.
    """
    path = folder / filename(record.entrant, record.seed, record.key)
    if path.exists():
        raise FileExistsError(f"{path} exists: a record is written once")
    folder.mkdir(parents=True, exist_ok=True)
    if arrays:
        buffer = io.BytesIO()
        # numpy stamps members with a fixed date, so that equal arrays give equal bytes
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy 1 has no allow_pickle
        atomic.write(path.with_suffix(".npz"), buffer.getvalue())
        record = record.model_copy(update={"arrays_sha256": hashlib.sha256(buffer.getvalue()).hexdigest()})
    text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    if not atomic.write_once(path, (text + "\n").encode()):
        raise FileExistsError(f"{path} exists: a record is written once")
    return path


def filename(entrant: str, seed: int, key: str) -> str:
    """File name of a cell's record, e.g. `gan-s0-1a2b3c4d.json`."""
    return f"{entrant.replace(' ', '-')}-s{seed}-{key[:8]}.json"


def read(path: Path) -> Record:
    """Read and validate one record. Raises UserError if it cannot be read or breaks the schema."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path} is not a valid record ({where}: {first['msg']}); delete it and run its cell again"
        ) from None
    except OSError as error:
        raise UserError(f"no record at {path} ({error.strerror}); give a folder that `equibench run` wrote") from None


def read_all(paths: list[Path]) -> list[tuple[Path, Record]]:
    """Read all records in files and folders (not in their subfolders), in a fixed order: by path.

    Raises UserError where there is none, or where two protocols are mixed.
    """
    files = sorted(file for path in paths for file in (path.glob("*.json") if path.is_dir() else [path]))
    if not files:
        places = ", ".join(str(path) for path in paths)
        raise UserError(f"no records in {places}; make some with `equibench run SUITE`")
    records = [(file, read(file)) for file in files]
    protocols = sorted({record.protocol for _, record in records})
    if len(protocols) > 1:
        raise UserError(f"records of protocols {' and '.join(protocols)} cannot be compared; report them apart")
    return records


def files_under(results: Iterable[Path]) -> list[Path]:
    """All record files in folders, their subfolders included, and files, by path; nothing is read."""
    return sorted({file for path in results for file in (path.rglob("*.json") if path.is_dir() else [path])})


def read_arrays(path: Path, record: Record) -> dict[str, np.ndarray]:
    """The arrays beside the record at `path`; empty if it has none or the file is gone.

    Raises UserError if the file is not the one that the record was written with.
    """
    file = path.with_suffix(".npz")
    if record.arrays_sha256 is None or not file.exists():
        return {}
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.arrays_sha256:
        raise UserError(f"{file} is not the file that its record was written with; delete both and run the cell again")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
