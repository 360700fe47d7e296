"""How much of the spread over seeds is training, and how much is the measurement: a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from equibench.quantities.glossary import BITS
from equibench.quantities.metric import Metric, metric_of
from equibench.record.schema import Record
from equibench.stats import Stat, root_mean_square
from equibench.summary.sections import Row

VALUE, STDERR = "quality.value", "quality.stderr"
MONTE_CARLO = "likelihood.stderr_monte_carlo_bits_per_dim"


@dataclass(frozen=True)
class Noise:
    """One number of an entrant over seeds, a Frechet distance or bits/dim, and standard deviations of what moves it."""

    row: Row
    metric: Metric | None  # None of bits/dim
    path: str  # of the number in a record
    error: str  # of what the measurement adds from seed to seed
    records: tuple[Record, ...]
    mean: float
    total: float  # observed over seeds: training and evaluation together
    evaluation: (
        float  # root mean square of the seeds' own: over samples; of bits/dim over draws, as images are the same
    )

    @property
    def training(self) -> float:
        """What is left of the variance: total^2 - evaluation^2, each seed's samples being drawn anew, or 0 where
        chance has made the seeds agree better than their samples alone would.
        """
        apart, together = max(self.total - self.evaluation, 0.0), self.total + self.evaluation
        return math.sqrt(apart) * math.sqrt(together)  # whose squares may leave the range of floats


def noise_of(row: Row, metric: Metric) -> Noise | None:
    """The noise of a distance. None with fewer than two seeds that have both it and its standard error."""
    found = [
        (cell.record, q.value, q.stderr)
        for cell in row.cells
        if (q := cell.record.quality) and metric_of(q) == metric and q.value is not None and q.stderr is not None
    ]
    return _noise(row, metric, VALUE, STDERR, found)


def noise_of_bits(row: Row) -> Noise | None:
    """The noise of bits/dim. None with fewer than two seeds that have both them and their Monte Carlo noise."""
    found = [
        (cell.record, bits.bits_per_dim, bits.stderr_monte_carlo_bits_per_dim)
        for cell in row.cells
        if (bits := cell.record.likelihood)
        and bits.bits_per_dim is not None
        and bits.stderr_monte_carlo_bits_per_dim is not None
    ]
    return _noise(row, None, BITS, MONTE_CARLO, found)


def _noise(
    row: Row, metric: Metric | None, path: str, error: str, found: Sequence[tuple[Record, float, float]]
) -> Noise | None:
    if len(found) < 2:
        return None
    records, values, errors = zip(*found, strict=True)
    stat = Stat(values)
    assert stat.sd is not None  # of two values or more
    return Noise(row, metric, path, error, records, stat.mean, stat.sd, root_mean_square(errors))
