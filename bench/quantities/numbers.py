"""All numbers of a record, by their dotted paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from equibench.quantities import glossary
from equibench.record.paths import member_names
from equibench.record.schema import Record, SampleMetric


def numbers(one: Record) -> Iterator[str]:
    """Paths of all numbers of a record that the glossary knows: what was measured, spent or counted."""
    return (path for path in _numbers(one, "") if glossary.known(path))


def _numbers(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, SampleMetric):
        if value.value is not None:
            yield path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _numbers(getattr(value, name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{path}.{name}")
    elif isinstance(value, list):
        members = [item for item in value if isinstance(item, BaseModel)]
        for name, item in zip(member_names(members), members, strict=True):
            yield from _numbers(item, f"{path}.{name}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path
