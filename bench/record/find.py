"""Which files are records: those that are named, and those in folders that are named, among whatever else lies there.

Hidden files and folders are left alone, and links to folders are not followed: nothing is read but what was given.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from equibench.errors import UserError
from equibench.record import files
from equibench.record.reading import MARKS, NoRecordError, record_of, remark, value_of
from equibench.record.schema import Record

NAME = re.compile(r".+-s-?\d+-[0-9a-f]{8}\.json", re.DOTALL)  # as `files.filename` gives
UNFINISHED = ".equibench-unfinished"  # marks a baseline while it is being replaced: old and new records lie in it


def read_all(paths: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Read all records among files and in folders (not in their subfolders), in a fixed order: by path.

    Raises UserError where there is none, or where two protocols are mixed.
    """
    found = [(file, record) for file in record_files(paths) if (record := read_if_record(file, paths)) is not None]
    if not found:
        raise none_in(paths)
    protocols = sorted({record.protocol for _, record in found})
    if len(protocols) > 1:
        raise UserError(f"records of protocols {' and '.join(protocols)} cannot be compared; report them apart")
    return found


def refuse_edited(records: Iterable[Record], what: str) -> None:
    """Raises UserError where the file of one was changed after it was written; `what` does not take such records."""
    if edited := next((one for one in records if one._edited), None):
        raise UserError(
            f"the record of {edited.entrant} with seed {edited.seed} was changed by hand after it was written, and "
            f"{what}; fetch its file again, or run its cell again"
        )


def record_files(
    paths: Iterable[Path], *, deep: bool = False, without: Iterable[str] = (), unfinished: bool = False
) -> list[Path]:
    """Files that may be records, by path: the named ones, and JSON files in named folders, with `deep` in all their
    subfolders but those that have a name among `without`. A file that is there twice, by links say, counts once.

    Raises UserError for a path that is not there, or is neither file nor folder, or cannot be listed, and, without
    `unfinished`, for a baseline that was being replaced.
    """
    found: dict[tuple[int, int], Path] = {}
    for path in paths:
        named = _status(path)
        if stat.S_ISDIR(named.st_mode):
            if not unfinished:
                _refuse_unfinished(path)
            inside = _listed(path, frozenset(without), deep)
        else:
            files.refuse_special(path, named.st_mode)
            inside = iter([(path, named)])
        for file, status in inside:
            place = (status.st_dev, status.st_ino)
            found[place] = min(file, found.get(place, file), key=lambda one: (one.is_symlink(), one))
    return sorted(found.values())


def read_if_record(file: Path, named: Iterable[Path] = ()) -> Record | None:
    """The record in a file of `record_files`; None for one that is something else, such as a table of a report.

    Raises UserError for a file that has the name of a record, or was named, and holds none.
    """
    must_be = NAME.fullmatch(file.name) or file in named
    try:
        content = files.content_of(file)
        if must_be or looks_like_record(content):
            return record_of(content, str(file))
    except NoRecordError as error:
        if must_be:
            raise UserError(f"{file} is not a valid record: {error}") from None
        remark(f"left out: {file} is no record, as {error}")
    except UserError as error:
        if must_be:
            raise
        remark(f"left out: {error}")
    return None


def looks_like_record(content: bytes) -> bool:
    """Whether bytes are JSON with what every record has at its top. Raises NoRecordError for what might be, and cannot
    be read.
    """
    if not all(mark.encode() in content.replace(b"\0", b"") for mark in MARKS):
        return False
    value = value_of(content)
    return isinstance(value, dict) and value.keys() >= MARKS


def none_in(paths: Iterable[Path]) -> UserError:
    places = ", ".join(map(str, paths))
    return UserError(f"no records at {places}; make some with `equibench run SUITE`")


def _status(path: Path) -> os.stat_result:
    """The status of a path that a user named. Raises UserError where it is not there."""
    try:
        return os.stat(path)
    except (OSError, ValueError) as error:  # a NUL in a path is a ValueError
        missing = isinstance(error, FileNotFoundError | NotADirectoryError) and not path.is_symlink()
        because = "which is not there" if missing else files.why(path, error)
        raise UserError(f"no records at {path}, {because}; name a folder that `equibench run` wrote") from None


def _refuse_unfinished(folder: Path) -> None:
    if (folder / UNFINISHED).exists():
        raise UserError(
            f"the baseline in {folder} was being replaced when equibench was stopped; run the same command "
            "(`equibench baseline`) again"
        )


def _listed(top: Path, without: frozenset[str], deep: bool) -> Iterator[tuple[Path, os.stat_result]]:
    """JSON files of a folder with what the system says of them."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            if folder == top:
                raise UserError(f"cannot look into {folder} ({error.strerror}); make it readable") from None
            remark(f"left out: {folder}, which cannot be looked into ({error.strerror})")
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if deep and entry.name not in without:
                    folders.append(path)
            elif entry.name.endswith(".json"):
                if status := _regular(path):
                    yield path, status
            elif deep and entry.is_symlink() and path.is_dir():
                remark(f"left out: {path}, as links to folders are not followed; name it to read what lies there")


def _regular(path: Path) -> os.stat_result | None:
    """What the system says of a file, links followed; None for what is none. Raises UserError for a record that is not
    at its link's end.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        if NAME.fullmatch(path.name):
            raise UserError(f"cannot read {path} ({files.why(path, error)}); bring back the file") from None
        return None
    return status if stat.S_ISREG(status.st_mode) else None
