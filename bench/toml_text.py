"""Values as TOML, which Python reads and does not write: text, numbers, truths, lists, tables and lists of tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def toml_of(values: Mapping[str, Any]) -> str:
    """A document that `tomllib.loads` reads as `values`. Keys whose value is None, which TOML cannot say, are left out.

    Raises TypeError for values of another kind.
    """
    return "\n".join(_lines(values, ())).strip() + "\n"


def _lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    """The lines of a table: its plain values first, as what follows the head of a table belongs to that."""
    inner = {key: value for key, value in table.items() if _is_table(value) or _is_tables(value)}
    for key, value in table.items():
        if value is not None and key not in inner:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        here = (*place, key)
        head = ".".join(map(_key, here))
        for one in value if _is_tables(value) else [value]:
            yield ""
            yield f"[[{head}]]" if _is_tables(value) else f"[{head}]"
            yield from _lines(one, here)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():  # JSON's escapes are TOML's; that of the last control character JSON leaves out
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items() if v is not None)} }}"
    raise TypeError(f"TOML has no {type(value).__name__}")
