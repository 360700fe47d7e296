"""Intervals of a Frechet distance from its resamples. Numbers in, numbers out.

A percentile bootstrap of this distance never covers the truth: resampling adds the bias of a finite N once more. The
jackknife measures the spread of the distance at N (measure/quality/frechet.py); halves drawn without replacement and
the bootstrap together measure the bias. Both intervals cover the truth in at least 93 % of trials on real features
wherever there is a Frechet distance at all, N > d: docs/interval_coverage.md, by `python -m studies.interval_coverage`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import ndtri, stdtr, stdtrit

from equibench.protocol import LEVEL
from equibench.record.schema import Interval


def split_differences(halves: Sequence[float]) -> list[float]:
    """Half the difference between the two halves of each split; `halves` lists them in turn. The mean of their squares
    is that of the standard error of the whole, squared: what is common to both halves, their bias, cancels.
    """
    return [(a - b) / 2 for a, b in zip(halves[::2], halves[1::2], strict=True)]


def at_n(value: float, stderr: float) -> Interval:
    """The interval of the expectation of a distance of N samples, by its standard error over them."""
    reach = stderr * float(ndtri((1 + LEVEL) / 2))
    return Interval(low=max(value - reach, 0.0), high=value + reach, level=LEVEL, method="normal, by the jackknife")


def corrected(value: float, halves: Sequence[float], resamples: Sequence[float]) -> tuple[float, Interval]:
    """The distance without the bias of a finite N, and its interval.

    Two estimates of the bias err on opposite sides: the bootstrap's, mean(resamples) - value, is too small, as the bias
    falls with the spread of the eigenvalues, which sampling has raised already; that of halves, mean(halves) - value,
    is too large, as it takes the bias to be proportional to 1 / N (Chong & Forsyth 2020), and it grows faster where N
    is small. Their mean leaves a fraction of what either leaves (docs/interval_coverage.md). The interval is that of
    the pivotal bootstrap (Efron & Tibshirani 1993, chapter 13), with a Student quantile in place of the few resamples'
    own.
    """
    n = len(resamples)
    bias = (statistics.fmean(resamples) + statistics.fmean(halves)) / 2 - value
    spread = statistics.stdev(resamples) * math.sqrt(1 + 1 / n)
    reach = spread * float(stdtrit(n - 1, (1 + LEVEL) / 2))
    method = f"pivotal, Student t, {n} resamples; bias by them and {len(halves) // 2} splits"
    estimate = value - bias
    return estimate, Interval(low=estimate - reach, high=estimate + reach, level=LEVEL, method=method)


def paired_p(a: Sequence[float], b: Sequence[float], difference: float) -> float:
    """Two-sided p of a difference between two distances against one reference, from halves split alike."""
    apart = [x - y for x, y in zip(split_differences(a), split_differences(b), strict=True)]
    stderr = math.sqrt(statistics.fmean(d * d for d in apart))
    if not stderr:
        return float(difference == 0)
    return 2 * float(stdtr(len(apart), -abs(difference) / stderr))
