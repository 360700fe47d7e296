"""Records as a pandas frame: the one file of the reading wing that needs pandas."""

from __future__ import annotations

import re

import pandas as pd

from equibench.quantities import glossary
from equibench.quantities.identity import look_up
from equibench.quantities.numbers import numbers
from equibench.record.paths import value_at
from equibench.record.schema import Record, SampleMetric
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import order_key, setting_key

# what a cell is, and what its numbers cannot be read without; its numbers follow
ABOUT = (
    *("key", "suite", "entrant", "role", "family", "seed", "status", "reason"),
    *("data.name", "data.sha256", "data.n_train", "data.n_test"),
    *("budget.params", "budget.unit", "budget.amount", "machine.key", "code.commit", "code.dirty"),
    *("quality.metric", "quality.reference", "quality.features.name", "quality.features.weights_sha256"),
    *("likelihood.kind", "likelihood.dequantization", "likelihood.given", "memory.quantity"),
)
NUMBERS = tuple(quantity for quantity in glossary.GLOSSARY if "*" not in quantity.path and not quantity.derived)
COLUMNS = (*(path.replace(".", "_") for path in ABOUT), *(quantity.column for quantity in NUMBERS))


def load_frame(cells: list[FiledRecord], with_path: bool = False) -> pd.DataFrame:
    """A tidy frame, one row a cell, sorted by section and entrant; raw SI values, missing where not measured.

    Columns: `path` if asked for, `file`, `run` (its folder, where folders are compared), then COLUMNS, e.g.
    `spent_train_sec` for the record's `spent.train_sec`, then each member of a list or dictionary that any of the
    records has, e.g. `ways_mean_decoding_quality_value`. docs/frame.md lists them.
    """
    ordered = sorted(cells, key=lambda cell: (setting_key(cell), order_key(cell.record), cell.path.name))
    members = [_members(cell.record) for cell in ordered]
    more = dict.fromkeys(column for found in members for column in found)
    rows = [
        [cell.path.name, cell.run.label, *_values(cell.record), *map(found.get, more)]
        for cell, found in zip(ordered, members, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["file", "run", *COLUMNS, *more])
    if with_path:
        frame.insert(0, "path", [str(cell.path) for cell in ordered])
    return frame


def _values(record: Record) -> list[object]:
    numbers = (value_at(record, quantity.path) for quantity in NUMBERS)
    plain = [found.value if isinstance(found, SampleMetric) else found for found in numbers]
    return [*(value_at(record, path) for path in ABOUT), *plain]


def _members(record: Record) -> dict[str, float | None]:
    """Numbers of the members of lists and dictionaries, by column."""
    paths = (path for path in numbers(record) if "*" in glossary.of(path).path)
    return {re.sub(r"\W+", "_", path).strip("_"): look_up(record, path) for path in paths}
