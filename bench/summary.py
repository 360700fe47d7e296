"""Records to numbers: the one place where a derived number is computed (means, spreads, shares of a budget, verdicts).

Tables and plots both read from here. Nothing is rounded or converted: units are those of the record, SI. No torch.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtr

from bench import UserError
from bench.record import (
    SPENT_FIELD,
    Budget,
    DataInfo,
    Likelihood,
    Machine,
    Quality,
    Record,
    SamplerPoint,
    Scalar,
    Speed,
    budget_missed,
    digest,
)

FAMILIES = ("gan", "vae", "flow", "diffusion")  # the order of every table and figure
RANKING_SEEDS = 3  # DESIGN rule 13: no ranking with fewer
SIGNIFICANCE = 0.05  # of the family of tests, after Holm's correction

USUAL = "headline"  # label of the setting that the headline table shows
SPEED_FIELDS = ("images_per_sec", "network_evaluations", "flops_per_image")

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


class Metric(NamedTuple):
    """Identity of a sample-quality number: two numbers are compared only where all of this is equal."""

    metric: str
    n_samples: int
    extractor: str
    weights_sha256: str
    preprocessing: str
    reference: str
    n_reference: int


@dataclass(frozen=True)
class Cell:
    """A record and the file it came from."""

    path: Path
    record: Record


@dataclass(frozen=True)
class Stat:
    """One number over training seeds."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.mean(self.values)  # exact: equal values have that value as their mean, and no spread

    @property
    def sd(self) -> float | None:
        """Sample standard deviation; None for a single seed, whose spread nobody knows."""
        return statistics.stdev(self.values) if self.n > 1 else None


@dataclass(frozen=True)
class Setting:
    """One setting of an entrant's sampler: quality against speed. Speed is None where it was not measured."""

    label: str
    options: dict[str, Scalar]
    metric: Metric
    distance: Stat
    images_per_sec: Stat | None
    network_evaluations: Stat | None
    flops_per_image: Stat | None


@dataclass(frozen=True)
class Row:
    """Cells that differ in nothing but the seed and share their status."""

    label: str
    cells: tuple[Cell, ...]  # by seed

    @property
    def first(self) -> Record:
        return self.cells[0].record

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(cell.record.seed for cell in self.cells)

    @property
    def failed(self) -> bool:
        return failed(self.first)

    def stat(self, path: str) -> Stat | None:
        """The number at `path` of the records, e.g. "spent.train_sec", over seeds; None where no seed has it."""
        return _stat([value_at(cell.record, path) for cell in self.cells])

    def quality(self, metric: Metric) -> Stat | None:
        """The distance that `metric` names over seeds; None where no seed has it."""
        found = [cell.record.quality for cell in self.cells]
        return _stat([quality.value for quality in found if quality and metric_of(quality) == metric])

    def memory(self, part: str, quantity: str) -> Stat | None:
        """Peak bytes of "train" or "sample" over seeds, where measured as `quantity`."""
        found = [cell.record.memory for cell in self.cells]
        return _stat([value_at(x, f"{part}_peak_bytes") for x in found if x and x.quantity == quantity])

    def settings(self) -> list[Setting]:
        """Settings of the sampler that were measured: the usual one first, then those of its speed knob."""
        found: dict[tuple[str, Metric], list[tuple[Quality, Speed | SamplerPoint | None]]] = {}
        for record in (cell.record for cell in self.cells):
            usual = [(USUAL, record.quality, record.speed)] if record.quality else []
            for label, quality, speed in (*usual, *((p.label, p.quality, p) for p in record.sampler_points)):
                metric = metric_of(quality)
                if metric and quality.value is not None:
                    # A speed belongs to a distance only if both were measured with the same options.
                    same = speed if speed and speed.options == quality.options else None
                    found.setdefault((label, metric), []).append((quality, same))
        return [
            Setting(
                label,
                pairs[0][0].options,
                metric,
                Stat(tuple(quality.value for quality, _ in pairs if quality.value is not None)),
                *(_stat([value_at(speed, name) for _, speed in pairs]) for name in SPEED_FIELDS),
            )
            for (label, metric), pairs in found.items()
        ]


