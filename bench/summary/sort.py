"""Records to sections: cells sorted into those that may be compared, in a fixed order.

The sections are what tables and plots read. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from equibench.errors import UserError
from equibench.hashing import digest
from equibench.quantities.glossary import BITS
from equibench.quantities.identity import FIELDS, MADE_BY, config_words, identity
from equibench.record import find
from equibench.record.base import Scalar
from equibench.record.budget import kept_budget
from equibench.record.paths import member_names, value_at
from equibench.record.schema import Budget, Record
from equibench.summary.sections import FiledRecord, Folder, Row, Section, failed
from equibench_models import FAMILIES

ORDER = {family: place for place, family in enumerate(FAMILIES)}  # of every table and figure


def summarise(cells: list[FiledRecord]) -> list[Section]:
    """Sort `cells` into sections of comparable rows, in an order that does not depend on the file system.

    Raises UserError if one seed of an entrant would be counted twice.
    """
    entrants = [cell for cell in cells if cell.record.role == "entrant"]
    floors = [cell for cell in cells if cell.record.role == "floor"]
    data = {cell.record.data.sha256 for cell in entrants}
    alone = [cell for cell in floors if cell.record.data.sha256 not in data]
    settings: dict[tuple[Any, ...], list[FiledRecord]] = {}
    budgets = {_place(cell) for cell in entrants if cell.record.budget}
    loaded = [cell for cell in entrants if not cell.record.budget and _place(cell) in budgets]
    trained = [cell for cell in entrants if cell.record.budget or _place(cell) not in budgets]
    for cell in (*trained, *alone):
        settings.setdefault(setting_key(cell), []).append(cell)
    sections: list[Section] = []
    for _, here in sorted(settings.items(), key=lambda item: item[0]):
        example = here[0].record
        # A floor is a property of the data, measured anywhere: it joins every section of its data, once, that of the
        # section's own run before others.
        same_data = [cell for cell in floors if cell.record.data.sha256 == example.data.sha256]
        far = sorted(same_data, key=lambda cell: (cell.run != here[0].run, _path(cell)), reverse=True)
        own = {(c.record.entrant, c.record.seed, digest(ways(c.record))): c for c in far}
        beside = [cell for cell in loaded if _place(cell) == _place(here[0])]
        entering = [cell for cell in (*here, *beside) if cell.record.role == "entrant"]
        rows = _rows(entering), _rows(sorted(own.values(), key=_path))
        letter = _letter(len(sections))
        sections.append(Section(example.data, example.budget, example.machine, *rows, here[0].run, letter))
    return sections


def load_cells(paths: list[Path]) -> list[FiledRecord]:
    """The records in files and folders. Where two folders hold the same cell, each folder is a run of its own, labelled
    by the end of its path that sets it apart; else all are pooled.

    Raises UserError as `find.read_all` does.
    """
    once = {path.resolve(): path for path in reversed(paths)}
    cells = [FiledRecord(path, found) for path, found in find.read_all(list(once.values()))]
    cells = list({cell.path.resolve(): cell for cell in cells}.values())
    seen: dict[tuple[Any, ...], list[FiledRecord]] = {}
    for cell in cells:
        found = cell.record
        same = seen.setdefault((setting_key(cell), found.entrant, found.seed, digest(found.config), found.role), [])
        if found.role == "entrant" and any(
            one.path.parent != cell.path.parent and _alike(ways(one.record), ways(found)) for one in same
        ):
            break
        same.append(cell)
    else:
        return cells
    folders = [path.resolve() if path.is_dir() else path.resolve().parent for path in paths]
    runs = {folder: Folder(i, label) for i, (folder, label) in enumerate(_labels(list(dict.fromkeys(folders))).items())}
    return [replace(cell, run=runs[cell.path.resolve().parent]) for cell in cells]


def _labels(folders: list[Path]) -> dict[Path, str]:
    """The shortest end of each path that no other has."""
    found = {}
    for folder in folders:
        others = [other.parts for other in folders if other != folder]
        n = next((n for n in range(1, len(folder.parts)) if all(o[-n:] != folder.parts[-n:] for o in others)), 1)
        found[folder] = "/".join(folder.parts[-n:])
    return found


def _letter(index: int) -> str:
    """A to Z, then AA, AB and so on."""
    head, last = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)


def portraits(sections: list[Section]) -> list[FiledRecord]:
    """The cell that shows each family: its first one that has a portrait, of those that were trained if any was, and of
    the largest budget in FLOPs.
    """

    def order(place: tuple[Section, Row]) -> tuple[bool, float]:
        budget = place[0].budget
        return place[1].loaded, -budget.amount if budget and budget.unit == "flops" else 0.0

    found: dict[str, FiledRecord] = {}
    for _, row in sorted(((section, row) for section in sections for row in section.ran), key=order):
        for cell in row.cells:
            if cell.record.portrait:
                found.setdefault(cell.record.family or cell.record.entrant, cell)
    return sorted(found.values(), key=lambda cell: order_key(cell.record))


def _rows(cells: list[FiledRecord]) -> tuple[Row, ...]:
    """Group cells that differ in the seed alone; those that failed join where they failed for the same reason. A seed
    that lacks a number, whose stage failed say, goes with the first row that it differs from in nothing it has.
    """
    named: dict[str, list[Record]] = {}
    for cell in cells:
        named.setdefault(cell.record.entrant, []).append(cell.record)
    groups: dict[tuple[str, ...], list[_Group]] = {}
    for cell in sorted(cells, key=lambda cell: (order_key(cell.record), cell.path.name)):
        record = cell.record
        alike = groups.setdefault(_likeness(record, named[record.entrant]), [])
        how = ways(record)
        group = next((group for group in alike if _alike(group.how, how)), None)
        if group is None:
            group = _Group({}, {})
            alike.append(group)
        if record.seed in group.cells:
            raise UserError(
                f"{record.entrant} with seed {record.seed} is in both {group.cells[record.seed].path.name} and "
                f"{cell.path.name}; move one away or report them apart, as a seed counts once"
            )
        group.cells[record.seed] = cell
        group.how.update(how)
    rows = [
        Row(key[0] + _apart(group, alike), tuple(group.cells.values()))
        for key, alike in groups.items()
        for group in alike
    ]
    return tuple(sorted(rows, key=lambda row: (row.failed, row.loaded)))


class _Group(NamedTuple):
    """Cells of one row, by seed, and how their numbers were measured."""

    cells: dict[int, FiledRecord]
    how: Ways


def _likeness(record: Record, others: list[Record]) -> tuple[str, ...]:
    """What cells of one row share, beside how they were measured."""
    reason = record.reason or "" if failed(record) else ""
    made = identity(record, "seed")  # a number that nothing but the model could move
    return (_label(record, others), _standing(record), reason, digest([made.get(field) for field in MADE_BY]))


def _alike(one: Ways, other: Ways) -> bool:
    """Whether what two cells both have was measured in the same way."""
    return all(one[part] == other[part] for part in one.keys() & other.keys())


def _apart(group: _Group, alike: list[_Group]) -> str:
    """What sets a row apart from others of one label: how its numbers were measured, as the end of that label."""
    found: dict[str, None] = {}
    for part, fields in group.how.items():
        others = [other.how[part] for other in alike if part in other.how]
        for field in dict.fromkeys(key for other in others for key in {**fields, **other}):
            if len({other.get(field) for other in others}) > 1:
                found[f", {FIELDS[field][0]} {fields.get(field, 'none')}"] = None
    return "".join(found)


def _label(record: Record, others: list[Record]) -> str:
    """The entrant's name, with what sets its settings apart where one name has several.

    A cell that failed early knows few of its settings: what it does not know does not differ.
    """
    mine = _settings(record)
    differing = {key for other in others for key, value in _settings(other).items() if mine.get(key, value) != value}
    return ", ".join([record.entrant, *(f"{key}={mine[key]}" for key in sorted(differing))])


def _settings(record: Record) -> dict[str, Scalar]:
    return record.config | (record.quality.options if record.quality else {})


def _standing(record: Record) -> str:
    """What sets a row apart: the numbers of a cell with a failed stage count with the other seeds, those of one that
    missed its budget do not.
    """
    return record.status if failed(record) else "ok" if kept_budget(record) else "budget missed"


Ways = dict[str, dict[str, str]]  # path of a number -> its identity
# a number of each part of a record, which stands for the others that were measured with it
PARTS = (
    *("quality.value", "quality.corrected", "quality.memorization.share_nearer_train", BITS),
    *("decoder_likelihood.log_likelihood_nats", "speed.images_per_sec", "speed.latency_p50_sec"),
    *("memory.train_peak_bytes", "memory.sample_peak_bytes"),
)


def ways(record: Record) -> Ways:
    """How each part of a record was measured: numbers got in different ways are not averaged. A part that was not
    measured is left out.
    """
    members = (
        *(f"bounds.{name}.bits_per_dim" for name in member_names(record.bounds)),
        *(f"out_of_distribution_bits_per_dim.{kind}" for kind in record.out_of_distribution_bits_per_dim),
        *(f"sampler_points.{name}.images_per_sec" for name in member_names(record.sampler_points)),
        *(f"sampler_points.{name}.quality.value" for name in member_names(record.sampler_points)),
        *(f"spaces.{name}.quality.value" for name in member_names(record.spaces)),
        *(f"along.{name}.quality.value" for name in member_names(record.along)),
        *(f"along.{name}.{BITS}" for name in member_names(record.along)),
        *(f"ways.{name}.images_per_sec" for name in member_names(record.ways)),
        *(f"ways.{name}.quality.value" for name in member_names(record.ways)),
    )
    there = [path for path in (*PARTS, *members) if value_at(record, path.rpartition(".")[0]) is not None]
    return {path: identity(record, path) for path in there}


def setting_key(cell: FiledRecord) -> tuple[Any, ...]:
    record = cell.record
    caps = (record.budget.params, record.budget.unit, record.budget.amount) if record.budget else (0, "", 0.0)
    return (record.data.name, record.data.sha256, *caps, record.machine.key, cell.run)


def _place(cell: FiledRecord) -> tuple[Any, ...]:
    """Where a cell was measured: what was loaded stands beside all that was trained there, whatever the budget."""
    return (cell.record.data.sha256, cell.record.machine.key, cell.run)


def order_key(record: Record) -> tuple[int, int, str, str, int]:
    family = ORDER.get(record.family or "", len(ORDER))
    return (record.role == "floor", family, record.entrant, digest(record.config), record.seed)


def _path(cell: FiledRecord) -> tuple[str, str]:
    return (cell.path.name, str(cell.path))


class RowKey(NamedTuple):
    """What a row of the baseline and one of the run have in common."""

    data: str
    budget: Budget | None
    role: str
    entrant: str

    def __str__(self) -> str:
        return self.entrant


def rows(records: Sequence[Record], whose: str) -> Rows:
    """Records by row and seed, in a fixed order. A floor that several runs have measured alike counts once. Raises
    UserError if a seed of a row is there twice.
    """
    found: Rows = {}
    for one in sorted(records, key=lambda r: (r.role == "floor", r.entrant, r.seed, r.key)):
        row = found.setdefault(RowKey(one.data.name, one.budget, one.role, one.entrant), {})
        if one.seed in row:
            there = row[one.seed]
            if _same_floor(one, there):
                continue
            words = config_words(there, one)
            apart = f" of other configs ({words[0]}; {words[1]})" if any(words) else ""
            raise UserError(
                f"there are two records of {one.entrant} with seed {one.seed}{apart} in {whose} ({there.key[:8]}"
                f"{f' and {one.key[:8]}' if one.key != there.key else ', a copy'}); keep the one that counts"
            )
        row[one.seed] = one
    return found


def _same_floor(one: Record, other: Record) -> bool:
    """Whether two runs have measured a floor alike, which each does for itself."""
    alike = all(getattr(one, field) == getattr(other, field) for field in ("key", "status", "quality", "likelihood"))
    return one.role == "floor" and alike


Rows = dict[RowKey, dict[int, Record]]  # by row and seed
