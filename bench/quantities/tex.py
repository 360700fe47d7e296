"""Any text as TeX that typesets as that text, and the text that TeX typesets."""

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
    "↓": r"\ensuremath{\downarrow}", "≤": r"\ensuremath{\le}",
    "→": r"\ensuremath{\rightarrow}", "←": r"\ensuremath{\leftarrow}",
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


# what commands print; any other prints its argument alone
PRINTED = {
    **dict.fromkeys(("textbar", "vert", "lvert", "rvert", "mid"), "|"),
    **dict.fromkeys(("pm", "textpm"), "±"),
    **dict.fromkeys(("linebreak", "newline", "par", "quad", "space", "footnote"), " "),
    "textunderscore": "_", "textasciitilde": "~", "textasciicircum": "^", "textbackslash": "\\", "textasciigrave": "`",
    "textbraceleft": "{", "textbraceright": "}", "slash": "/", "colon": ":", "textendash": "-", "times": TIMES,
    "ss": "ß", "ae": "æ", "AE": "Æ", "o": "ø", "O": "Ø", "cdot": "·", "mu": "µ", "uparrow": "↑", "downarrow": "↓",
}  # fmt: skip
SILENT = r"\\(?:hspace|vspace|label|color|textcolor)\*?\{[^{}]*\}|\\discretionary(?:\{[^{}]*\}){3}|\\penalty-?\d+\s?"
SIGN_COMMANDS = {"\\": "\n", **dict.fromkeys("-/,;:!@", "")}  # any other prints its sign
MARKS = {command.strip(): mark for mark, command in ACCENTS.items()}
KEPT = {sign: chr(0xE000 + ord(sign)) for sign in "{}$~"}  # until those that print nothing are gone


def plain(typeset: str) -> str:
    """What TeX prints of a text without formulas to speak of: escapes as their signs, and nothing for braces, commands
    that only dress their argument, places where a line may break, and comments at the end of a line.
    """
    if not re.search(r"[\\{}$~]", typeset):
        return typeset

    def accented(found: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", found[2] + MARKS[found[1].strip()])

    def command(found: re.Match[str]) -> str:
        printed = PRINTED.get(found[1], "") if found[1] else SIGN_COMMANDS.get(found[2], found[2])
        return KEPT.get(printed, printed)

    said = re.sub(r"(?<!\\)%\n[ \t]*", "", typeset)
    said = re.sub(SILENT, "", said)
    said = re.sub(r"\\symbol\{(\d{1,3})\}", lambda found: KEPT.get(chr(int(found[1])), chr(int(found[1]))), said)
    said = re.sub(r"\\([`'^~\"]|[rc] )\{([A-Za-z])\}", accented, said)
    said = re.sub(r"\\(?:([A-Za-z]+)\*?[ \t]*|(.))", command, said, flags=re.DOTALL)
    said = re.sub(r"[{}$]", "", said).replace("~", " ")
    return said.translate({ord(kept): sign for sign, kept in KEPT.items()})
