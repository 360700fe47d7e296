"""What makes the distance, a row for each class of each entrant."""

from __future__ import annotations

from equibench.quantities.glossary import heading
from equibench.quantities.text import MISSING
from equibench.report.tables.cells import of_row
from equibench.report.tables.headline import origin_of
from equibench.report.tables.table import Column, Entry, Table, fill_table, stat_entry
from equibench.summary.distance import SHARES, ClassParts, classes, path_of
from equibench.summary.sections import Row, Section

Item = tuple[Row, ClassParts]


def distance(section: Section) -> Table:
    """Shares by class: of the distance, the test images, the samples, and of the class's images that samples come near;
    those of real data stand below the entrants'.
    """
    rows = [*section.ran, *section.references]
    items = [(row, found) for row in rows for found in classes(row)]
    columns: list[Column[Item]] = [
        ("entrant", "Entrant", lambda item: of_row(item[0])),
        ("class", "Class", lambda item: Entry(item[1].name, item[1].name)),
    ]
    columns += [_share(share) for share in SHARES]
    return fill_table("distance", columns, items, lambda item: item[0].first)


def share_entry(row: Row, share: str, name: str) -> Entry:
    """One share of the class `name`, in percent."""
    path = path_of(share, name)
    stat = row.stat(path)
    return stat_entry(stat, origin_of(row, path), 0.01, digits=2) if stat else Entry(MISSING)


def _share(share: str) -> Column[Item]:
    return share.removesuffix("s"), heading(path_of(share, "*")), lambda item: share_entry(item[0], share, item[1].name)
