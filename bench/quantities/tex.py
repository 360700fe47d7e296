"""Any text as TeX that typesets as that text."""

from __future__ import annotations

import re
import unicodedata

from equibench.quantities.text import MISSING, TIMES
from equibench.terminal import visible

SUPERSCRIPTS = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))
# "[" and "*" would belong to the end of a row before them
SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\ensuremath{<}", ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}", "±": r"\ensuremath{\pm}", TIMES: r"\ensuremath{\times}", "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}", "→": r"\ensuremath{\rightarrow}", "←": r"\ensuremath{\leftarrow}",
    MISSING: "--", "\N{RIGHT SINGLE QUOTATION MARK}": "'", "“": "``", "”": "''", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}", '"': "''", "ß": r"\ss{}", "æ": r"\ae{}",
    "Æ": r"\AE{}", "ø": r"\o{}", "Ø": r"\O{}", "·": r"\ensuremath{\cdot}", "µ": r"\ensuremath{\mu}",
    "°": r"\ensuremath{^\circ}",
}  # fmt: skip
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r ", "\u0327": "c "}


def tex(plain: str) -> str:
    """The text on one line, safe wherever TeX reads text; a letter that the base fonts lack becomes a question mark."""

    def one(found: re.Match[str]) -> str:
        if found[0][0] in SUPERSCRIPTS:
            return rf"\textsuperscript{{{''.join(SUPERSCRIPTS[sign] for sign in found[0])}}}"
        return SIGNS.get(found[0]) or _accented(found[0])

    said = visible(" ".join(plain.split()))
    return re.sub(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|-(?=-)|[\\{}$&%#_^~<>|`\[\]*\"]|[^\x20-\x7e]", one, said)


def _accented(letter: str) -> str:
    """A letter with an accent of Western Europe by its command, which every encoding of fonts has."""
    if letter == "-":  # before another, with which it would make a dash
        return "-{}"
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii() and base.isalpha():
        return rf"\{ACCENTS[marks[0]]}{{{base}}}"
    return "?"
