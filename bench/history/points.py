"""Records of many commits to series: one number of one row, a point a commit.

What may be compared decides on the series: the identity of the number, the protocol, and for speed and memory the
machine. An entrant's settings may change with a commit, which is one series; where one commit has several, each is a
series of its own. What is repeated decides on the measurements of a point: seeds, and for speed and memory, which the
seeds of one invocation share, invocations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from equibench.hashing import digest
from equibench.quantities import glossary
from equibench.quantities.glossary import Quantity
from equibench.quantities.identity import MADE_BY, identity, look_up, name_of
from equibench.quantities.text import commit
from equibench.record.budget import kept_budget
from equibench.record.paths import value_at
from equibench.record.reading import remark
from equibench.record.schema import Code, Record
from equibench.summary.load import busy
from equibench.summary.sections import FiledRecord


class CodeKey(NamedTuple):
    """What ran, so far as records know it: a commit, and sources where that does not say all."""

    commit: str | None
    dirty: bool
    version: str
    sources_sha256: str | None


class Measurement(NamedTuple):
    """One measurement of a point: the mean over what it is not repeated over."""

    value: float
    records: tuple[FiledRecord, ...]


@dataclass(frozen=True)
class Point:
    """All measurements of one number of one row at one commit."""

    code: CodeKey
    label: str
    created: datetime  # of the first
    measured: tuple[Measurement, ...]

    @property
    def first(self) -> Record:
        return self.measured[0].records[0].record

    @property
    def records(self) -> list[Record]:
        return [cell.record for one in self.measured for cell in one.records]


@dataclass(frozen=True)
class Series:
    """One number of one row, where its points compare: in order, a point a commit."""

    quantity: Quantity
    path: str
    name: str  # as in a signature
    identity: dict[str, str]
    protocol: str
    machine: str | None  # key; None where another machine's numbers compare
    row: tuple[str, ...]  # what it shares with the series of other machines, and with no other one
    points: tuple[Point, ...]

    @property
    def is_floor(self) -> bool:
        return self.points[0].first.role == "floor"

    @property
    def by_logarithm(self) -> bool:
        """Whether levels are of the logarithm, and changes are shares: where all values are above zero."""
        return all(one.value > 0 for point in self.points for one in point.measured)


def series_of(
    cells: Sequence[FiledRecord], paths: Collection[str], order: Callable[[CodeKey, datetime], tuple[float | str, ...]]
) -> list[Series]:
    """All series of the numbers at `paths`, entrants before floors. `order` sorts points by their code and the time of
    their first record.
    """
    groups: dict[tuple[str, ...], list[FiledRecord]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.record.role == "floor", cell.record.entrant, cell.record.seed)):
        for path in paths:
            if look_up(cell.record, path) is not None and not is_busy(cell.record, path):
                groups.setdefault(_key(cell.record, path), []).append(cell)
    found = []
    for (path, machine, *row), group in groups.items():
        for made, part in _parts(group):
            by_code: dict[CodeKey, list[FiledRecord]] = {}
            for cell in part:
                by_code.setdefault(code_key(cell.record.code), []).append(cell)
            points = [_point(code, same, path) for code, same in by_code.items()]
            points.sort(key=lambda point: order(point.code, point.created))
            last = points[-1].first
            about = (glossary.of(path), path, name_of(last, path), identity(last, path), last.protocol)
            found.append(Series(*about, machine or None, (path, *row, made), tuple(points)))
    places = {path: place for place, path in enumerate(paths)}
    return sorted(found, key=lambda one: (one.is_floor, one.identity["entrant"], places[one.path]))


def _key(record: Record, path: str) -> tuple[str, ...]:
    """Path, machine where that matters, and a digest of all else that a line never mixes. What made the model is not
    in it: commits are what changes that.
    """
    fields = {key: value for key, value in identity(record, path).items() if key not in (*MADE_BY, "machine")}
    alike = digest([fields, name_of(record, path), record.protocol, record.role, record.data.sha256])
    return path, record.machine.key if glossary.of(path).timed else "", alike


def _parts(group: Sequence[FiledRecord]) -> list[tuple[str, list[FiledRecord]]]:
    """The records as one part, or, where one commit has an entrant in several settings, a part a setting."""
    parts: dict[str, list[FiledRecord]] = {}
    of_code: dict[CodeKey, set[str]] = {}
    for cell in group:
        made = digest([cell.record.family, cell.record.config])
        parts.setdefault(made, []).append(cell)
        of_code.setdefault(code_key(cell.record.code), set()).add(made)
    return list(parts.items()) if any(len(made) > 1 for made in of_code.values()) else [("", list(group))]


def _point(code: CodeKey, cells: Sequence[FiledRecord], path: str) -> Point:
    created = min(created_of(cell.record) for cell in cells)
    return Point(code, commit(cells[0].record), created, _measured(cells, path, glossary.of(path).timed))


def usable(found: Sequence[tuple[Path, Record]]) -> tuple[list[FiledRecord], list[str]]:
    """The records that a history is made of, each once wherever it was copied to, and what was left out, in words."""
    once = {digest(record.model_dump(mode="json")): FiledRecord(path, record) for path, record in reversed(found)}
    cells = [cell for cell in reversed(once.values()) if kept_budget(cell.record)]
    failed = len(once) - len(cells)
    dated = [cell for cell in cells if _date(cell.record) is not None]
    for cell in cells:
        if _date(cell.record) is None:
            remark(f"left out: {cell.path}, as {cell.record.created[:40]!r} is no time at which it was created")
    return dated, [f"records of cells that failed or missed their budget ({failed})"] if failed else []


def is_busy(record: Record, path: str) -> bool:
    """Whether a number was timed while the machine did other work."""
    block = glossary.of(path).block
    return bool(block) and busy(record, block) is not None


def created_of(record: Record) -> datetime:
    found = _date(record)
    assert found is not None  # of a usable one
    return found


def code_key(code: Code) -> CodeKey:
    """A commit says all, unless files were changed; without one, the digest of the sources does."""
    dirty = bool(code.dirty)
    return CodeKey(
        code.commit, dirty, code.version, None if code.commit is not None and not dirty else code.sources_sha256
    )


def evaluation_sd(series: Series) -> float:
    """Root mean square of the recorded errors of the evaluation alone, which no noise of a measurement is below: over
    samples, or of Monte Carlo. The error over test images is none, as these are the same at every commit.
    """
    path = "likelihood.stderr_monte_carlo_bits_per_dim" if series.path == glossary.BITS else series.quantity.error
    if not path or not path.startswith(("quality.", "likelihood.stderr_monte")):
        return 0.0
    errors = []
    for record in (record for point in series.points for record in point.records):
        error, value = value_at(record, path), look_up(record, series.path)
        if isinstance(error, int | float) and value:
            errors.append(error / value if series.by_logarithm else error)
    return math.hypot(*errors) / math.sqrt(len(errors)) if errors else 0.0


def _measured(cells: Sequence[FiledRecord], path: str, timed: bool) -> tuple[Measurement, ...]:
    repeats: dict[tuple[str, str], list[FiledRecord]] = {}
    for cell in cells:
        record = cell.record
        # a record of the form 0 does not know its invocation: those of one folder are taken for one
        run = ("invocation", record.invocation) if record.invocation else ("folder", str(cell.path.parent))
        repeats.setdefault(run if timed else ("seed", str(record.seed)), []).append(cell)
    return tuple(Measurement(_mean([*_values(of, path)]), tuple(of)) for of in repeats.values())


def _values(cells: Sequence[FiledRecord], path: str) -> Iterator[float]:
    return (value for cell in cells if (value := look_up(cell.record, path)) is not None)


def _mean(values: Sequence[float]) -> float:
    """The mean of logarithms, as for a point's measurements, if all are positive; of equal values that value."""
    if values.count(values[0]) == len(values):
        return values[0]
    if min(values) > 0:
        return math.exp(math.fsum(map(math.log, values)) / len(values))
    return float(np.mean(np.asarray(values) / len(values)) * len(values))


def _date(record: Record) -> datetime | None:
    try:
        found = datetime.fromisoformat(record.created)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
