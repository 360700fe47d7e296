"""How much of the spread over seeds is training, and how much is the draw of samples: a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from equibench.quantities.metric import Metric, metric_of
from equibench.record.schema import Record
from equibench.stats import Stat, root_mean_square
from equibench.summary.sections import Row

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
        apart, together = max(self.total - self.evaluation, 0.0), self.total + self.evaluation
        return math.sqrt(apart) * math.sqrt(together)  # whose squares may leave the range of floats


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
    stat = Stat(values)
    assert stat.sd is not None  # of two values or more
    return Noise(row, metric, records, stat.mean, stat.sd, root_mean_square(errors))
