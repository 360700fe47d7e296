"""Tables as such: entries, lines, columns and footnotes, filled from items and written as CSV.

Each entry keeps its raw SI value beside its text: pages show the text, CSV holds the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pandas as pd

from bench.formatting import MISSING, number, spread, superscript
from bench.record import Record, Scalar
from bench.sections import failed
from bench.stats import Stat

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str = ""
    raw: Scalar = None
    detail: str = ""  # small print: a kind, a share
    # Further CSV columns; "_sd" stands for this one's name + "_sd".
    more: Mapping[str, Scalar] = field(default_factory=dict)
    strong: bool = False


@dataclass(frozen=True)
class Line:
    """One row of a table. `span`, where given, stands in place of all but the first two entries."""

    entries: tuple[Entry, ...]
    kind: Literal["entrant", "floor", "failed"] = "entrant"
    family: str | None = None
    span: str = ""


@dataclass(frozen=True)
class Table:
    """`names` are the CSV columns, with their unit; `labels` are for people, with the unit shown."""

    name: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()  # footnotes, from 1

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and are set flush right."""
        raws = zip(*([entry.raw for entry in line.entries] for line in self.lines), strict=True)
        return [any(isinstance(raw, int | float) for raw in column) for column in raws] or [False] * len(self.names)


# A column: its CSV name, its label, and how it is filled from an item of the table.
Column = tuple[str, str, Callable[[T], Entry]]


class Notes(list[str]):
    """Footnotes of one table; equal ones share a number."""

    def missing(self, why: str, text: str = MISSING) -> Entry:
        if why not in self:
            self.append(why)
        return Entry(text + superscript(self.index(why) + 1))


def value_entry(value: Any, digits: int = 3) -> Entry:
    """A value as it is; a dash without one."""
    if value is None:
        return Entry(MISSING)
    plain = isinstance(value, str | bool)
    return Entry(str(value) if plain else number(value, digits), value)


def stat_entry(stat: Stat, unit: float = 1, digits: int = 3, detail: str = "", strong: bool = False) -> Entry:
    """A number over seeds, its spread a further CSV column."""
    return Entry(spread(stat, unit, digits), stat.mean, detail, {"_sd": stat.sd}, strong)


def fill_table(
    name: str, columns: list[Column[T]], items: Sequence[T], of: Callable[[T], Record | None], notes: Sequence[str] = ()
) -> Table:
    """Fill `columns` from `items`; `of` gives the record that says what kind of line an item makes."""
    lines = []
    for item in items:
        record, entries = of(item), tuple(fill(item) for _, _, fill in columns)
        kind = "entrant" if record is None else "failed" if failed(record) else record.role
        lines.append(Line(entries, kind, record.family if record else None))
    return Table(name, tuple(c[0] for c in columns), tuple(c[1] for c in columns), tuple(lines), tuple(notes))


def csv(tables: Sequence[Table]) -> str:
    """Tables of one kind, one a section of the report, as one CSV of raw values."""
    rows: list[dict[str, Scalar]] = []
    order: dict[str, dict[str, None]] = {"section": {}}  # each column, and those that stand behind it
    for section, table in enumerate(tables, 1):
        order |= {name: {} for name in table.names if name not in order}
        for line in table.lines:
            row: dict[str, Scalar] = {"section": section}
            for name, entry in zip(table.names, line.entries, strict=True):
                more = {name + key if key.startswith("_") else key: value for key, value in entry.more.items()}
                order[name] |= dict.fromkeys(more)
                row |= {name: entry.raw, **more}
            rows.append(row)
    columns = [column for name, more in order.items() for column in (name, *more)]
    return pd.DataFrame(rows, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")
