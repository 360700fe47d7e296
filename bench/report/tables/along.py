"""Tables of quality along training: every point, and what each entrant took to come to where another one ended."""

from __future__ import annotations

from typing import Any, NamedTuple

from equibench.quantities.glossary import BITS, RECALL, heading
from equibench.quantities.metric import Metric, bits_kind, metric_names, metric_of
from equibench.quantities.text import MISSING, join, number, spread
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.report.tables.cells import marked_if_busy, of_row
from equibench.report.tables.headline import name_entry, origin_of
from equibench.report.tables.table import Column, Entry, Notes, Origin, Table, fill_table, stat_entry, value_entry
from equibench.stats import Stat
from equibench.summary.along import UNITS, Unit, labels, metrics, spending, target_of
from equibench.summary.sections import Row, Section

AtPoint = tuple[Row, str]  # with the point's label


def along(section: Section) -> Table:
    """Every point of the trainings, a line an entrant and point, mean over seeds."""
    notes = Notes()

    def measured(name: str, path: str, digits: int = 3, busy_block: str = "") -> Column[AtPoint]:
        def entry(item: AtPoint) -> Entry:
            row, label = item
            at = f"along.{label}.{path}"
            stat = row.stat(at)
            if stat is None:
                return notes.missing(_why(row, label, path))
            shown = stat_entry(stat, origin_of(row, at), digits=digits)
            return marked_if_busy(shown, row.having(at), busy_block, notes) if busy_block else shown

        return name, heading(f"along.*.{path.removesuffix('.value') if 'also' in path else path}"), entry

    columns: list[Column[AtPoint]] = [
        ("entrant", "Entrant", lambda item: name_entry(item[0])),
        ("point", "Point", lambda item: value_entry(item[1])),
        measured("updates", "updates"),
        measured("images", "images"),
        measured("flops", "flops"),
        measured("train_sec", "train_sec", busy_block="train"),
        ("metric", "Metric", _metric),
        measured("distance", "quality.value", digits=4),
        measured("recall", RECALL),
        measured("bits_per_dim", BITS, digits=4),
        ("kind", "Kind", _kind),
        ("likelihood_images", "of test images", _likelihood_images),
    ]
    items = [(row, label) for row in section.ran for label in labels(row)]
    return fill_table("along", columns, items, lambda item: item[0].first, notes)


class Race(NamedTuple):
    """A row on its way to the distance at which the trainings of another one ended."""

    metric: Metric
    name: str
    ended: Row
    target: float
    row: Row


def to_target(section: Section) -> Table:
    """What each entrant took to come to the distance at which each one's training ended, the highest distance first: to
    that all come.
    """
    notes = Notes()
    races: list[Race] = []
    for metric, name in metric_names(metrics(section)).items():
        targets = [(target, row) for row in section.ran if (target := target_of(row, metric)) is not None]
        for target, ended in sorted(targets, key=lambda one: -one[0]):
            races += [Race(metric, name, ended, target, row) for _, row in targets]

    def spent(unit: Unit) -> Column[Race]:
        return unit, heading(f"along.*.{unit}"), lambda race: _spent(race, unit, notes)

    columns: list[Column[Race]] = [
        ("entrant", "Entrant", lambda race: name_entry(race.row)),
        ("ended", "To where it ended", lambda race: of_row(race.ended)),
        ("metric", "Metric", lambda race: value_entry(race.name)),
        ("target", "Distance", _target),
        *map(spent, UNITS),
    ]
    return fill_table("to_target", columns, races, lambda race: race.row.first, notes)


def _spent(race: Race, unit: Unit, notes: Notes) -> Entry:
    """Mean over seeds, each by interpolation."""
    records = [cell.record for cell in race.row.cells]
    found = {record.seed: spending(record, race.metric, unit, race.target) for record in records}
    never = [str(seed) for seed, one in found.items() if one is None]
    if never:
        who = "" if len(never) == len(found) else f" by seed {join(never)}"
        return Entry(f"not reached{who}")
    known = [one for one in found.values() if one is not None]
    stat, at_most = Stat(tuple(one.cost for one in known)), any(one.at_most for one in known)
    # the spread is of what was interpolated, and of no number of the records
    more = {"_sd_over_seeds": stat.sd, "_at_most": at_most}
    source = Origin(tuple(records), f"along.{labels(race.row)[-1]}.{unit}", "interpolated to the target")
    entry = Entry(f"{'≤ ' if at_most else ''}{spread(stat)}", stat.mean, more=more, source=source)
    return marked_if_busy(entry, records, "train", notes) if unit == "train_sec" else entry


def _target(race: Race) -> Entry:
    ends = tuple(cell.record for cell in race.ended.cells)
    path = f"along.{labels(race.ended)[-1]}.quality.value"
    return Entry(number(race.target, 4), race.target, source=Origin(ends, path, "highest"), digits=4)


def _metric(item: AtPoint) -> Entry:
    quality = _first(item, "quality")
    metric = metric_of(quality) if quality else None
    return value_entry(metric_names([metric])[metric] if metric else None)


def _first(item: AtPoint, part: str) -> Any:
    """The part of the point of the first seed that has it."""
    row, label = item
    return next((found for cell in row.cells if (found := value_at(cell.record, f"along.{label}.{part}"))), None)


def _kind(item: AtPoint) -> Entry:
    found = _first(item, "likelihood")
    return value_entry(bits_kind(found) if found and found.bits_per_dim is not None else None)


def _likelihood_images(item: AtPoint) -> Entry:
    row, label = item
    path = f"along.{label}.likelihood.n_images"
    having: tuple[Record, ...] = row.having(path)[:1]
    n = value_at(having[0], path) if having else None
    return value_entry(n, source=Origin(having, path)) if n else Entry(MISSING)


def _why(row: Row, label: str, path: str) -> str:
    """Why no seed of the row has the number at that point."""
    for cell in row.cells:
        parent = value_at(cell.record, f"along.{label}.{path.removesuffix('.value').rpartition('.')[0]}")
        for part in (value_at(cell.record, f"along.{label}.{path.removesuffix('.value')}"), parent):
            if reason := getattr(part, "reason", None):
                return str(reason)
        if reason := value_at(cell.record, f"along.{label}.reason"):
            return str(reason)
    return "Not measured."
