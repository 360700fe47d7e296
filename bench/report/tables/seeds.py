"""Means over seeds of a table that has a line a cell, and columns that say the same in every line.

The tables themselves stay as they are in CSV and JSON; pages show their means, with the seeds behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from equibench.quantities.text import MISSING, join, spread
from equibench.report.tables.cells import busy_mark
from equibench.report.tables.table import Entry, Line, Origin, Table
from equibench.stats import Stat

SEED = "seed"
# what a line is about, in words or as a setting that was chosen; the other columns hold what was found
ABOUT = ("entrant", "other", "mode", "batch_size", "name", "metric", "point", "setting", "measure", "quantity")
DIFFERS = "differs"


@dataclass(frozen=True)
class Means:
    """A table with a line for each group of seeds, and the lines behind each; none behind a line of its own."""

    table: Table
    seeds: tuple[tuple[Line, ...], ...]

    @property
    def averaged(self) -> bool:
        return any(self.seeds)


def means(table: Table) -> Means:
    """Lines that differ in nothing but the seed as one, by mean; a table without seeds as it is."""
    if SEED not in table.names:
        return Means(table, ((),) * len(table.lines))
    at = table.names.index(SEED)
    about = [i for i, name in enumerate(table.names) if name in ABOUT]
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in table.lines:
        key = (line.kind, line.family or "", line.span, *(line.entries[i].text for i in about))
        groups.setdefault(key, []).append(line)
    most = max((len(lines) for lines in groups.values()), default=1)
    shown = [_mean(lines, at, most) for lines in groups.values()]
    cut = tuple(_without(table.names, at)), tuple(_without(table.labels, at))
    seeds = tuple(tuple(_seed(line, at) for line in lines) if len(lines) > 1 else () for lines in groups.values())
    return Means(replace(table, names=cut[0], labels=cut[1], lines=tuple(shown)), seeds)


def _without(items: Sequence[object], at: int) -> list[str]:
    return [str(item) for i, item in enumerate(items) if i != at]


def _seed(line: Line, at: int) -> Line:
    """A line of one seed, named by it."""
    seed = replace(line.entries[at], text=f"seed {line.entries[at].text}", raw=f"seed {line.entries[at].raw}")
    return replace(line, entries=(seed, *line.entries[1:at], *line.entries[at + 1 :]))


def _mean(lines: list[Line], at: int, most: int) -> Line:
    """One line for all; its first entry says how many seeds there are where other lines have more."""
    columns = [[line.entries[i] for line in lines] for i in range(len(lines[0].entries)) if i != at]
    entries = [_merged(column) for column in columns]
    if len(lines) < most and lines[0].kind != "floor":
        seeds = f"seed {join([line.entries[at].text for line in lines])}"
        entries[0] = replace(entries[0], detail="; ".join(filter(None, [entries[0].detail, seeds])))
    return replace(lines[0], entries=tuple(entries))


def _merged(entries: list[Entry]) -> Entry:
    """The mean of numbers, over the seeds that have one; a text that all share, or that they differ."""
    first = entries[0]
    if len(entries) == 1:
        return first
    found = [entry for entry in entries if entry.is_number]
    of_one_seed = any(entry.more.keys() & {"_stderr", "_low"} for entry in entries)
    same_detail = first.detail if not of_one_seed and all(entry.detail == first.detail for entry in entries) else ""
    if not found:
        if all(entry.text == first.text for entry in entries):
            return replace(first, detail=same_detail)
        return Entry(DIFFERS if any(entry.raw is not None for entry in entries) else MISSING)
    if len({(entry.source.path, entry.source.how) for entry in found if entry.source}) > 1:
        return Entry(DIFFERS)
    stat = Stat(tuple(float(entry.raw) for entry in found if isinstance(entry.raw, int | float)))
    equal = all(entry.text == first.text for entry in entries)
    text = first.text if equal else spread(stat, found[0].scale, found[0].digits)
    mark = "" if same_detail else next(filter(None, map(busy_mark, found)), "")  # a mean of what not all are steady in
    missing = "" if len(found) == len(entries) else f"{len(found)} of {len(entries)} seeds"
    return Entry(
        text,
        stat.mean if stat.sd or not isinstance(found[0].raw, int) else found[0].raw,
        "; ".join(filter(None, [same_detail, mark, missing])),
        {"_sd": stat.sd} if len(found) > 1 else {},
        2 * sum(entry.strong for entry in entries) > len(entries),
        _source(found),
        found[0].scale,
        found[0].digits,
    )


def _source(found: list[Entry]) -> Origin | None:
    """The records of all; a value of each becomes a mean, anything else stays what it was made by."""
    origins = [entry.source for entry in found if entry.source]
    if not origins:
        return None
    records = tuple(record for origin in origins for record in origin.records)
    against = tuple(record for origin in origins for record in origin.against)
    how = "mean" if origins[0].how == "value" and len(records) > 1 else origins[0].how
    return origins[0]._replace(records=records, against=against, how=how)


def constants(table: Table, lines: Sequence[Line] | None = None) -> list[int]:
    """Columns, but the first, that say the same in all of `lines`, of which there are two or more: said once, they need
    no column.
    """
    lines = [line for line in (table.lines if lines is None else lines) if not line.span]
    if len(lines) < 2:
        return []
    return [
        i
        for i in range(1, len(table.names))
        if len({(line.entries[i].text, line.entries[i].detail, line.entries[i].strong) for line in lines}) == 1
    ]
