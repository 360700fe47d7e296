"""JSON Schema of what equibench reads and writes, for editors, validators and other languages."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of the JSON (or TOML) value that `model` is read from. Fields are described by their comments in the
    source; a unit that no comment gives stands in the name.
    """
    schema = model.model_json_schema()
    parts = schema.get("$defs", {})
    for one in _models(model):
        properties = schema if one is model else parts.get(one.__name__, {})
        for name, about in _comments(one).items():
            if name in (fields := properties.get("properties", {})):
                fields[name] = {"description": about, **fields[name]}
    return {"$schema": DIALECT, **schema}


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """`model`, and all that its fields hold."""
    found, waiting = {model}, [model]
    while waiting:
        for field in waiting.pop().model_fields.values():
            for inner in _classes(field.annotation):
                if inner not in found:
                    found.add(inner)
                    waiting.append(inner)
    yield from found


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _classes(argument)


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """What stands behind each field of a class on its line, base classes included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not issubclass(one, BaseModel) or one is BaseModel:
            continue
        source = inspect.getsource(one)
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        said = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
        (body,) = ast.parse(source).body
        assert isinstance(body, ast.ClassDef)
        for node in body.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno in said:
                found[node.target.id] = said[node.end_lineno].lstrip("# ")
    return found
