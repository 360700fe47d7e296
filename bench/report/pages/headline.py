"""The headline table as a page shows it: columns in groups, each entrant with its other ways to sample, and floors in a
table of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from equibench.quantities.text import amount
from equibench.report.pages.heads import Head, heads
from equibench.report.pages.view import Body, Format, ShownCell, ShownLine, View, pick, shown_line
from equibench.report.tables.cells import busy_mark
from equibench.report.tables.table import Line, Table

OWN_TABLE = ("n_seeds", "params", "train_flops")  # equal by the rules, or nearly: said once
NO_BARS = "Likelihood"  # zero bits say nothing
SHORT = {
    "entrant": "Entrant, way of sampling",
    "recall": "Recall",
    "images_per_sec": "Speed",
    "latency": "Latency",
    "train_peak": "Train",
    "sample_peak": "Sample",
    "train_sec": "Time",
}
OF_THE_MODEL = ("Likelihood", "Training")  # the same, whichever way it is sampled


@dataclass(frozen=True)
class HeadlineView:
    """The table of entrants, what is said once of all, and the floors."""

    view: View
    groups: list[tuple[str, int]]  # with the number of their columns
    starts: list[bool]  # whether a column is the first of its group
    budget: list[tuple[str, str]]
    floors: Table | None
    failed: list[Line]


def headline_view(table: Table) -> HeadlineView:
    """The headline of one section."""
    ran = replace(table, lines=tuple(line for line in table.lines if line.kind == "entrant"))
    floors = replace(table, lines=tuple(line for line in table.lines if line.kind == "floor"))
    empty = [i for i in range(len(ran.names)) if not any(line.entries[i].text for line in ran.lines)]
    once = [i for i, name in enumerate(ran.names) if name in OWN_TABLE]
    keep = [i for i in range(len(ran.names)) if i not in (*once, *(empty if ran.lines else []))]
    kept, every = pick(ran, keep), [_short_head(head) for head in heads(ran)]
    kinds = dict.fromkeys(
        str(kind) for line in ran.lines for entry in line.entries if (kind := entry.more.get("_kind"))
    )
    kept = replace(kept, lines=tuple(_without_kinds(line) for line in kept.lines))
    columns = [Format(kept, i, bars=kept.groups[i] != NO_BARS) for i in range(len(keep))]
    bodies = []
    for group in _by_entrant(kept.lines):
        lines = [shown_line(line, columns) for line in group]
        bodies.append(Body("entrant", tuple(_spanning(lines, kept.groups, kept.names))))
    # a detail that all cells of a column share is not repeated in them, so that the head keeps the mark of a timing
    details = [busy_mark(column.numbers[0]) if column.detail else "" for column in columns]
    if len(kinds) == 1 and "bits_per_dim" in kept.names:
        details[kept.names.index("bits_per_dim")] = next(iter(kinds))
    shown = View(
        kept, [_with_detail(every[i], c.detail) for i, c in zip(keep, columns, strict=True)], details, bodies, [], False
    )
    groups = [(name, len(list(found))) for name, found in groupby(kept.groups)]
    starts = [i > 0 and name != kept.groups[i - 1] for i, name in enumerate(kept.groups)]
    failed = [line for line in table.lines if line.kind == "failed"]
    return HeadlineView(shown, groups, starts, _once(ran, once), _floors(floors), failed)


def _short_head(head: Head) -> Head:
    """A head as short as its group allows; what it leaves out stands in its meaning."""
    label = next((label for name, label in SHORT.items() if head.name.startswith(name)), head.label)
    left = head.label.partition(" (")[2].rstrip(")")
    if label == head.label and left:
        label = head.label.partition(" (")[0]
    sentence = f"{head.meaning} {left[0].upper()}{left[1:]}." if left else head.meaning
    return replace(head, label=label, meaning=sentence)


def _with_detail(head: Head, detail: str) -> Head:
    return replace(head, meaning=f"{head.meaning} {detail[0].upper()}{detail[1:]}.") if detail else head


def _without_kinds(line: Line) -> Line:
    """Kinds of bits/dim are told by a sign before the number, and by the number itself."""
    return replace(line, entries=tuple(replace(e, detail="") if e.more.get("_kind") else e for e in line.entries))


def _by_entrant(lines: Sequence[Line]) -> list[list[Line]]:
    found: list[list[Line]] = []
    for line in lines:
        if line.way and found:
            found[-1].append(line)
        else:
            found.append([line])
    return found


def _spanning(lines: list[ShownLine], groups: Sequence[str], names: Sequence[str]) -> list[ShownLine]:
    """The lines with the cells of the model as such over all of them."""
    if len(lines) == 1:
        return lines
    over = [i for i, name in enumerate(names) if groups[i] in OF_THE_MODEL or name.startswith("train_")]
    columns: list[list[ShownCell | None]] = [list(shown.cells) for shown in lines]
    for i in over:
        first = columns[0][i]
        if first is not None and not any(cells[i] and cells[i].value for cells in columns[1:]):  # type: ignore[union-attr]
            columns[0][i] = replace(first, rows=len(lines))
            for cells in columns[1:]:
                cells[i] = None
    return [ShownLine(shown.line, tuple(cells)) for shown, cells in zip(lines, columns, strict=True)]


def _once(table: Table, columns: Sequence[int]) -> list[tuple[str, str]]:
    """From the least to the most in each of these columns, in words."""
    found = []
    for head, i in ((heads(table)[i], i) for i in columns):
        values = [line.entries[i] for line in table.lines if line.entries[i].is_number]
        if values:
            shown = [entry.raw / entry.scale for entry in values if isinstance(entry.raw, int | float)]
            low, high = amount(min(shown)), amount(max(shown))
            text = low if low == high else f"{low} to {high}"
            found.append((head.label, " ".join(filter(None, [text, head.unit]))))
    return found


def _floors(table: Table) -> Table | None:
    if not table.lines:
        return None
    empty = [i for i in range(len(table.names)) if not any(line.entries[i].text for line in table.lines)]
    return replace(pick(table, [i for i in range(len(table.names)) if i not in empty]), name="floors", groups=())


def short(table: Table) -> Table:
    """The headline without what is equal by the rules, or nearly, and without small print on memory."""
    found = pick(table, [i for i, name in enumerate(table.names) if name not in OWN_TABLE])
    peaks = [i for i, name in enumerate(found.names) if "_peak_bytes" in name]
    labels = tuple(re.sub(r" \(.*?\)", "", one) if i in peaks else one for i, one in enumerate(found.labels))
    lines = tuple(
        replace(line, entries=tuple(replace(e, detail="") if i in peaks else e for i, e in enumerate(line.entries)))
        for line in found.lines
    )
    return replace(found, labels=labels if len(peaks) <= 2 else found.labels, lines=lines)
