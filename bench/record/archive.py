"""Records and arrays out of archives that `equibench archive` packed, without unpacking by hand.

An archive may come from anyone: members are read that are called as records and arrays are, and written under names of
our own choice into a folder of our own. Nothing else in it is looked at.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from equibench.errors import UserError, first_line
from equibench.record.files import LARGEST_ARRAYS_BYTES, LARGEST_RECORD_BYTES

RESULTS = "results"  # folder of the records in an archive
MARK = b"equibench archive, form 1"  # the comment of the zip file
_MEMBER = re.compile(rf"{RESULTS}/(?:\d+/)?[^/\\\0.][^/\\\0]{{0,199}}\.(json|npz)", re.DOTALL)
_LARGEST_BYTES = {"json": LARGEST_RECORD_BYTES, "npz": LARGEST_ARRAYS_BYTES}


def is_archive(path: Path) -> bool:
    """Whether a file is such an archive."""
    try:
        with zipfile.ZipFile(path) as found:
            return found.comment == MARK
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


@contextlib.contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths, each archive among them replaced by a folder with its records, which is there while the block lasts.

    Raises UserError for a `.zip` that is none of ours, or that is damaged.
    """
    with contextlib.ExitStack() as stack:
        places = []
        for path in paths:
            if not path.is_file() or path.suffix.lower() != ".zip":
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
            except Exception as error:  # zipfile and zlib raise many kinds for a damaged archive
                raise UserError(f"{path} is damaged ({first_line(error)}); fetch it again") from None
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
