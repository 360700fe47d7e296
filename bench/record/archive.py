"""Records and arrays out of archives that `equibench archive` packed, without unpacking by hand.

An archive may come from anyone: members are read that are called as records and arrays are, and written under names of
our own choice into a folder of our own. Of all else in it only the hashes are looked at, which its manifest lists.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from equibench.errors import UserError, first_line
from equibench.record.files import LARGEST_ARRAYS_BYTES, LARGEST_RECORD_BYTES

RESULTS = "results"  # folder of the records in an archive
MARK = b"equibench archive, form 1"  # the comment of the zip file, which packing it again may lose
MANIFEST = "manifest.json"
_MEMBER = re.compile(rf"{RESULTS}/(?:\d+/)?[^/\\\0.][^/\\\0]{{0,199}}\.(json|npz)", re.DOTALL)
_LARGEST_BYTES = {"json": LARGEST_RECORD_BYTES, "npz": LARGEST_ARRAYS_BYTES}


def is_named_so(path: Path) -> bool:
    """Whether a file is called as an archive is."""
    return path.is_file() and path.suffix.lower() == ".zip"


def is_archive(path: Path) -> bool:
    """Whether a file is such an archive: by its comment or, where it was packed again, by its manifest."""
    try:
        with zipfile.ZipFile(path) as found:
            return found.comment == MARK or bool(_manifest(found))
    except Exception:  # zipfile and zlib raise many kinds for a damaged file
        return False


def changed(path: Path) -> list[str] | None:
    """Names of files that are not in an archive as its manifest lists them, sorted; None if it has no manifest.

    Raises UserError for an archive that is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = _manifest(archive)
            there = {member.filename: member for member in archive.infolist() if not member.is_dir()}
            if not listed:
                return None
            return sorted(
                name
                for name in {*listed, *there} - {MANIFEST}
                if name not in there or name not in listed or _other(archive, there[name], *listed[name])
            )
    except Exception as error:
        raise _damaged(path, error) from None


def _manifest(archive: zipfile.ZipFile) -> dict[str, tuple[int, str]]:
    """Size in bytes and sha256 of each file that the manifest lists; nothing where it is none."""
    if MANIFEST not in archive.namelist() or archive.getinfo(MANIFEST).file_size > LARGEST_RECORD_BYTES:
        return {}
    try:
        found = json.loads(archive.read(MANIFEST))
        return {one["file"]: (one["bytes"], one["sha256"]) for one in found["files"]} if "equibench" in found else {}
    except (KeyError, TypeError, ValueError):
        return {}


def _other(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size_bytes: int, sha256: str) -> bool:
    if member.file_size != size_bytes or member.file_size > LARGEST_ARRAYS_BYTES:
        return True
    with archive.open(member) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() != sha256  # type: ignore[arg-type]


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged ({first_line(error)}); fetch it again")


@contextlib.contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths, each archive among them replaced by a folder with its records, which is there while the block lasts.

    Raises UserError for a `.zip` that is none of ours, or that is damaged.
    """
    with contextlib.ExitStack() as stack:
        places = []
        for path in paths:
            if not is_named_so(path):
                places.append(path)
                continue
            if not is_archive(path):
                raise UserError(
                    f"{path} is no archive of equibench, or only a part of one; fetch it again, or name one that "
                    "`equibench archive` packed, or a folder"
                )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="equibench-archive-")))
            try:
                _unpack(path, folder)
            except OSError as error:
                said = error.strerror or first_line(error)
                raise UserError(f"cannot unpack {path} to {folder} ({said}); make room there") from None
            except Exception as error:
                raise _damaged(path, error) from None
            places.append(folder)
        yield places


def _unpack(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            found = _MEMBER.fullmatch(member.filename)
            if not found:
                continue
            if member.file_size > _LARGEST_BYTES[found[1]]:
                raise ValueError(f"{member.filename} in it would have {member.file_size / 2**20:,.0f} MiB")
            name = PurePosixPath(member.filename)
            place = folder / name.parent.name / name.name
            place.parent.mkdir(exist_ok=True)
            with archive.open(member) as packed, place.open("xb") as stream:
                shutil.copyfileobj(packed, stream)