class Verdict(NamedTuple):
    """Outcome of ranking one column: the row with the lowest mean, and those it could not be told from."""

    best: Row
    undecided: list[Row]


@dataclass(frozen=True)
class Section:
    """Cells that may be compared: same data, budget and machine (floors: same data, as nobody trained them)."""

    data: DataInfo
    budget: Budget | None
    machine: Machine
    entrants: tuple[Row, ...]
    floors: tuple[Row, ...]

    @property
    def ran(self) -> list[Row]:
        return [row for row in self.entrants if not row.failed]

    @property
    def failures(self) -> list[Row]:
        return [row for row in (*self.entrants, *self.floors) if row.failed]

    @property
    def references(self) -> list[Row]:
        """Floors that were measured: distances first, then bits per dimension from the worst."""
        rows = [row for row in self.floors if not row.failed]
        return sorted(rows, key=lambda r: -bits.mean if (bits := r.stat("likelihood.bits_per_dim")) else -math.inf)

    @property
    def rankable(self) -> list[Row]:
        """Rows that kept to the budget: those that missed it are shown, but not ranked."""
        return [row for row in self.entrants if row.first.status == "ok"]

    def best_quality(self, metric: Metric) -> Verdict | None:
        return verdict(self.rankable, lambda row: row.quality(metric))

    def best_bits(self) -> Verdict | None:
        """None, too, where kinds or test images differ: a bound is not ranked against an exact value."""
        found = [cell.record.likelihood for row in self.rankable for cell in row.cells]
        kinds = {(x.kind, x.n_images) for x in found if x and x.bits_per_dim is not None}
        return verdict(self.rankable, lambda row: row.stat("likelihood.bits_per_dim")) if len(kinds) == 1 else None

    @property
    def metrics(self) -> list[Metric]:
        """Metrics of the rows' quality, each a column of its own."""
        found = [cell.record.quality for row in (*self.ran, *self.references) for cell in row.cells]
        return sorted({metric for quality in found if quality and (metric := metric_of(quality))})

    @property
    def bits_images(self) -> set[int]:
        """Counts of test images that bits/dim were measured on."""
        found = [cell.record.likelihood for row in (*self.ran, *self.references) for cell in row.cells]
        return {x.n_images for x in found if x and x.bits_per_dim is not None}

    @property
    def knob_metrics(self) -> list[Metric]:
        """Metrics of any sampler setting."""
        return sorted({setting.metric for row in self.ran for setting in row.settings()})

    @property
    def quantities(self) -> list[str]:
        """Quantities of memory, each a column of its own."""
        return sorted({cell.record.memory.quantity for row in self.ran for cell in row.cells if cell.record.memory})


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


def value_at(value: Any, path: str) -> Any:
    """The value at a dotted path of a record or a part of it; None where a part on the way is."""
    for name in path.split("."):
        if value is None:
            return None
        value = getattr(value, name)
    return value


def sec_per_image(images_per_sec: float) -> float:
    """Time that one sample costs at the given throughput."""
    return 1 / images_per_sec


def metric_of(quality: Quality) -> Metric | None:
    """What a distance measures; None where there is no feature space, and so no metric either."""
    space = quality.features
    if space is None:
        return None
    identity = (space.name, space.weights_sha256, space.preprocessing)
    return Metric(quality.metric, quality.n_samples, *identity, quality.reference, quality.n_reference)


