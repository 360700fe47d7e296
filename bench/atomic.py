"""Files that are there whole or not at all, whatever stops the program and whoever writes beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# what file systems without hard links answer to link(2)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes the file at `path` as the block ends, or is gone if it raises. Folders on the way
    are made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        with _new(partial) as stream:
            yield stream
            _flush(stream)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path`, in place of what is there. Raises OSError."""
    with replacing(path) as stream:
        stream.write(content)


def write_once(path: Path, content: bytes) -> bool:
    """Put `content` at `path` unless something is there already; whether this call put it there. Of any number of
    writers, on one machine or several that share the folder, exactly one does. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        with _new(partial) as stream:
            stream.write(content)
            _flush(stream)
        os.link(partial, path)  # unlike rename, it never replaces
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create(path, content)
    finally:
        partial.unlink(missing_ok=True)
    _flush_folder(path.parent)
    return True


def _create(path: Path, content: bytes) -> bool:
    """Like `write_once`, where there are no hard links; a reader may meet an unfinished file."""
    try:
        with _new(path) as stream:
            stream.write(content)
            _flush(stream)
    except FileExistsError:
        return False
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)
    return True


def _partial(path: Path) -> Path:
    """A name beside `path` that nobody else takes, on this machine or another."""
    return path.with_name(f".{socket.gethostname()[:64]}.{os.getpid()}.{secrets.token_hex(4)}.partial")


def _new(path: Path) -> BinaryIO:
    """A file that was not there, with the rights that the user's umask leaves."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a new name last through a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
