"""How much of the spread over seeds is training, and how much is the draw of samples: a table."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from equibench.quantities.metric import Metric, metric_names, metric_of
from equibench.record.schema import Record
from equibench.report.tables.table import Column, Entry, How, Source, Table, fill_table, value_entry
from equibench.summary.sections import Row, Section

VALUE, STDERR = "quality.value", "quality.stderr"


@dataclass(frozen=True)
class Noise:
    """The Frechet distance of one entrant over seeds, and standard deviations of what moves it."""

    row: Row
    metric: Metric
    records: tuple[Record, ...]
    mean: float
    total: float  # observed over seeds: training and evaluation together
    evaluation: float  # root mean square of the seeds' standard errors over samples

    @property
    def training(self) -> float:
        """What is left of the variance: total^2 - evaluation^2, each seed's samples being drawn anew, or 0 where
        chance has made the seeds agree better than their samples alone would.
        """
        return math.sqrt(max(self.total**2 - self.evaluation**2, 0.0))


def noise_of(row: Row, metric: Metric) -> Noise | None:
    """None with fewer than two seeds that have both a distance and its standard error."""
    found = [
        (cell.record, q.value, q.stderr)
        for cell in row.cells
        if (q := cell.record.quality) and metric_of(q) == metric and q.value is not None and q.stderr is not None
    ]
    if len(found) < 2:
        return None
    records, values, errors = zip(*found, strict=True)
    evaluation = math.sqrt(statistics.fmean(error * error for error in errors))
    return Noise(row, metric, records, statistics.fmean(values), statistics.stdev(values), evaluation)


def noise(section: Section) -> Table:
    """A line for each entrant with two seeds or more, for each metric of the section."""
    names = metric_names(section.metrics)
    found = [n for metric in section.metrics for row in section.ran if (n := noise_of(row, metric))]

    def entry(item: Noise, value: float, path: str, how: How, digits: int = 3) -> Entry:
        return value_entry(value, digits, Source(item.records, path, how))

    columns: list[Column[Noise]] = [
        ("entrant", "Entrant", lambda item: value_entry(item.row.label)),
        ("metric", "Distance", lambda item: value_entry(names[item.metric])),
        ("n_seeds", "Seeds", lambda item: entry(item, len(item.records), "seed", "count")),
        ("mean", "Mean", lambda item: entry(item, item.mean, VALUE, "mean", 4)),
        ("sd", "Standard deviation over seeds", lambda item: entry(item, item.total, VALUE, "standard deviation")),
        ("evaluation_sd", "of evaluation", lambda item: entry(item, item.evaluation, STDERR, "root mean square")),
        ("training_sd", "of training", lambda item: entry(item, item.training, VALUE, "training noise")),
    ]
    return fill_table("noise", columns, found, lambda item: item.row.first)
