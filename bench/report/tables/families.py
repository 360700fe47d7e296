"""Tables with a column a family: what each can do, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable

from equibench.record.schema import Record
from equibench.report.tables.table import Column, Entry, Table, fill_table, read_entry
from equibench.summary.sections import FiledRecord, Section


def entrants(section: Section) -> list[str]:
    """Entrants by name, each with what its family is called."""
    titles: dict[str, str] = {}
    for row in section.entrants:
        title = row.first.portrait.title if row.first.portrait else ""
        titles[row.label] = titles.get(row.label) or title
    return [f"{label} ({title})" if title else label for label, title in titles.items()]


def abilities(cells: list[FiledRecord]) -> Table:
    """What the families can do, as declared: a line an ability, a column a family."""
    return _by_family("abilities", "Ability", cells, "abilities")


def numbers(cells: list[FiledRecord]) -> Table:
    """What was measured of each family: a line a number, a column a family."""
    return _by_family("numbers", "Number", cells, "numbers")


def _by_family(name: str, label: str, cells: list[FiledRecord], part: str) -> Table:
    """A table with a line for each key of a portrait's dictionary and a column for each family."""
    found = [(cell.record, cell.record.portrait) for cell in cells]
    keys = dict.fromkeys(key for _, portrait in found for key in getattr(portrait, part))

    def of(record: Record) -> Callable[[str], Entry]:
        return lambda key: read_entry(record, f"portrait.{part}.{key}")

    columns: list[Column[str]] = [(label.lower(), label, lambda key: Entry(key.replace("_", " "), key))]
    columns += [(r.family or r.entrant, p.title, of(r)) for r, p in found if p]
    return fill_table(name, columns, list(keys), lambda _: None)
