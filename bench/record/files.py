"""Records as files: written once, read and validated, with the arrays beside them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import zipfile
from pathlib import Path

import numpy as np

from equibench import atomic
from equibench.errors import A_POINTER, LFS_POINTER, UserError, first_line
from equibench.record.reading import NoRecordError, content_sha256, record_of
from equibench.record.schema import Record
from equibench.terminal import visible

LARGEST_RECORD_BYTES = 256 * 2**20  # far above any: the largest so far has 0.1 MB
LARGEST_ARRAYS_BYTES = 4 * 2**30  # unpacked


def write(record: Record, folder: Path, arrays: dict[str, np.ndarray] | None = None) -> Path:
    """Write `record` (and `arrays` beside it) to `folder`, atomically and never over an existing record: of any number
    of writers one does. The file holds a hash of its own content, by which `reading.as_written` knows it again.

    Returns the path of the JSON file. Raises FileExistsError if the cell has a record already, OSError where nothing
    can be written.
    """
    path = folder / filename(record.entrant, record.seed, record.key)
    if path.exists():
        raise FileExistsError(f"{path} exists: a record is written once")
    if arrays:
        buffer = io.BytesIO()
        # numpy stamps members with a fixed date, so that equal arrays give equal bytes
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy 1 has no allow_pickle
        _write_arrays(path.with_suffix(".npz"), buffer.getvalue(), path)
        record = record.model_copy(update={"arrays_sha256": hashlib.sha256(buffer.getvalue()).hexdigest()})
    unused = set() if record.spaces else {"spaces"}  # measured in one feature space it is written as ever
    text = json.dumps(record.model_dump(mode="json", exclude=unused), indent=1, sort_keys=True, ensure_ascii=False)
    # no UTF-8 can hold what Python makes of other bytes in a file's name: such a byte is told as in a terminal
    text = re.sub("[\ud800-\udfff]", lambda found: json.dumps(visible(found[0]))[1:-1], text)
    value = json.loads(text)
    value["content_sha256"] = content_sha256(value)
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    if not atomic.write_once(path, (text + "\n").encode()):
        raise FileExistsError(f"{path} exists: a record is written once")
    return path


def filename(entrant: str, seed: int, key: str) -> str:
    """File name of a cell's record, e.g. `gan-s0-1a2b3c4d.json`."""
    return f"{entrant.replace(' ', '-')}-s{seed}-{key[:8]}.json"


def read(path: Path) -> Record:
    """Read and validate one record. Raises UserError if it cannot be read or breaks the schema."""
    try:
        return record_of(content_of(path), str(path))
    except NoRecordError as error:
        raise UserError(f"{path} is not a valid record: {error}") from None


def content_of(path: Path) -> bytes:
    """The bytes of a file that is to hold a record. Raises UserError where there is none, or none that can be read."""
    try:
        found = os.stat(path)  # before it is opened: a pipe would wait for a writer
        refuse_special(path, found.st_mode)
        if found.st_size > LARGEST_RECORD_BYTES:
            raise UserError(f"{path} has {found.st_size / 2**20:,.0f} MiB, far more than any record; name another file")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({why(path, error)}); name a record or a folder of them") from None


def refuse_special(path: Path, mode: int) -> None:
    """Raises UserError for what is no ordinary file: to open a pipe would wait for a writer."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a record; name a file or a folder")


def why(path: Path, error: OSError | ValueError) -> str:
    """Why a path could not be read, in words."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"a link to {os.readlink(path)}, which is not there"
    return getattr(error, "strerror", None) or str(error)


def is_lfs_pointer(file: Path) -> bool:
    """Whether an ordinary file is what Git LFS leaves in the place of one that was not fetched."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def read_arrays(path: Path, record: Record) -> dict[str, np.ndarray]:
    """The arrays beside the record at `path`; empty if it has none or the file is gone.

    Raises UserError if the file is not the one that the record was written with, or cannot be read.
    """
    file = path.with_suffix(".npz")
    if record.arrays_sha256 is None or not file.is_file():
        return {}
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); make it readable, or move it away") from None
    if content.startswith(LFS_POINTER):
        raise UserError(f"{file} is {A_POINTER}")
    if hashlib.sha256(content).hexdigest() != record.arrays_sha256:
        raise UserError(
            f"{file} is not the file that its record was written with; put that back, or move this one away"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            if sum(member.file_size for member in members.infolist()) > LARGEST_ARRAYS_BYTES:
                raise ValueError("it would unpack to more than 4 GiB")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = dict(arrays)
        if odd := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{odd[0]} in it is no array")
        return found
    except Exception as error:  # zipfile, zlib, lzma and numpy raise many kinds for a damaged archive
        raise UserError(f"{file} holds no arrays that can be read ({first_line(error)}); move it away") from None


def _write_arrays(file: Path, content: bytes, record: Path) -> None:
    """Put arrays beside a record that is about to be written; what a killed run left there is replaced. Raises
    FileExistsError where another writer was faster.
    """
    if atomic.write_once(file, content) or file.read_bytes() == content:
        return
    if record.exists():
        raise FileExistsError(f"{record} exists: a record is written once")
    atomic.write(file, content)
