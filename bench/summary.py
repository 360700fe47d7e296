"""Records to sections: cells sorted into those that may be compared, in a fixed order, and the frame of them all.

The sections are what tables and plots read. No torch.
"""

from __future__ import annotations

import pandas as pd

from bench import UserError
from bench.metric import metric_of
from bench.record import Record, Scalar, digest
from bench.sections import Cell, Row, Section, failed, value_at

FAMILIES = ("gan", "vae", "flow", "diffusion")  # the order of every table and figure

# Columns of the frame, by the part of the record they lie in.
FIELDS = {
    "": "suite entrant role family seed status reason",
    "data": "name sha256 n_train n_test entropy_bits_per_dim",
    "budget": "params unit amount",
    "machine": "key",
    "code": "commit dirty",
    "quality": "metric value n_samples n_reference reference features.name features.weights_sha256",
    "likelihood": "kind bits_per_dim stderr_bits_per_dim dequantization n_images",
    "speed": "batch_size images_per_sec latency_p50_sec latency_p90_sec network_evaluations flops_per_image",
    "memory": "quantity train_peak_bytes train_batch_size sample_peak_bytes sample_batch_size",
    "spent": "params sampling_params flops flops_per_image images updates train_sec compile_sec",
}
PATHS = [f"{part}.{name}".lstrip(".") for part, names in FIELDS.items() for name in names.split()]


def summarise(cells: list[Cell]) -> list[Section]:
    """Sort `cells` into sections of comparable rows, in an order that does not depend on the file system.

    Raises UserError if one seed of an entrant would be counted twice.
    """
    trained = [cell for cell in cells if cell.record.role == "entrant"]
    floors = [cell for cell in cells if cell.record.role == "floor"]
    data = {cell.record.data.sha256 for cell in trained}
    alone = [cell for cell in floors if cell.record.data.sha256 not in data]
    settings = {_setting(cell.record): cell.record for cell in (*trained, *alone)}
    sections = []
    for setting, example in sorted(settings.items(), key=lambda item: item[0]):
        here = [cell for cell in trained if _setting(cell.record) == setting]
        # A floor is a property of the data, measured anywhere: it joins every section of its data, once.
        same_data = [cell for cell in floors if cell.record.data.sha256 == example.data.sha256]
        own = {(c.record.entrant, c.record.seed, _how(c.record)): c for c in sorted(same_data, key=_path, reverse=True)}
        rows = _rows(here), _rows(sorted(own.values(), key=_path))
        sections.append(Section(example.data, example.budget, example.machine, *rows))
    return sections


def load_frame(cells: list[Cell]) -> pd.DataFrame:
    """A tidy frame, one row a cell, sorted by section and entrant; raw SI values, missing where not measured.

    Columns: `file`, then those of `PATHS`, e.g. `spent_train_sec` for the record's `spent.train_sec`.
    """
    ordered = sorted(cells, key=lambda cell: (_setting(cell.record), _order(cell.record), cell.path.name))
    rows = [[cell.path.name, *(value_at(cell.record, path) for path in PATHS)] for cell in ordered]
    return pd.DataFrame(rows, columns=["file", *(path.replace(".", "_") for path in PATHS)])


def portraits(sections: list[Section]) -> list[Cell]:
    """The cell that shows each family: its first one that has a portrait."""
    found: dict[str, Cell] = {}
    for section in sections:
        for cell in (cell for row in section.ran for cell in row.cells):
            if cell.record.portrait:
                found.setdefault(cell.record.family or cell.record.entrant, cell)
    return sorted(found.values(), key=lambda cell: _order(cell.record))


def _rows(cells: list[Cell]) -> tuple[Row, ...]:
    """Group cells that differ in the seed alone; those that failed join where they failed for the same reason."""
    named: dict[str, list[Record]] = {}
    for cell in cells:
        named.setdefault(cell.record.entrant, []).append(cell.record)
    groups: dict[tuple[str, ...], dict[int, Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (_order(cell.record), cell.path.name)):
        record = cell.record
        label = _label(record, named[record.entrant])
        reason = record.reason or "" if failed(record) else ""
        group = groups.setdefault((label, record.status, reason, digest(_settings(record)), _how(record)), {})
        if record.seed in group:
            raise UserError(
                f"{record.entrant} with seed {record.seed} is in both {group[record.seed].path.name} and "
                f"{cell.path.name}; delete one or report them apart, as a seed counts once"
            )
        group[record.seed] = cell
    rows = [Row(key[0], tuple(group.values())) for key, group in groups.items()]
    return tuple(sorted(rows, key=lambda row: row.failed))


def _label(record: Record, others: list[Record]) -> str:
    """The entrant's name, with what sets its settings apart where one name has several.

    A cell that failed early knows few of its settings: what it does not know does not differ.
    """
    mine = _settings(record)
    differing = {key for other in others for key, value in _settings(other).items() if mine.get(key, value) != value}
    return ", ".join([record.entrant, *(f"{key}={mine[key]}" for key in sorted(differing))])


def _settings(record: Record) -> dict[str, Scalar]:
    return record.config | (record.quality.options if record.quality else {})


def _how(record: Record) -> str:
    """How a cell was measured: numbers got in different ways are not averaged."""
    quality, bits = record.quality, record.likelihood
    distance = quality and (metric_of(quality), quality.options)
    return digest([distance, bits and (bits.kind, bits.dequantization, bits.n_images)])


def _setting(record: Record) -> tuple[str, str, int, str, float, str]:
    budget = record.budget
    caps = (budget.params, budget.unit, budget.amount) if budget else (0, "", 0.0)
    return (record.data.name, record.data.sha256, *caps, record.machine.key)


def _order(record: Record) -> tuple[int, int, str, str, int]:
    family = FAMILIES.index(record.family) if record.family in FAMILIES else len(FAMILIES)
    return (record.role == "floor", family, record.entrant, digest(record.config), record.seed)


def _path(cell: Cell) -> tuple[str, str]:
    return (cell.path.name, str(cell.path))
