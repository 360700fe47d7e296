"""A row's recorded numbers, as samples for the tests of a check."""

from __future__ import annotations

import math
from collections.abc import Mapping

from equibench.judge.gates import (
    Sample,
)
from equibench.quantities.glossary import Quantity
from equibench.quantities.identity import look_up
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.sections import failed


def measured(path: str, row: Mapping[int, Record]) -> dict[int, Record]:
    return {seed: one for seed, one in row.items() if not failed(one) and look_up(one, path) is not None}


def values_of(path: str, row: Mapping[int, Record]) -> tuple[float, ...]:
    return tuple(value for one in row.values() if (value := look_up(one, path)) is not None)


def stat_of_row(path: str, row: Mapping[int, Record]) -> Stat:
    return Stat(values_of(path, row))


def sample_of(gate: Quantity, row: Mapping[int, Record]) -> Sample:
    values = values_of(gate.path, row)
    if gate.category in ("speed", "memory"):
        repeats = [sec for one in row.values() for sec in _repeats(gate, one)]
        return Sample(tuple(math.log(value) if value > 0 else 0.0 for value in values), repeats=tuple(repeats))
    return Sample(values, stderrs=values_of(gate.error, row) if gate.error else ())


def _repeats(gate: Quantity, one: Record) -> list[float]:
    """Raw repeats in seconds an image: the fastest batch size may be another one in each record."""
    found: list[float] = value_at(one, gate.repeats) or [] if gate.repeats else []
    images = value_at(one, gate.repeats_of) if gate.repeats_of else 1
    return [sec / images for sec in found] if images else []


def why_missing(path: str, row: Mapping[int, Record]) -> str:
    part = path.partition(".")[0]
    reasons = [getattr(getattr(one, part), "reason", None) or one.failures.get(part) for one in row.values()]
    return next((reason for reason in reasons if reason), "no reason was recorded")
