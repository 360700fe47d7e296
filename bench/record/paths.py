"""Dotted paths into a record."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any


def member_name(member: Any) -> str:
    """What a member of a record's list goes by in a dotted path: its name or label, else its mode or batch size."""
    for field in ("name", "label", "mode", "batch_size"):
        if (found := getattr(member, field, None)) is not None:
            return str(found)
    raise TypeError(f"a {type(member).__name__} has no name")


def member_names(members: Sequence[Any]) -> list[str]:
    """What the members of a list go by, each another: the second of one name has " (2)" behind it, and so on."""
    found: list[str] = []
    for name in map(member_name, members):
        places = (f"{name} ({place})" for place in itertools.count(2))
        found.append(next(filter(lambda one: one not in found, itertools.chain([name], places))))
    return found


def next_step(here: Any, path: str) -> tuple[str, Any]:
    """The first step of a dotted `path` from `here`, and what lies there: None where a list or dictionary has no such
    member. Members of a list go by `member_names`, which may hold dots; what a dictionary holds are values, so that the
    rest of the path is its key.
    """
    if isinstance(here, list):
        named = dict(zip(member_names(here), here, strict=True))
        step = max((name for name in named if f"{path}.".startswith(f"{name}.")), key=len, default=path)
        return step, named.get(step)
    if isinstance(here, dict):
        return path, here[path] if path in here else here.get(int(path)) if path.isdecimal() else None
    step = path.split(".", 1)[0]
    return step, getattr(here, step)


def value_at(value: Any, path: str) -> Any:
    """The value at a dotted path of a record or a part of it; None where a part on the way is."""
    while path and value is not None:
        step, value = next_step(value, path)
        path = path[len(step) + 1 :]
    return value
