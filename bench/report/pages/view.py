"""What a page shows of a table: means over seeds with the seeds behind them, decimals that align, bars, and what never
varies said once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from equibench.quantities.text import MISSING, decimals_of, fixed, fixed_spread
from equibench.report.pages.heads import Head, heads, quantity_of
from equibench.report.tables.seeds import constants, means
from equibench.report.tables.table import Entry, Line, Table

KINDS = ("entrant", "floor", "failed")


@dataclass(frozen=True)
class ShownCell:
    """One cell as it is shown: the value, and its spread in a slot as wide as the column's widest."""

    entry: Entry
    value: str
    spread: str = ""
    detail: str = ""
    slot: int = 0  # characters
    bar: float | None = None  # length in percent of the column's largest, from zero
    rows: int = 1


@dataclass(frozen=True)
class ShownLine:
    """One line as it is shown; `cells` holds None where a cell of the line before stands for this one too."""

    line: Line
    cells: tuple[ShownCell | None, ...]


@dataclass(frozen=True)
class Body:
    """Lines that stay together when a table is sorted: an entrant with its other ways to sample, and its seeds."""

    kind: str
    lines: tuple[ShownLine, ...]
    seeds: tuple[ShownLine, ...] = ()


@dataclass(frozen=True)
class View:
    """A table as a page shows it."""

    table: Table
    heads: list[Head]
    details: list[str]  # of each column: the small print that all its cells share
    bodies: list[Body]
    said: list[tuple[Head, Entry]]  # columns that never vary
    averaged: bool


def view(table: Table, most: int) -> View:
    """Any table, at most so many lines of each kind."""
    found = means(table)
    cut = constants(found.table)
    keep = [i for i in range(len(found.table.names)) if i not in cut]
    every = heads(found.table)
    said = [(every[i], _first(found.table, i)) for i in cut if _first(found.table, i).text not in ("", MISSING)]
    kept = pick(found.table, keep)
    columns = [Format(kept, i) for i in range(len(keep))]
    bodies = []
    for kind in KINDS:
        of_kind = [(line, seeds) for line, seeds in zip(kept.lines, found.seeds, strict=True) if line.kind == kind]
        for line, seeds in of_kind[:most]:
            behind = tuple(shown_line(_pick_line(seed, keep), columns, plain=True) for seed in seeds)
            bodies.append(Body(kind, (shown_line(line, columns),), behind))
    return View(kept, [every[i] for i in keep], [c.detail for c in columns], bodies, said, found.averaged)


def pick(table: Table, keep: Sequence[int]) -> Table:
    """The table with some of its columns."""
    lines = tuple(_pick_line(line, keep) for line in table.lines)
    groups = tuple(table.groups[i] for i in keep) if table.groups else ()
    names, labels = tuple(table.names[i] for i in keep), tuple(table.labels[i] for i in keep)
    return replace(table, names=names, labels=labels, lines=lines, groups=groups)


def _pick_line(line: Line, keep: Sequence[int]) -> Line:
    return replace(line, entries=tuple(line.entries[i] for i in keep))


def _first(table: Table, i: int) -> Entry:
    return next(line.entries[i] for line in table.lines if not line.span)


class Format:
    """How the cells of one column are shown, so that their decimals stand below each other."""

    def __init__(self, table: Table, i: int, bars: bool = False) -> None:
        entries = [line.entries[i] for line in table.lines if not line.span]
        self.numbers = [entry for entry in entries if entry.is_number]
        chances = any(entry.source and entry.source.how.startswith("p ") for entry in self.numbers)
        self.aligned = bool(self.numbers) and not chances and quantity_of(table, i) is not None
        shown = [_scaled(entry) for entry in self.numbers]
        whole = all(value == int(value) for value in shown if math.isfinite(value)) and not any(map(_sd, self.numbers))
        most = max((entry.digits for entry in self.numbers), default=3)
        self.decimals = 0 if whole else decimals_of(shown, most)
        details = {entry.detail for entry in self.numbers}
        self.detail = details.pop() if len(details) == 1 and len(self.numbers) > 1 and i else ""
        self.largest = max(map(abs, shown), default=0.0) if bars and min(shown, default=0.0) >= 0 else 0.0
        self.slot = max((len(self.spread(entry)) for entry in self.numbers), default=0) if self.aligned else 0

    def spread(self, entry: Entry) -> str:
        sd = _sd(entry)
        return f"±{fixed_spread(sd / entry.scale, self.decimals)}" if sd else ""

    def cell(self, entry: Entry, plain: bool = False) -> ShownCell:
        detail = "" if entry.detail == self.detail else entry.detail
        if not (entry.is_number and self.aligned):
            return ShownCell(entry, entry.text, detail=detail, slot=self.slot if self.aligned else 0)
        value = _scaled(entry)
        bar = None if plain or not self.largest else 100 * value / self.largest
        bound = str(entry.more.get("_kind") or "").startswith("upper bound") or bool(entry.more.get("_at_most"))
        mark = "≤" if bound else ""
        return ShownCell(entry, mark + fixed(value, self.decimals), self.spread(entry), detail, self.slot, bar)


def _sd(entry: Entry) -> float:
    sd = entry.more.get("_sd")
    return sd if isinstance(sd, int | float) else 0.0


def _scaled(entry: Entry) -> float:
    assert isinstance(entry.raw, int | float)
    return entry.raw / entry.scale


def shown_line(line: Line, columns: Sequence[Format], plain: bool = False) -> ShownLine:
    entries = line.entries[:2] if line.span else line.entries
    return ShownLine(line, tuple(column.cell(entry, plain) for column, entry in zip(columns, entries, strict=False)))
