"""The distance of the same samples in every feature space that they were measured in."""

from __future__ import annotations

from equibench.quantities.glossary import heading
from equibench.quantities.text import number, slug
from equibench.report.tables.cells import RUN, CellRow, runs_of
from equibench.report.tables.table import Column, Entry, Notes, Origin, Table, fill_table
from equibench.summary.sections import Section
from equibench.summary.spaces import FeatureSpace, spaces_of


def spaces(section: Section) -> Table:
    """A row a cell and a column a space, the headline's first; empty where all was measured in one space."""
    found, notes = spaces_of(section), Notes()

    def column(space: FeatureSpace, name: str) -> Column[CellRow]:
        return slug(name), heading("quality.value", name), lambda run: _distance(run, space, notes)

    columns = [*RUN, *(column(space, name) for space, name in found.items())]
    rows = [row for row in (*section.ran, *section.references) if any(space.stat(row) for space in found)]
    return fill_table("spaces", columns, runs_of(rows), lambda run: run[1], notes)


def _distance(run: CellRow, space: FeatureSpace, notes: Notes) -> Entry:
    record = run[1]
    quality = space.quality(record)
    if quality is None:
        failed = record.failures.get(space.place.replace("spaces.", "spaces, "))
        return notes.missing(failed or "Not measured in this feature space.")
    if quality.value is None:
        return notes.missing(quality.reason or "Not measured.")
    between = quality.interval
    text = f"{number(between.low, 4)} to {number(between.high, 4)}" if between else ""
    ends = {"_low": between.low, "_high": between.high} if between else {"_low": None, "_high": None}
    return Entry(number(quality.value, 4), quality.value, text, ends, source=Origin((record,), space.path), digits=4)
