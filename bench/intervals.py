"""Intervals of a Frechet distance from its resamples. Numbers in, numbers out.

A percentile bootstrap of this distance never covers the truth: resampling adds the bias of a finite N once more. Halves
drawn without replacement measure the spread of the distance at N; the bootstrap, turned around, measures the bias.
How often each interval covers the truth is measured by `python -m studies.interval_coverage`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtr, stdtrit

from bench.record import Interval

LEVEL = 0.95
# Samples per feature dimension from which an interval covers the truth in at least 93 % of trials on real features
# (docs/interval_coverage.md); below, none is given.
HALVES_FROM, CORRECTED_FROM = 1.0, 3.0


def split_differences(halves: Sequence[float]) -> list[float]:
    """Half the difference between the two halves of each split; `halves` lists them in turn. Each has, on average, the
    square of the standard error of the whole: what is common to both halves, their bias, cancels.
    """
    return [(a - b) / 2 for a, b in zip(halves[::2], halves[1::2], strict=True)]


def halves_interval(value: float, halves: Sequence[float]) -> tuple[float, Interval]:
    """Standard error of a distance of N samples, and the interval of its expectation at that N."""
    differences = split_differences(halves)
    stderr = math.sqrt(statistics.fmean(d * d for d in differences))
    reach = stderr * float(stdtrit(len(differences), (1 + LEVEL) / 2))
    method = f"Student t, {len(differences)} splits into halves"
    return stderr, Interval(low=max(value - reach, 0.0), high=value + reach, level=LEVEL, method=method)


def corrected(value: float, resamples: Sequence[float]) -> tuple[float, Interval]:
    """The distance without the bias of a finite N, 2 value - mean(resamples), and its interval: the pivotal bootstrap
    (Efron & Tibshirani 1993, chapter 13) with a Student quantile in place of the few resamples' own.
    """
    n = len(resamples)
    estimate = 2 * value - statistics.fmean(resamples)
    spread = statistics.stdev(resamples) * math.sqrt(1 + 1 / n)
    reach = spread * float(stdtrit(n - 1, (1 + LEVEL) / 2))
    method = f"pivotal bootstrap, Student t, {n} resamples"
    return estimate, Interval(low=estimate - reach, high=estimate + reach, level=LEVEL, method=method)


def paired_p(a: Sequence[float], b: Sequence[float], difference: float) -> float:
    """Two-sided p of a difference between two distances against one reference, from halves split alike."""
    apart = [x - y for x, y in zip(split_differences(a), split_differences(b), strict=True)]
    stderr = math.sqrt(statistics.fmean(d * d for d in apart))
    if not stderr:
        return float(difference == 0)
    return 2 * float(stdtr(len(apart), -abs(difference) / stderr))
