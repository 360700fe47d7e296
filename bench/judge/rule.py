"""The rule of the check: a run's values against a baseline's, in noise that is measured, assumed, or both.

Values stand on a scale on which larger is worse, so that a change is a difference. All functions take arrays with the
values of one side along the last axis: a check judges one number at a time, a simulation thousands.

Two tests look at a number. The mean of the run is compared by Student's t with noise from all that is known. The worst
value of the run is compared with the baseline's mean, in noise that the run had no part in: else one bad seed would
hide in the spread that it makes. The two share the error rate (`MEAN_SHARE`); a run of a single value, which is its
own worst, has the test of the mean alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from equibench.judge.gates import Prior
from equibench.protocol import LEVEL

MEAN_SHARE = 0.75  # share of the error rate that goes to the test of the mean; the rest goes to the worst value's
MEASURED_FROM = 8  # own degrees of freedom from which nothing is assumed any more
Values = NDArray[np.floating[Any]]
Limit = float | Values


class Spread(NamedTuple):
    """A standard deviation within one code (one number, or one a simulated check), and its degrees of freedom."""

    sd: Any
    df: float
    what: str = ""  # where it comes from, in words


class KnownNoise(NamedTuple):
    """The variance of one value (of a seed, or of an invocation), and the degrees of freedom that it is known with."""

    variance: Values
    df: float
    assumed_df: float  # those of them that the prior gave


class TestStatistics(NamedTuple):
    """`change` is of the mean, positive where the run is worse, and `error` its standard error; `worst` is the change
    of the worst value. `p_mean` and `p_worst` are one-sided and not yet corrected for anything.
    """

    change: Values
    error: Values
    df: float
    worst: Values
    p_mean: Values
    p_worst: Values
    mean_share: float = MEAN_SHARE

    @property
    def of_mean(self) -> Values:
        """p of the mean, for its share of the error rate."""
        return np.asarray(np.minimum(1.0, self.p_mean / self.mean_share))

    @property
    def of_worst(self) -> Values:
        """p of the worst value, for its share of the error rate."""
        rest = 1 - self.mean_share
        return np.asarray(np.minimum(1.0, self.p_worst / rest)) if rest else np.ones_like(self.p_worst)

    @property
    def p(self) -> Values:
        """The p-values of both tests together."""
        return np.asarray(np.minimum(self.of_mean, self.of_worst))

    def p_beyond(self, tolerance: Limit) -> Values:
        """The same of what exceeds the tolerance; 1 where neither change does."""
        mean = np.where(self.change > tolerance, self.of_mean, 1.0)
        worst = np.where(self.worst > tolerance, self.of_worst, 1.0)
        return np.asarray(np.minimum(mean, worst))


def spread_of(values: ArrayLike, what: str = "") -> Spread:
    """Within the last axis. A single value has no spread, and no degree of freedom."""
    found = np.asarray(values, float)
    n = found.shape[-1]
    if n < 2:
        return Spread(np.zeros(found.shape[:-1]), 0, what)
    equal = found.min(-1) == found.max(-1)  # whose mean may miss them by a last bit
    return Spread(np.where(equal, 0.0, found.std(-1, ddof=1)), n - 1, what)


def noise(prior: Prior, spreads: Sequence[Spread], least_sd: Limit = 0.0, *, always: bool = False) -> KnownNoise:
    """The prior's deviation and the spreads, weighted by their degrees of freedom; the prior has no weight where they
    have `MEASURED_FROM` of their own, unless `always`. Never below `least_sd`, which is known otherwise.
    """
    own = sum(spread.df for spread in spreads)
    weight = prior.df if always or own < MEASURED_FROM else 0.0
    df = weight + own
    total = weight * prior.sd**2 + sum(spread.df * np.asarray(spread.sd, float) ** 2 for spread in spreads)
    variance = np.asarray(total / df if df else 0.0)
    return KnownNoise(np.maximum(variance, np.asarray(least_sd, float) ** 2), df, weight)


def judge(baseline: ArrayLike, run: ArrayLike, known: KnownNoise, without_run: KnownNoise) -> TestStatistics:
    """Both tests. `known` is the noise from all sources, `without_run` from all but the run itself."""
    before, after = np.asarray(baseline, float), np.asarray(run, float)
    a, b = before.shape[-1], after.shape[-1]
    mean = _mean(before)
    change, worst = _mean(after) - mean, after.max(-1) - mean
    error = np.sqrt(known.variance * (1 / a + 1 / b))
    p_worst = np.minimum(1.0, b * _tail(worst, np.sqrt(without_run.variance * (1 + 1 / a)), without_run.df))
    return TestStatistics(change, error, known.df, worst, _tail(change, error, known.df), p_worst, mean_share(b))


def mean_share(n: int) -> float:
    """The share of the error rate that the test of the mean has, of a run of `n` values."""
    return MEAN_SHARE if n > 1 else 1.0


def upper_limit(statistics: TestStatistics, level: float = LEVEL) -> Values:
    """What the true change of the mean is below, with that confidence, one-sided."""
    quantile = float(stdtrit(statistics.df, level)) if statistics.df else np.inf
    return np.asarray(statistics.change + quantile * statistics.error)


def _mean(values: Values) -> Values:
    """Equal values have that value as their mean, to the last bit."""
    low, high = values.min(-1), values.max(-1)
    return np.asarray(np.where(low == high, low, np.clip(values.mean(-1), low, high)))


def _tail(change: Values, error: Values, df: float) -> Values:
    """P(T > change / error). Without an error, noise explains no change to the worse: 0 for one, and 1 for none."""
    if not df:
        return np.ones_like(change)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stdtr(df, -change / error)
    return np.asarray(np.where(error > 0, found, np.where(change > 0, 0.0, 1.0)))
