"""Signatures as they stand in print, back to their parts.

A typesetter wraps lines, joins letters, writes other dashes, bars and quotes, and TeX has escapes for most signs. A
label, quotes, brackets and the full stop of a sentence stand around a signature. None of it is part of the signature,
which has no spaces and begins with a known name, so that all of it can be told apart.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from equibench.cite.signature import FORM, unescaped
from equibench.errors import UserError
from equibench.quantities import glossary
from equibench.quantities.identity import KEY_DIGITS, path_of
from equibench.quantities.tex import plain
from equibench.terminal import visible

BREAK = "\ue000"  # a hyphen at the end of a line, which is the text's own or the typesetter's
LONGEST_NAME = 300  # characters, line breaks included
_REC = re.compile(r"\|\s*r\s*e\s*c\s*:\s*")  # the last field: it ends with hexadecimal digits, whatever follows
_FIELD = re.compile(r"\s*([a-z]\s*(?:[a-z]\s*)*):([^=]*)", re.DOTALL)
_KEY = re.compile(
    rf"\s*([0-9a-f]{{{KEY_DIGITS},64}}|[0-9a-f](?:[\s{BREAK}-]*[0-9a-f]){{{KEY_DIGITS - 1}}})(?![0-9a-zA-Z])"
)
_VALUE = re.compile(r"=\s*[-+]?\d[\d.e+-]*(?:\s*±\s*\d[\d.e+-]*)?\s*\|\s*[A-Za-z]+\s*:")  # and the first field's key
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"), "-")
_BARS = dict.fromkeys(map(ord, "\u2014\u2223\u2502\u2758\u01c0\u00a6"), "|")  # fonts of TeX set a bar as an em dash
_GONE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))  # where a line may break
_ENDS = re.compile(r'<ol id="ends" hidden>(.*?)</ol>', re.DOTALL)
_SHORTENED = re.compile(r'(?<=data-signature=)"([^"]*)" data-end="(\d{1,6})"')
_OPENING = "\"'`([{<>:;=\u201c\u2018\u201e\u201a\u00ab\u2039*|"  # what a name may stand behind
_SPACED = ("entrant", "ref", "fx", "sampler", "kind", "quantity", "data", "machine")  # in forms before 2


class Signature(NamedTuple):
    """A parsed signature: `path` is the dotted path in the record, `fields` are all others by their key."""

    name: str
    path: str
    value: float
    spread: float | None
    fields: dict[str, str]

    @property
    def seeds(self) -> list[int]:
        return [int(seed) for seed in as_read(self.fields["seeds"]).split(",")]

    @property
    def keys(self) -> list[str]:
        """Beginnings of the records' keys, in the order of the seeds."""
        return self.fields["rec"].split(",")

    @property
    def form(self) -> int:
        """Which version of signatures it is of; those before 2 do not say it."""
        return int(self.fields.get("sig", 1))

    @property
    def shown(self) -> str:
        """What it says of which entrant, in short."""
        value = f"{self.value:g}" + ("" if self.spread is None else f"±{self.spread:g}")
        return f"{self.name}={value} of {as_read(self.fields.get('entrant', 'an unnamed entrant'))}"


class Document(NamedTuple):
    """What a text holds; `broken` are beginnings of what looks like a signature and is not whole, as where a part of it
    was lost.
    """

    signatures: list[Signature]
    broken: list[str]


def parse(text: str) -> Signature:
    """The parts of the one signature in a text. Raises UserError if there is none, or more."""
    found = signatures_in(text)
    if found and all(one == found[0] for one in found):  # some pages say it twice
        return found[0]
    if found:
        raise UserError(f"there are {len(found)} signatures in the text; give one, or a file that holds them")
    raise UserError(
        f"{visible(text[:60])!r} is not a whole signature; `equibench cite METRIC ENTRANT` prints one, NAME=VALUE|..."
    )


def signatures_in(text: str) -> list[Signature]:
    """All whole signatures in a text, in print, TeX, HTML or JSON, in their order."""
    return document(text).signatures


def document(text: str) -> Document:
    """All whole signatures in a text, and what is not whole."""
    readings = [list(_segments(reading)) for reading in _readings(_with_ends(text))]
    by_reading = [[one for _, one in segments if one is not None] for segments in readings]
    most = max(map(len, by_reading))
    whole = [found for found in by_reading if len(found) == most]
    # nothing that print changes is in a signature of form 2, while one before it may hold any sign, if seldom a TeX's
    changed = any(one.form >= FORM for found in whole for one in found) or re.search(r"\\[_%&#]", text)
    return Document(whole[-1] if changed else whole[0], _broken(readings[-1]))


def _broken(segments: Sequence[tuple[str, Signature | None]]) -> list[str]:
    found = []
    for segment, whole in segments:
        starts = list(_VALUE.finditer(segment))
        broken = starts[:-1] if whole else starts
        found += [visible("".join(segment[max(one.start() - 12, 0) : one.end()].split())) for one in broken]
    return found


def _with_ends(text: str) -> str:
    """The page of a report with each signature whole: their ends, which many share, stand in a list of their own."""
    listed = _ENDS.search(text)
    if listed is None:
        return text
    ends = dict(enumerate(re.findall(r"<li>(.*?)</li>", listed[1])))
    return _SHORTENED.sub(lambda found: f'"{found[1]}|{ends.get(int(found[2]), "")}"', text)


