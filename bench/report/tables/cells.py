"""Columns that all tables with a line a cell share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from equibench.quantities import glossary
from equibench.quantities.text import MISSING, number
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.report.tables.table import Column, Entry, Notes, Origin, read_entry
from equibench.summary.load import busy
from equibench.summary.sections import Row

CellRow = tuple[Row, Record]
UNSTEADY = "unsteady"


def of_row(row: Row) -> Entry:
    """Its name; CSV has the one that commands take."""
    return Entry(row.name, row.label)


RUN: list[Column[CellRow]] = [
    ("entrant", "Entrant", lambda run: of_row(run[0])),
    ("seed", "Seed", lambda run: read_entry(run[1], "seed")),
]


def marked_if_busy(entry: Entry, records: Sequence[Record], block: str, notes: Notes, row: Row | None = None) -> Entry:
    """The entry of a timing, with a mark and a footnote where the machine was not steady as one of `records`
    was timed in `block`, if in any. The footnote is of all records of `row`, where that is given: its seeds share one.
    """
    if not block or not entry.is_number or not any(busy(record, block) for record in records):
        return entry
    told = [cell.record for cell in row.cells] if row else records
    note = "; ".join(f"as seed {one.seed} was timed, {why}" for one in told if (why := busy(one, block)))
    mark = f"{UNSTEADY}{notes.mark(f'The machine was not steady, so this timing is not to be trusted: {note}.')}"
    return replace(entry, detail="; ".join(filter(None, [entry.detail, mark])), more={**entry.more, "_busy": note})


def busy_mark(entry: Entry) -> str:
    """The mark that `marked_if_busy` made; empty where it made none."""
    return next((part for part in entry.detail.split("; ") if part.startswith(UNSTEADY)), "")


def runs_of(rows: Sequence[Row]) -> list[CellRow]:
    return [(row, cell.record) for row in rows for cell in row.cells]


def measured(path: str, digits: int = 3, label: str = "") -> Column[CellRow]:
    """A column of a number, in the unit that tables show it in, under its own label or another."""
    quantity = glossary.of(path)

    def entry(run: CellRow) -> Entry:
        value = value_at(run[1], path)
        if value is None or not quantity.shown:
            return read_entry(run[1], path, digits)
        source = Origin((run[1],), path)
        return Entry(number(value / quantity.scale, digits), value, source=source, scale=quantity.scale, digits=digits)

    return path.rpartition(".")[2], quantity.heading(label), entry


def at(name: str, label: str, path: str) -> Column[CellRow]:
    """A column of what lies at a path of the record and is no measured number."""
    return name, label, lambda run: read_entry(run[1], path)


def hash_column(name: str, label: str, path: str) -> Column[CellRow]:
    """A column of hashes: cut short for people, whole in CSV."""

    def entry(run: CellRow) -> Entry:
        value = value_at(run[1], path)
        return Entry(value[:8], value, source=Origin((run[1],), path)) if value else Entry(MISSING)

    return name, label, entry
