"""Cells that may be compared: a section of the report, its rows (cells over seeds) and their sampler settings.

Numbers derived from them are computed here. Nothing is rounded or converted: units are those of the record, SI.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from equibench.quantities.glossary import BITS
from equibench.quantities.metric import Metric, metric_of
from equibench.quantities.settings import precision_of
from equibench.record.base import Scalar
from equibench.record.budget import kept_budget
from equibench.record.cost import Speed
from equibench.record.paths import value_at
from equibench.record.schema import USUAL, Budget, DataInfo, Machine, Quality, Record, SamplerPoint
from equibench.stats import Stat, stat_of
from equibench.summary.names import entrant_name, first_name, spoken_name

SPEED_FIELDS = ("images_per_sec", "network_evaluations", "flops_per_image")


class Folder(NamedTuple):
    """A folder of records that stands for itself, as another one holds the same cells; in the order they were given."""

    order: int = 0
    label: str = ""


POOLED = Folder()


@dataclass(frozen=True)
class FiledRecord:
    """A record and the file it came from. Cells of different runs are never pooled."""

    path: Path
    record: Record
    run: Folder = POOLED


@dataclass(frozen=True)
class SamplerSetting:
    """One setting of an entrant's sampler: quality against speed. Speed is None where it was not measured."""

    label: str
    point: str  # path of its point in the records; empty for the headline's numbers
    options: dict[str, Scalar]
    metric: Metric
    distance: Stat
    images_per_sec: Stat | None
    network_evaluations: Stat | None
    flops_per_image: Stat | None

    def path(self, number: str) -> str:
        """The path in the records of "distance", or of one of SPEED_FIELDS."""
        if number == "distance":
            return f"{self.point}.quality.value".lstrip(".")
        return f"{self.point or 'speed'}.{number}"


@dataclass(frozen=True)
class Row:
    """Cells that differ in nothing but the seed and share their status."""

    label: str  # the entrant, and what sets its settings apart where one name has several
    cells: tuple[FiledRecord, ...]  # by seed

    @property
    def name(self) -> str:
        """What it is called in tables, figures and lists."""
        return entrant_name(self.label, self.loaded)

    @property
    def spoken(self) -> str:
        """What it is called within a sentence."""
        return spoken_name(self.label, self.loaded)

    @property
    def first_words(self) -> str:
        """What it is called at the beginning of a sentence."""
        return first_name(self.label, self.loaded)

    @property
    def loaded(self) -> bool:
        """Whether it was there already: measured here, and trained elsewhere on a budget that nobody knows. Records
        from before `loaded` was a field say so by having no budget.
        """
        return self.first.role == "entrant" and (self.first.loaded is not None or self.first.budget is None)

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
        return stat_of([value_at(cell.record, path) for cell in self.cells])

    def having(self, path: str) -> tuple[Record, ...]:
        """The records that have the number at `path`: those that `stat` is over."""
        return tuple(cell.record for cell in self.cells if value_at(cell.record, path) is not None)

    def quality(self, metric: Metric) -> Stat | None:
        """The distance that `metric` names over seeds; None where no seed has it."""
        found = [cell.record.quality for cell in self.cells]
        return stat_of([quality.value for quality in found if quality and metric_of(quality) == metric])

    def memory(self, part: str, quantity: str) -> Stat | None:
        """Peak bytes of "train" or "sample" over seeds, where measured as `quantity`."""
        found = [cell.record.memory for cell in self.cells]
        return stat_of([value_at(x, f"{part}_peak_bytes") for x in found if x and x.quantity == quantity])

    def settings(self) -> list[SamplerSetting]:
        """Settings of the sampler that were measured: the usual one first, then those of its speed knob, and on as many
        samples as the usual one the ways that the family is known by too.
        """
        found: dict[tuple[str, str, Metric], list[tuple[Quality, Speed | SamplerPoint | None]]] = {}
        for record in (cell.record for cell in self.cells):
            usual = [(USUAL, "", record.quality, record.speed)] if record.quality else []
            points = [(p.label, f"sampler_points.{p.label}", p.quality, p) for p in record.sampler_points]
            points += [(p.label, f"ways.{p.label}", p.quality, p) for p in record.ways]
            for label, point, quality, speed in (*usual, *points):
                metric = metric_of(quality)
                if metric and quality.value is not None:
                    # A speed belongs to a distance only if both were measured with the same options.
                    same = speed if speed and speed.options == quality.options else None
                    found.setdefault((label, point, metric), []).append((quality, same))
        return [
            SamplerSetting(
                label,
                point,
                pairs[0][0].options,
                metric,
                Stat(tuple(quality.value for quality, _ in pairs if quality.value is not None)),
                *(stat_of([value_at(speed, name) for _, speed in pairs]) for name in SPEED_FIELDS),
            )
            for (label, point, metric), pairs in found.items()
        ]