def same(one: Signature, written: Signature) -> bool:
    """Whether a signature in print says the same as the `written` one but for what print may change: spaces, hyphens at
    the end of a line, and those between letters, which are lost where a line broke at them. Of forms before 2, which
    had spaces, all hyphens may differ.
    """
    if (one.value, one.spread) != (written.value, written.spread) or one.fields.keys() != written.fields.keys():
        return False
    alike = _alike if one.form >= FORM else lambda printed, text: folded(printed) == folded(text)
    return alike(one.name, written.name) and all(alike(one.fields[key], written.fields[key]) for key in one.fields)


def folded(text: str) -> str:
    """Without what print may change in a name or a field."""
    return re.sub(rf"[\s{BREAK}-]", "", unicodedata.normalize("NFKC", text).translate(_DASHES))


def as_read(text: str) -> str:
    """A part of a signature as a person reads it."""
    return text.replace(BREAK, "-")


def _alike(printed: str, written: str) -> bool:
    """Whether print can have made the one of the other."""
    printed, written = (unicodedata.normalize("NFKC", text).translate(_DASHES) for text in (printed, written))
    parts = []
    for i, sign in enumerate(written):
        within = 0 < i < len(written) - 1 and written[i - 1].isalpha() and written[i + 1].isalpha()
        parts.append(f"[-{BREAK}]{'?' * within}" if sign == "-" else re.escape(sign))
    return re.fullmatch(f"{BREAK}?".join(parts), printed) is not None


def _readings(text: str) -> Iterator[str]:
    """The text as it is, then without what HTML, JSON and fonts make of it, then what TeX would print."""
    yield text
    there = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), html.unescape(text))
    there = re.sub(r"(?<=\n)[ \t]*[%>#*]+[ \t]+", "", unicodedata.normalize("NFKC", there))  # marks before each line
    there = re.sub(r"(?<=\S)-[ \t]*\n\s*", BREAK, there.translate(_DASHES | _BARS | _GONE))
    yield there
    yield plain(there)


def _segments(text: str) -> Iterator[tuple[str, Signature | None]]:
    """The text cut before every last field, and the whole signature that ends there; then what is left."""
    start = 0
    for found in _REC.finditer(text):
        segment = text[start : found.start()]
        head, fields = _fields(segment)
        said = dict(fields)
        keys, start = _keys(text, found.end(), said.get("seeds", "").count(",") + 1)
        once = len(said) == len(fields)
        yield segment, _signature(head, {**said, "rec": ",".join(keys)}) if once else None
    yield text[start:], None


def _fields(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the fields at the end of a text, and these in their order."""
    segments = text.split("|")
    found: list[tuple[str, str]] = []
    while len(segments) > 1 and (field := _FIELD.fullmatch(segments[-1])):
        found.insert(0, (re.sub(r"\s", "", field[1]), field[2]))
        segments.pop()
    form = FORM if any(key == "sig" for key, _ in found) else 1
    return segments[-1], [(key, _value(key, value, form)) for key, value in found]


def _value(key: str, text: str, form: int) -> str:
    """What a field says: spaces are those of a line break, but within some fields of the first form."""
    spaced = form == 1 and key in _SPACED and re.search(r"\s\s|[^ \S]", text)
    if spaced:
        text = " ".join(re.sub(r"(?<=-)[ \t]*\n\s*", "", text).split())
    elif form >= FORM or key not in _SPACED:
        text = re.sub(r"\s", "", text)
    return unescaped(text, form, key)


def _keys(text: str, place: int, most: int) -> tuple[list[str], int]:
    """The beginnings of at most so many keys at a place of the text, and where they end. Lines may break within one."""
    found: list[str] = []
    while len(found) < most:
        comma = re.compile(r"\s*,").match(text, place) if found else None
        one = _KEY.match(text, comma.end() if comma else place)
        if one is None or (found and not comma):
            break
        found.append(folded(one[1]))
        place = one.end()
    return found, place


def _signature(head: str, fields: dict[str, str]) -> Signature | None:
    """A signature of its parts; None where they are not whole."""
    name_text, equals, number = head.rpartition("=")
    number = re.sub(r"\+\s*/?\s*-(?=\s*[\d.])", "±", number)  # as some write it
    value, plus_minus, spread = re.sub(r"\s", "", as_read(number)).partition("±")
    try:
        parsed = float(value), float(spread) if plus_minus else None
        seeds = [int(seed) for seed in as_read(fields["seeds"]).split(",")]
        name = _name(name_text[-LONGEST_NAME:], int(fields.get("sig", 1)))
    except (ValueError, KeyError):
        return None
    if not equals or not name or len(fields["rec"].split(",")) != len(seeds) or not fields["rec"]:
        return None
    return Signature(name, path_of(name), *parsed, fields)


def _name(text: str, form: int) -> str:
    """The name at the end of a text: the longest that is a number's, of what may be its beginning."""
    text = text.strip()
    # a name may stand behind any sign: the longest known one counts, else what follows a space or an opening sign
    starts = [0, *(place.start() + 1 for place in re.finditer(r"\W(?=\w)", text))]
    behind = [0, *(place.end() for place in re.finditer(rf"\s+|[{re.escape(_OPENING)}]", text))]
    # in form 2 every space is a line break, the newline before others; before it, a name may have spaces of its own
    ways = ((r"[^\S\n]*\n\s*", ""), (r"\s+", "")) if form >= FORM else ((r"\s+", " "), (r"\s+", ""))
    for break_of_line, instead in ways:
        for start in starts:
            name = re.sub(break_of_line, instead, text[start:])
            if (form < FORM or not re.search(r"\s", name)) and _known(name := unescaped(name, form)):
                return name
    return unescaped(text[max(behind) :], form)


def _known(name: str) -> bool:
    return glossary.known(path_of(name)) is not None
