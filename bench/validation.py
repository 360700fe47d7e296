"""What is wrong with a file's values, in plain words: pydantic's own are a programmer's."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from equibench.errors import UserError, first_line, nearest

Place = tuple[int | str, ...]
KINDS = {
    "int": "a whole number", "float": "a number", "string": "text", "bool": "true or false", "list": "a list",
    "tuple": "a list", "dict": "a table", "model": "a table",
}  # fmt: skip
LIMITS = {
    "greater_than": ("more than", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"), "less_than_equal": ("at most", "le"),
}  # fmt: skip
SCALARS = ("str", "int", "float", "bool", "none")  # pydantic's names for the kinds that one value may be of
LONGEST = 60
MOST_FILE_BYTES = 2**20  # of a file of TOML
Root = TypeVar("Root", bound=BaseModel)


def read_toml(path: Path, root: type[Root], kind: str) -> Root:
    """The values of a file of TOML, with or without a byte order mark; `kind` is what the file is, such as "suite".

    Raises UserError for one that cannot be read, is too large, in another encoding or no TOML, or says what `root` does
    not allow.
    """
    return checked(read_tables(path, kind), root, f"{kind} {path}")


def checked(values: Mapping[str, Any], root: type[Root], what: str, named: bool = False) -> Root:
    """Values as a `root`; `named` tells of tables in a list their names, too, as it is of several files. Raises
    UserError, which says of `what` it is, for values that `root` does not allow.
    """
    try:
        return root.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{what}: {explain(error, root, values if named else None)}") from None
    except RecursionError:
        raise UserError(f"{what}: its tables are nested too deep") from None


def read_tables(path: Path, kind: str) -> dict[str, Any]:
    """The values of a file of TOML as they are there. Raises UserError as `read_toml`, but for what they say."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # a null byte in the name
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"cannot read the {kind} {path} ({reason})") from None
    if len(content) > MOST_FILE_BYTES:
        raise UserError(f"{path} has more than {MOST_FILE_BYTES:,} bytes; it is no {kind}")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8; save it in that encoding") from None
    except RecursionError:
        raise UserError(f"{kind} {path}: its tables are nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        said = first_line(error).replace("Cannot overwrite a value", "a key is there twice")
        raise UserError(f"{path} is not valid TOML ({said[:200]})") from None


def explain(error: ValidationError, root: type[BaseModel], values: Mapping[str, Any] | None = None) -> str:
    """The first thing that is wrong with values of `root`, in one clause; for an unknown key with the nearest known.
    With the `values` tables in a list are told by their names.
    """
    # an unknown key explains a missing one, as its misspelling; of a value that may be of several kinds, that it is
    # infinite says more than that it is no text
    telling = ("extra_forbidden", "finite_number", "value_error")
    first = min(error.errors(), key=lambda found: found["type"] not in telling)
    place, where = first["loc"], _shown(first["loc"], values)
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{nearest(str(place[-1]), _fields(root, place[:-1]))}"
    said = _said(first["type"], first.get("ctx", {}), first["input"], place, first["msg"])
    if not where:
        return said
    return f"{where} {said}" if said.startswith(("must ", "is ", "needs ")) else f"{where}: {said}"


def shortened(value: Any) -> str:
    """A value as a file has it, its start where it is long."""
    try:
        shown = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    if isinstance(value, bool):  # as TOML and JSON write it
        shown = shown.lower()
    elif isinstance(value, date | time):
        shown = str(value)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def _said(kind: str, context: Mapping[str, Any], value: Any, place: Place, message: str) -> str:
    """What is wrong with a value, by pydantic's name of the error."""
    if kind == "value_error":  # of our own validators, whose sentence says it all
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return f"needs at least {context['min_length']} {'entries' if context['min_length'] > 1 else 'entry'}"
    if kind in LIMITS:
        words, key = LIMITS[kind]
        limit = context[key]
        must = f"{words} {f'{limit:g}' if isinstance(limit, float) else limit}"
    elif kind == "string_pattern_mismatch":
        must = f"text of the form {context['pattern']}"
    elif kind == "string_too_short":
        must = f"text of at least {context['min_length']} character{'s' * (context['min_length'] > 1)}"
    elif kind == "finite_number":
        must = "a finite number"
    elif kind == "literal_error":
        must = f"one of {context['expected'].replace(' or ', ', ')}"
    elif place and place[-1] in SCALARS:
        must = "a number, text, true or false"
    elif (base := kind.partition("_")[0]) in KINDS:
        must = KINDS[base]
    else:
        return f"{message[:1].lower()}{message[1:]} (it is {shortened(value)})"
    return f"must be {must}, not {shortened(value)}"


def _shown(place: Place, values: Any = None) -> str:
    """Where in a file, e.g. `entrant 2: config.width`, or with the values `entrant vae: config.width`; lists are
    counted from 1.
    """
    said, of_list = "", False
    for part in place:
        values = _inside(values, part)
        if isinstance(part, int):
            name = values.get("name") if isinstance(values, dict) else None
            said += f" {name if isinstance(name, str) else part + 1}"
        elif part not in SCALARS:
            said += (": " if of_list else "." if said else "") + part
        of_list = isinstance(part, int)
    return said


def _inside(values: Any, part: int | str) -> Any:
    """The member of a list or a table; None where there is none."""
    try:
        return values[part]
    except (LookupError, TypeError):
        return None


def _fields(root: type[BaseModel], place: Place) -> list[str]:
    """The keys of the table at a place."""
    for part in place:
        if isinstance(part, str) and part in root.model_fields:
            root = _table(root.model_fields[part].annotation) or root
    return list(root.model_fields)


def _table(annotation: Any) -> type[BaseModel] | None:
    """The table that a list, or an optional value, is of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _table(part))), None)
