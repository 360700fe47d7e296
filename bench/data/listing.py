"""Which files of a folder are its images, by their names alone: nothing is opened."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from equibench.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff")
OTHER_IMAGES = {
    ".apng", ".avif", ".cr2", ".dds", ".dib", ".dng", ".eps", ".exr", ".gif", ".hdr", ".heic", ".heif", ".icns", ".ico",
    ".j2k", ".jls", ".jp2", ".jpf", ".jpx", ".jxl", ".mng", ".nef", ".pam", ".pbm", ".pcx", ".pfm", ".pgm", ".pnm",
    ".ppm", ".psd", ".qoi", ".sgi", ".svg", ".tga", ".xbm", ".xpm",
}  # fmt: skip
_ARRAYS = (".npz", ".npy", ".zip", ".tar", ".gz", ".tgz", ".h5", ".tfrecord", ".parquet", ".lmdb")
_KEPT_BY_SYSTEMS = ("__MACOSX", "@eaDir")  # copies and thumbnails, in folders that are hidden where they are made


@dataclass(frozen=True)
class PictureFiles:
    """Image files under a folder, by path, and remarks on what was left out."""

    files: list[Path]
    notes: tuple[str, ...]


def shown(path: Path | str) -> str:
    """A path as text that any encoding of Unicode takes: bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def picture_files(folder: Path) -> PictureFiles:
    """Image files under `folder`, links followed, each file once. Hidden files and folders are left out; so are links
    to what is there already, or to a folder around them. Remarks count what was left out.

    Raises UserError for a folder that cannot be read, a link to nothing, an image that is no file (none is opened,
    so that a pipe blocks nobody), and where there are no images.
    """
    walk = _Walk()
    walk.through(folder)
    if not walk.files:
        raise UserError(f"{folder} holds no images{walk.instead()}; give a folder with files {', '.join(SUFFIXES)}")
    return PictureFiles(sorted(walk.files), tuple(walk.notes()))


class _Walk:
    """What is met on the way through a folder."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.others: Counter[str] = Counter()  # images of formats that are not read, by suffix
        self.arrays: list[Path] = []
        self.hidden: list[Path] = []
        self.repeated: list[Path] = []  # links to what is there already

    def through(self, top: Path) -> None:
        places = {os.path.realpath(top)}
        linked: list[Path] = []
        for at, folders, names in os.walk(top, followlinks=True, onerror=_unreadable):
            place, real = Path(at), os.path.realpath(at)
            self.hidden += [file for name in folders if _is_hidden(name) for file in _pictures_in(place / name)]
            visible = [name for name in folders if not _is_hidden(name)]
            # real folders first: of two ways to a folder the one without a link counts
            visible.sort(key=lambda name: ((place / name).is_symlink(), name))
            folders[:] = [name for name in visible if self._is_new(place / name, real, places)]
            for name in names:
                file = place / name
                if _is_hidden(name):
                    self.hidden += [file] if file.suffix.lower() in SUFFIXES else []
                elif self._is_picture(file):
                    (linked if file.is_symlink() else self.files).append(file)
        there = {os.path.join(os.path.realpath(file.parent), file.name) for file in self.files}
        for file in sorted(linked):
            target = os.path.realpath(file)
            (self.repeated if target in there else self.files).append(file)
            there.add(target)

    def _is_new(self, folder: Path, parent: str, places: set[str]) -> bool:
        """Whether a folder was not met before and does not hold the one it lies in."""
        target = os.path.realpath(folder)
        if target in places or (parent + os.sep).startswith(target.rstrip(os.sep) + os.sep):
            self.repeated.append(folder)
            return False
        places.add(target)
        return True

    def _is_picture(self, file: Path) -> bool:
        suffix = file.suffix.lower()
        if suffix in OTHER_IMAGES:
            self.others[suffix] += 1
        if suffix in _ARRAYS:
            self.arrays.append(file)
        if suffix in SUFFIXES:
            check_is_file(file)
            return True
        if not suffix and file.is_symlink() and not file.exists():
            raise UserError(f"{file} is a link to nothing ({os.readlink(file)}); mend or remove it")
        return False

    def notes(self) -> list[str]:
        notes = []
        if self.others:
            kinds = ", ".join(sorted(self.others))
            notes.append(
                f"{_counted(self.others.total(), 'file')} of image formats that are not read ({kinds}) were left out"
            )
        if self.hidden:
            notes.append(f"{_counted(len(self.hidden), 'hidden image')} left out, {shown(self.hidden[0])} among them")
        if self.repeated:
            notes.append(
                f"{_counted(len(self.repeated), 'link')} left out, as what they lead to is there already, "
                f"{shown(self.repeated[0])} among them"
            )
        return notes

    def instead(self) -> str:
        """What a folder without images holds that may be meant."""
        if self.others:
            return f" of a format that is read, but {self.others.total()} of others ({', '.join(sorted(self.others))})"
        return f", but {min(self.arrays).name}, which is given by its own path" if self.arrays else ""


def is_there(path: Path | str) -> bool:
    """Whether anything has this path, a link to nothing too. Raises UserError where that cannot be told."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a zero byte is a ValueError
        return False
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a path that can be read") from None
    return True


def check_is_file(path: Path) -> None:
    """Raises UserError unless `path` is a file, or a link to one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if os.path.islink(path) and not os.path.exists(path):
            raise UserError(f"{path} is a link to nothing ({os.readlink(path)}); mend or remove it") from None
        raise UserError(f"cannot read {path} ({error.strerror}); make it readable, or remove it") from None
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((name for test, name in kinds if test(mode)), "a device")
        raise UserError(f"{path} is {kind}, not a file; give a file, or take it out of the folder")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _KEPT_BY_SYSTEMS


def _pictures_in(hidden: Path) -> list[Path]:
    """For a remark: what cannot be read is passed over."""
    return [
        Path(at, name) for at, _, names in os.walk(hidden) for name in names if Path(name).suffix.lower() in SUFFIXES
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"cannot read the folder {error.filename} ({error.strerror}); make it readable, or move it away"
    ) from None
