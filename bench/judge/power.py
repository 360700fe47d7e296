"""What a check can see: the smallest change that it finds in eight of ten cases, and how many seeds another one takes.

The test finds a change where the estimate exceeds both the tolerance and c standard errors. The error is estimated, so
that the statistic has a noncentral t distribution, cut off at the tolerance: an average over the chi-square
distribution of the estimated variance.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit
from scipy.stats import chi2

from equibench.judge.gates import Prior
from equibench.judge.rule import MEASURED_FROM, mean_share

POWER = 0.8
MOST_SEEDS = 1000
_SLICES = 200  # of the chi-square distribution, equally likely


def critical(alpha: float, tests: int, df: float, n: int) -> float:
    """The least t that is named at the strictest step of Holm's correction, where the run has `n` values."""
    return float(stdtrit(df, 1 - mean_share(n) * alpha / tests)) if df else math.inf


def power(change: float, error: float, df: float, c: float, tolerance: float, taken: float | None = None) -> float:
    """Probability that a true change of the mean is found. `error` is the true standard error of the change, `taken`
    what the test takes it to be on average, the same by default.
    """
    if error <= 0:
        return float(change > tolerance)
    needed = np.maximum(c * _scales(df) * (error if taken is None else taken), tolerance)
    return float(ndtr((change - needed) / error).mean())


def detectable(error: float, df: float, c: float, tolerance: float) -> float:
    """The smallest true change that is found with probability `POWER`; infinite where nothing is."""
    if error <= 0:
        return tolerance
    if not math.isfinite(c) or not math.isfinite(error):
        return math.inf
    return error * _detectable(tolerance / error, df, c)


@lru_cache(maxsize=4096)
def _detectable(tolerance: float, df: float, c: float) -> float:
    """In standard errors."""
    if not math.isfinite(tolerance):
        return math.inf
    needed = np.maximum(c * _scales(df), tolerance)
    return float(brentq(lambda d: float(ndtr(d - needed).mean()) - POWER, 0.0, float(needed.max()) + 10, xtol=1e-4))


@lru_cache(maxsize=256)
def _scales(df: float) -> NDArray[np.float64]:
    """Estimated over true deviation: quantiles in the middle of equally likely slices."""
    middles = (np.arange(_SLICES) + 0.5) / _SLICES
    return np.asarray(np.sqrt(chi2.ppf(middles, df) / df))


def seeds_for(
    change: float, sd: float, prior: Prior, older_df: float, alpha: float, tests: int, tolerance: float, *, always: bool
) -> int | None:
    """The least number of seeds (or invocations) a side with which a change is found with probability `POWER`, where
    one of them has the deviation `sd`; None where `MOST_SEEDS` do not do.
    """

    def enough(n: int) -> bool:
        own = 2 * (n - 1) + older_df
        weight = prior.df if always or own < MEASURED_FROM else 0.0
        taken = math.sqrt((weight * prior.sd**2 + own * sd**2) / (weight + own)) if weight + own else math.inf
        c = critical(alpha, tests, weight + own, n)
        scale = math.sqrt(2 / n)
        return math.isfinite(c) and power(change, sd * scale, weight + own, c, tolerance, taken * scale) >= POWER

    few = next((n for n in range(1, 33) if enough(n)), None)  # one by one: the prior leaves on the way
    if few or not enough(MOST_SEEDS):
        return few
    low, high = 32, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
