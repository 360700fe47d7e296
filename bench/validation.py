"""What is wrong with a file's values, in plain words: pydantic's own are a programmer's."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from equibench.errors import nearest

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


def explain(error: ValidationError, root: type[BaseModel]) -> str:
    """The first thing that is wrong with values of `root`, in one clause; for an unknown key with the nearest known."""
    # an unknown key explains a missing one, as its misspelling; of a value that may be of several kinds, that it is
    # infinite says more than that it is no text
    telling = ("extra_forbidden", "finite_number", "value_error")
    first = min(error.errors(), key=lambda found: found["type"] not in telling)
    place, where = first["loc"], _shown(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{nearest(str(place[-1]), _fields(root, place[:-1]))}"
    said = _said(first["type"], first.get("ctx", {}), first["input"], place, first["msg"])
    if not where:
        return said
    return f"{where} {said}" if said.startswith(("must ", "is ", "needs ")) else f"{where}: {said}"


def shortened(value: Any) -> str:
    """A value as Python writes it, its start where it is long."""
    try:
        shown = repr(value)
    except ValueError:
        return "a number of thousands of digits"
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


def _shown(place: Place) -> str:
    """Where in a file, e.g. `entrant 2: config.width`; lists are counted from 1."""
    said = ""
    for part in place:
        if isinstance(part, int):
            said += f" {part + 1}"
        elif part not in SCALARS:
            said += (": " if said[-1:].isdigit() else "." if said else "") + part
    return said


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
