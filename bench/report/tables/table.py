"""Tables as such: entries, lines, columns and footnotes, filled from items.

Each entry keeps its raw SI value beside its text, and the place in the records that the value was read from: pages
show the text, CSV and JSON hold the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

from equibench.quantities.text import MISSING, number, spread, superscript
from equibench.record.base import Scalar
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.sections import failed

T = TypeVar("T")


How = Literal[
    "value",
    "mean",
    "count",
    "difference of means",
    "ratio of geometric means",
    "p (Holm)",
    "length",
    "ratio",  # to the value at `over`
    "utilisation",  # the same, over the fastest of `matrix_products`
    "share of the parts",
    "standard deviation",
    "root mean square",
    "highest",
    "interpolated to the target",  # at which a training's distance first was: between two points of it
    "training noise",  # root of the difference of the squares of the two above
    # of a law over several budgets (summary/laws.py), and of two entrants' means along them
    "fitted exponent",
    "fitted factor",
    "fitted floor",
    "fitted value",
    "deviation of a law",
    "p (a floor)",
    "p (lack of fit, Holm)",
    "count of budgets",
    "count of seeds",
    "crossing of means",
]


class Origin(NamedTuple):
    """Where a number came from: `how` says what was made of the values at `path` of `records`, and of `against`."""

    records: tuple[Record, ...]
    path: str  # as `record.paths.value_at` reads it
    how: How = "value"
    against: tuple[Record, ...] = ()  # the other side of a difference
    over: str = ""  # path of the divisor of a ratio


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str = ""
    raw: Scalar = None
    detail: str = ""  # small print: a kind, a share
    # Further CSV columns; "_sd" stands for this one's name + "_sd".
    more: Mapping[str, Scalar] = field(default_factory=dict)
    strong: bool = False
    source: Origin | None = None  # every number has one
    scale: float = 1  # how much of the raw unit the shown unit is
    digits: int = 3  # significant digits of the text

    @property
    def is_number(self) -> bool:
        return isinstance(self.raw, int | float) and not isinstance(self.raw, bool)


@dataclass(frozen=True)
class Line:
    """One row of a table. `span`, where given, stands in place of all but the first two entries; `way`, where given, is
    another way to sample the model of the line before.
    """

    entries: tuple[Entry, ...]
    kind: Literal["entrant", "floor", "failed"] = "entrant"
    family: str | None = None
    span: str = ""
    way: str = ""


@dataclass(frozen=True)
class Table:
    """`names` are the CSV columns, with their unit; `labels` are for people, with the unit shown."""

    name: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()  # footnotes, from 1
    groups: tuple[str, ...] = ()  # what each column is about, where they are grouped

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and are set flush right."""
        columns = zip(*(line.entries for line in self.lines), strict=True)
        return [any(entry.is_number for entry in column) for column in columns] or [False] * len(self.names)


# A column: its CSV name, its label, and how it is filled from an item of the table.
Column = tuple[str, str, Callable[[T], Entry]]


class Notes(list[str]):
    """Footnotes of one table; equal ones share a number."""

    def mark(self, why: str) -> str:
        """The number of the footnote, raised."""
        if why not in self:
            self.append(why)
        return superscript(self.index(why) + 1)

    def missing(self, why: str, text: str = MISSING) -> Entry:
        return Entry(text + self.mark(why))


def value_entry(value: Any, digits: int = 3, source: Origin | None = None) -> Entry:
    """A value as it is; a dash without one."""
    if value is None:
        return Entry(MISSING)
    plain = isinstance(value, str | bool)
    return Entry(str(value) if plain else number(value, digits), value, source=source, digits=digits)


def read_entry(record: Record, path: str, digits: int = 3) -> Entry:
    """The value at a path of one record."""
    return value_entry(value_at(record, path), digits, Origin((record,), path))


def stat_entry(
    stat: Stat, source: Origin, unit: float = 1, digits: int = 3, detail: str = "", strong: bool = False
) -> Entry:
    """A number over seeds, its spread a further CSV column."""
    return Entry(spread(stat, unit, digits), stat.mean, detail, {"_sd": stat.sd}, strong, source, unit, digits)


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
