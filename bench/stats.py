"""Statistics over training seeds: mean and spread of a number, Welch's t-test and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from scipy.special import stdtr


@dataclass(frozen=True)
class Stat:
    """One number over training seeds."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        first = self.values[0]  # equal values have that value as their mean, to the last bit, and no spread
        if self.values.count(first) == self.n:
            return first
        try:
            return math.fsum(self.values) / self.n
        except OverflowError:  # of the sum, not of the mean
            return math.fsum(value / self.n for value in self.values)

    @cached_property
    def sd(self) -> float | None:
        """Sample standard deviation; None for a single seed, whose spread nobody knows."""
        if self.n < 2:
            return None
        deviations = [value - self.mean for value in self.values]
        try:
            return math.sqrt(math.fsum(deviation**2 for deviation in deviations) / (self.n - 1))
        except OverflowError:  # of the squares
            return math.hypot(*deviations) / math.sqrt(self.n - 1)


def root_mean_square(values: Iterable[float]) -> float:
    """0 of no values. Squares may leave the range of floats before their root does."""
    found = list(values)
    return math.hypot(*found) / math.sqrt(len(found)) if found else 0.0


def stat_of(values: list[float | None]) -> Stat | None:
    """The number over the seeds that have it; None where no seed has."""
    present = tuple(float(value) for value in values if value is not None)
    return Stat(present) if present else None


def holm(p: list[float]) -> list[float]:
    """p-values of a family of tests after Holm's correction (1979), each against the level of the whole family."""
    corrected, worst = list(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        worst = max(worst, min(1.0, p[index] * (len(p) - rank)))  # never below one that came before
        corrected[index] = worst
    return corrected


def welch(a: Stat, b: Stat) -> float:
    """Two-sided p of Welch's t-test (1947) with Satterthwaite's degrees of freedom; each side needs two values."""
    part_a, part_b = (a.sd or 0.0) ** 2 / a.n, (b.sd or 0.0) ** 2 / b.n
    if part_a + part_b == 0:  # seeds that agree to the last bit
        return float(a.mean == b.mean)
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (a.n - 1) + part_b**2 / (b.n - 1))
    return float(2 * stdtr(freedom, -abs(a.mean - b.mean) / math.sqrt(part_a + part_b)))


@dataclass(frozen=True)
class Estimate:
    """A number with its standard errors, in its own unit."""

    value: float
    stderr: float | None  # over samples, the reference taken as given
    stderr_with_reference: float | None = None  # over samples and reference together
