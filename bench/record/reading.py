"""A record out of the bytes of a file, or what is wrong with them, in a clause of a sentence."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from equibench.errors import A_POINTER, LFS_POINTER, Remark
from equibench.hashing import digest
from equibench.record.schema import SCHEMA_VERSION, Record

# what sets a record apart from any other JSON file, at its top
MARKS = frozenset({"key", "entrant", "protocol"})
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONG_INTEGER = re.compile(rb"[:,\[]\s*-?\d{19}")  # perhaps longer than any count
_PASSES = 20  # over a record of a newer form; each leaves out all that one validation complains of


class NoRecordError(Exception):
    """Why some bytes are no record: a clause."""


def remark(sentence: str) -> None:
    """Tell a reader, who may be a person at a terminal or a program that called us."""
    warnings.warn(sentence, Remark, stacklevel=3)


def record_of(content: bytes, name: str) -> Record:
    """The record in the bytes of the file called `name`. One of a newer form is read for what this version knows of it,
    which is remarked on, as it is on one that was changed after it was written. Raises NoRecordError.
    """
    found = _read(content, name)
    if as_written(content) is False:
        remark(f"{name} was changed by hand after it was written, and no signature of it holds any more")
        found._edited = True
    return found


def as_written(content: bytes) -> bool | None:
    """Whether the bytes of a record's file still hold what was written, by the hash in them; None for form 0, which had
    no hash. Raises NoRecordError.
    """
    value = value_of(content)
    if not isinstance(value, dict) or not (value.get("content_sha256") or value.get("schema_version")):
        return None
    return bool(value.get("content_sha256") == content_sha256(value))


def content_sha256(value: Mapping[str, Any]) -> str:
    """Hash of a record's JSON value without the field that holds it: spaces and the order of keys do not count."""
    return digest({key: held for key, held in value.items() if key != "content_sha256"})


def _read(content: bytes, name: str) -> Record:
    """The record in the bytes of the file called `name`. Raises NoRecordError."""
    if not _LONG_INTEGER.search(content):
        with contextlib.suppress(ValidationError):  # what is wrong, the other way says better
            return _with_form(Record.model_validate_json(content))
    value = value_of(content)
    if not isinstance(value, dict) or not value.keys() >= MARKS:
        raise NoRecordError(f"it lacks {', '.join(sorted(MARKS))} at its top, which every record has")
    form = value.get("schema_version", 0)
    try:
        return _with_form(Record.model_validate(value))
    except ValidationError as error:
        if not isinstance(form, int) or form <= SCHEMA_VERSION:
            raise NoRecordError(_first(error)) from None
    except RecursionError:
        raise NoRecordError("it is nested too deeply") from None
    known = _what_is_known(value)
    if known is None:
        raise NoRecordError(
            f"it is of a newer form, {form}, of which this version of equibench knows too little; update equibench"
        )
    remark(f"{name} is of a newer form, {form}; what this version of equibench does not know is left out")
    return known


def value_of(content: bytes) -> Any:
    """The JSON value in the bytes of a file, in UTF-8, or any encoding that a byte order mark names. Raises
    NoRecordError.
    """
    if content.startswith(LFS_POINTER):
        raise NoRecordError(f"it is {A_POINTER}")
    if not content.strip():
        raise NoRecordError("it is empty")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise NoRecordError(f"it is no text in {encoding.removesuffix('-sig').upper()}") from None
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise NoRecordError("it holds the marks of a merge conflict; take one side of it")
    try:
        value = json.loads(text, parse_int=_bounded)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise NoRecordError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise NoRecordError("a text in it holds half a character") from None
    except ValueError as error:
        raise NoRecordError(f"it is no JSON: {error}") from None
    return value


def _bounded(digits: str) -> int:
    """No count in a record is larger, and later arithmetic would fail on one that no float holds."""
    if len(digits) > 20 or abs(value := int(digits)) >= 2**63:
        raise ValueError(f"the whole number {digits[:20]}... is too large")
    return value


def _with_form(found: Record) -> Record:
    return found if "schema_version" in found.model_fields_set else found.model_copy(update={"schema_version": 0})


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    says = "no field of a record" if first["type"] == "extra_forbidden" else first["msg"]
    return f"{where}: {says}" if where else says


def _what_is_known(value: dict[str, Any]) -> Record | None:
    """The record without what this version does not know: unknown fields, values, and parts that lack what it needs.
    None where too little is left.
    """
    for _ in range(_PASSES):
        try:
            return Record.model_validate(value)
        except ValidationError as error:
            wrong = [_place(value, one) for one in error.errors(include_url=False, include_input=False)]
        if () in wrong:
            return None
        # members of a list from its end, so that the places of those before stay as they are
        for place in sorted(set(wrong), key=lambda place: [(str(type(step)), step) for step in place], reverse=True):
            _leave_out(value, place)
    return None


def _place(value: Any, error: ErrorDetails) -> tuple[str | int, ...]:
    """Where in `value` something is that cannot be kept: the innermost part on the error's way that is there."""
    steps: list[str | int] = []
    for step in error["loc"]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):  # missing, or the name of a kind that was tried for the value
            break
        steps.append(step)
    return tuple(steps)


def _leave_out(value: Any, place: Sequence[str | int]) -> None:
    *way, last = place
    try:
        for step in way:
            value = value[step]
        del value[last]
    except (KeyError, IndexError):  # went with a part around it
        pass
