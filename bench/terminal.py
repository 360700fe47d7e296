"""Text of files, records and paths as a terminal may show it: nothing in it moves a cursor or hides what it is."""

from __future__ import annotations

import re
from pathlib import Path

# Controls (C0, DEL, C1), separators of lines and paragraphs, marks and overrides of direction, the byte order mark,
# and surrogates: bytes of a file's name that are no UTF-8, or halves of a character in JSON.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}


def visible(text: str | Path) -> str:
    r"""`text` in one line, with what a terminal would act on, or could not print, as an escape: `\x1b`, `\n`, `\u202e`;
    a byte of a path that is no UTF-8 as `\xff`. All else, markup and emoji codes among it, stays as it is.
    """
    return _UNSEEN.sub(_escape, str(text))


def visible_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python names such a byte
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