@dataclass(frozen=True)
class Section:
    """Cells that may be compared: same data, budget and machine (floors: same data, as nobody trained them), and the
    same run where folders are compared. What was loaded has no budget, and joins every budget of its data and machine.
    `letter` names the section where there are several.
    """

    data: DataInfo
    budget: Budget | None
    machine: Machine
    entrants: tuple[Row, ...]
    floors: tuple[Row, ...]
    run: Folder = POOLED
    letter: str = "A"

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
        return sorted(rows, key=lambda r: -bits.mean if (bits := r.stat(BITS)) else -math.inf)

    @property
    def rankable(self) -> list[Row]:
        """Rows that kept to the budget: those that missed it are shown, but not ranked. What was loaded is ranked only
        where nothing else has a result, among its like.
        """
        kept = [row for row in self.ran if all(kept_budget(cell.record) for cell in row.cells)]
        return [row for row in kept if not row.loaded] if self.beside else kept

    @property
    def beside(self) -> list[Row]:
        """Rows of what was loaded, where trained ones are ranked: shown beside these, as nobody knows its budget."""
        found = [row for row in self.ran if row.loaded]
        return found if len(found) < len(self.ran) else []

    @property
    def training_precisions(self) -> list[str]:
        """In which precisions the networks of what was trained multiplied; where nothing was, that of the machine."""
        trained = [cell.record for row in self.ran if not row.loaded for cell in row.cells]
        return list(dict.fromkeys(precision_of(one, "training") for one in trained)) or [self.machine.precision]

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
    def sweep_metrics(self) -> list[Metric]:
        """Metrics in which settings of samplers compare: those of any setting but the usual one, where there is any."""
        others = {s.metric for row in self.ran for s in row.settings() if s.label != USUAL}
        return [metric for metric in self.knob_metrics if metric in others] or self.knob_metrics

    def front(self, metric: Metric, cost: Callable[[SamplerSetting], float | None]) -> list[tuple[Row, SamplerSetting]]:
        """Settings of all entrants that no other one beats in both cost and distance, by rising cost."""
        settings = [(row, s) for row in self.ran for s in row.settings() if s.metric == metric]
        priced = [(x, s.distance.mean, row, s) for row, s in settings if (x := cost(s)) is not None]
        found: list[tuple[Row, SamplerSetting]] = []
        least = math.inf
        for _, distance, row, setting in sorted(priced, key=lambda item: item[:2]):
            if distance < least:
                found.append((row, setting))
                least = distance
        return found

    @property
    def quantities(self) -> list[str]:
        """Quantities of memory, each a column of its own."""
        return sorted({cell.record.memory.quantity for row in self.ran for cell in row.cells if cell.record.memory})


def row_of(cell: FiledRecord, sections: Iterable[Section]) -> Row:
    """The row that a cell which ran stands in."""
    return next(row for section in sections for row in section.ran if cell in row.cells)


def failed(record: Record) -> bool:
    """Whether a cell has no result: a missed budget or a failed stage is marked, not dropped (protocol, rule 4)."""
    return record.status not in ("ok", "budget missed", "incomplete")


def sec_per_image(setting: SamplerSetting) -> float | None:
    """Time that one sample costs at the setting's throughput; None where that is unknown, or none."""
    return 1 / rate.mean if (rate := setting.images_per_sec) and rate.mean else None


def flops_per_image(setting: SamplerSetting) -> float | None:
    return setting.flops_per_image.mean if setting.flops_per_image else None


def utilization(record: Record) -> float | None:
    """Training's FLOP/s over those of the fastest matrix product; None where either is unknown."""
    spent, products = record.spent, record.matrix_products
    fastest = max(products.flops_per_sec.values(), default=0.0) if products else 0.0
    if spent is None or not spent.train_sec or not fastest:
        return None
    return spent.flops / spent.train_sec / fastest


def training_shares(record: Record) -> dict[str, float]:
    """Shares of the wall time of training, writing the checkpoint included; they sum to 1. Empty where unknown."""
    if record.spent is None or not record.spent.parts_sec:
        return {}
    parts = {**record.spent.parts_sec, "writing": record.clock.get("write", 0.0)}
    whole = sum(parts.values())
    return {part: sec / whole for part, sec in parts.items()} if whole else {}
