"""A user's mistake, or what one should know besides, said in one sentence."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

LONGEST_REASON = 300  # characters
# what a machine answers when it, and not the program, has failed: full, gone, or of no more files for anyone (EMFILE
# says that one process has opened too many)
_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENODEV", "ENXIO", "ENFILE")
}  # fmt: skip
# the same of a lost mount, where it is a file that cannot be reached; without one, a connection of the program's own
_OF_A_MOUNT = {errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT}
# by which TorchScript begins: a listing of the program follows, and what went wrong stands at the end
_TORCHSCRIPT = "The following operation failed in the TorchScript interpreter"
LFS_POINTER = b"version https://git-lfs.github.com/"  # what a file starts with that Git LFS has not fetched yet
A_POINTER = "a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"  # what such a file is


class UserError(Exception):
    """A mistake of the user's. Its text is one sentence that says what to do; the command line exits with code 2."""


class Remark(UserWarning):
    """Something that a user should know, but that keeps nothing from being done; a sentence without its full stop."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line for a sentence, cut where it is long; its kind where it says nothing. Of an error
    of TorchScript it is the last line, as the first is always the same.
    """
    lines = _lines(error)
    return _for_a_sentence(lines[-1] if lines[0].startswith(_TORCHSCRIPT) else lines[0])


def last_line(error: BaseException) -> str:
    """Likewise the last line, where a library's errors end with what went wrong."""
    return _for_a_sentence(_lines(error)[-1])


def _lines(error: BaseException) -> list[str]:
    """At least one."""
    try:
        text = str(error).strip()
    except Exception:  # an exception of a user's own may fail to say what it is
        text = ""
    return text.splitlines() or [type(error).__name__]


def _for_a_sentence(line: str) -> str:
    line = line.encode(errors="backslashreplace").decode()  # of a path that is no UTF-8, which no file of JSON can hold
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def is_of_the_machine(error: BaseException) -> bool:
    """Whether an error tells of a full disk, a lost mount or the like: no result of what was being done."""
    if not isinstance(error, OSError):
        return False
    return error.errno in _OF_THE_MACHINE or (error.errno in _OF_A_MOUNT and error.filename is not None)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Tail of a sentence about an unknown word: `; did you mean 'x'? (choices: x, y)`."""
    known = sorted(choices)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"; did you mean {match[0]!r}?" if match else ""
    return f"{guess} (choices: {', '.join(known)})"