def metric_names(metrics: list[Metric]) -> dict[Metric, str]:
    """Name of each metric, e.g. "FD_5k (EfficientNet-Lite0)", longer where two would read the same."""

    def name(metric: Metric) -> str:
        n = metric.n_samples
        count = f"{n // 1000}k" if n >= 1000 and n % 1000 == 0 else str(n)
        return f"{metric.metric}_{count} ({metric.extractor})"

    short = [name(metric) for metric in metrics]
    detail = "{0}, against {1.n_reference} of {1.reference}, {1.preprocessing}, weights {1.weights_sha256:.8}"
    unique = [detail.format(n, m) if short.count(n) > 1 else n for n, m in zip(short, metrics, strict=True)]
    return dict(zip(metrics, unique, strict=True))


def portraits(sections: list[Section]) -> list[Cell]:
    """The cell that shows each family: its first one that has a portrait."""
    found: dict[str, Cell] = {}
    for section in sections:
        for cell in (cell for row in section.ran for cell in row.cells):
            if cell.record.portrait:
                found.setdefault(cell.record.family or cell.record.entrant, cell)
    return sorted(found.values(), key=lambda cell: _order(cell.record))


def bits_kind(likelihood: Likelihood) -> str:
    """Kind of a bits/dim, without which it cannot be read, e.g. "upper bound, variational dequantization"."""
    how = likelihood.dequantization
    if how is None or how == "none":
        return likelihood.kind
    return f"{likelihood.kind}, {how.removesuffix(' dequantization')} dequantization"


def failed(record: Record) -> bool:
    """Whether a cell has no result: a missed budget is marked, not dropped (DESIGN rule 4)."""
    return record.status not in ("ok", "budget missed")


def verdict(rows: list[Row], stat: Callable[[Row], Stat | None]) -> Verdict | None:
    """Rank one column, lower being better: the lowest mean against each other, Welch's t-test, Holm's correction.

    None where fewer than two rows have a value, or any has fewer than `RANKING_SEEDS` seeds.
    """
    stats = [(row, found) for row in rows if (found := stat(row))]
    if len(stats) < 2 or any(found.n < RANKING_SEEDS for _, found in stats):
        return None
    (best, lowest), *others = sorted(stats, key=lambda pair: pair[1].mean)
    tests = sorted(((_welch(lowest, other), row) for row, other in others), key=lambda test: test[0])
    for index, (p, _) in enumerate(tests):
        if p * (len(tests) - index) > SIGNIFICANCE:  # Holm stops at the first that fails
            return Verdict(best, [row for _, row in tests[index:]])
    return Verdict(best, [])


def allowed(record: Record) -> dict[str, float]:
    """Caps of a cell's budget by field of `Spent`; other fields have none."""
    if record.budget is None:
        return {}
    return {"params": record.budget.params, SPENT_FIELD[record.budget.unit]: record.budget.amount}


def used_percent(record: Record, field: str) -> float | None:
    """Per cent of the cap on a field of `Spent` that was used; None without a cap."""
    cap = allowed(record).get(field)
    return None if cap is None or record.spent is None else 100 * float(getattr(record.spent, field)) / cap


def missed_budget(record: Record) -> str:
    """Why a cell's spending is not what its budget allows, in words; empty if it is, or if nothing is known."""
    if record.status == "budget missed":
        return record.reason or "no reason was recorded"
    if record.spent is None or record.budget is None:
        return ""
    return budget_missed(record.budget, record.spent) or ""


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


def _stat(values: list[float | None]) -> Stat | None:
    present = tuple(float(value) for value in values if value is not None)
    return Stat(present) if present else None


def _welch(a: Stat, b: Stat) -> float:
    """Two-sided p of Welch's t-test, from Welch (1947) with Satterthwaite's degrees of freedom."""
    part_a, part_b = (a.sd or 0.0) ** 2 / a.n, (b.sd or 0.0) ** 2 / b.n
    if part_a + part_b == 0:  # seeds that agree to the last bit
        return float(a.mean == b.mean)
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (a.n - 1) + part_b**2 / (b.n - 1))
    return float(2 * stdtr(freedom, -abs(a.mean - b.mean) / math.sqrt(part_a + part_b)))
