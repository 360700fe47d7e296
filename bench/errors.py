"""A user's mistake, said in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's. Its text is one sentence that says what to do; the command line exits with code 2."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line for a sentence; its kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def nearest(word: str, choices: Iterable[str]) -> str:
    """Tail of a sentence about an unknown word: `; did you mean 'x'? (choices: x, y)`."""
    known = sorted(choices)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"; did you mean {match[0]!r}?" if match else ""
    return f"{guess} (choices: {', '.join(known)})"
