"""How far two numbers lie apart over training seeds: a ratio or a difference of means, its 95 % interval and its test.

A ratio is that of geometric means: its interval and its p are those of the difference of logarithms, by Welch's test,
or paired by seed where both numbers are of the same models. So the interval leaves out 1 where p, before any
correction, is below 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from equibench.protocol import LEVEL, RANKING_SEEDS
from equibench.stats import Stat, welch


@dataclass(frozen=True)
class Effect:
    """The first number over the second, or less the second. Without an interval and p where a side has fewer seeds than
    a ranking takes.
    """

    value: float
    is_ratio: bool
    low: float | None = None
    high: float | None = None
    p: float | None = None
    seeds: int = 0  # of the side that has fewer
    paired: bool = False

    @property
    def crosses(self) -> bool:
        """Whether no difference lies within the interval; without an interval nobody knows, and it counts as within."""
        none = 1.0 if self.is_ratio else 0.0
        return self.low is None or self.high is None or self.low <= none <= self.high

    @property
    def inverse(self) -> Effect:
        """The second number over, or less, the first."""
        turn = (lambda x: 1 / x) if self.is_ratio else (lambda x: -x)
        low, high = (None if end is None else turn(end) for end in (self.high, self.low))
        return Effect(turn(self.value), self.is_ratio, low, high, self.p, self.seeds, self.paired)


def ratio(a: Sequence[float], b: Sequence[float], paired: bool = False) -> Effect | None:
    """`a` over `b`, a value a seed each, of equal seeds in equal order where `paired`. None unless all are positive and
    finite.
    """
    if not all(0 < value < math.inf for value in (*a, *b)):
        return None
    logs = _apart([math.log(value) for value in a], [math.log(value) for value in b], paired)
    ends = [end if end is None else _exp(end) for end in (logs.value, logs.low, logs.high)]
    return Effect(ends[0] or 0.0, True, ends[1], ends[2], logs.p, logs.seeds, paired)


def difference(a: Sequence[float], b: Sequence[float], paired: bool = False) -> Effect:
    """`a` less `b`, likewise, of the values as they are."""
    return _apart(a, b, paired)


def _apart(a: Sequence[float], b: Sequence[float], paired: bool) -> Effect:
    if paired:
        each = Stat(tuple(x - y for x, y in zip(a, b, strict=True)))
        if each.n < RANKING_SEEDS:
            return Effect(each.mean, False, seeds=each.n, paired=True)
        error, freedom = (each.sd or 0.0) / math.sqrt(each.n), each.n - 1.0
        p = float(2 * stdtr(freedom, -abs(each.mean) / error)) if error else float(each.mean == 0)
        return _with_interval(each.mean, error, freedom, p, each.n, paired)
    one, two = Stat(tuple(a)), Stat(tuple(b))
    seeds, value = min(one.n, two.n), one.mean - two.mean
    if seeds < RANKING_SEEDS:
        return Effect(value, False, seeds=seeds)
    parts = [(stat.sd or 0.0) ** 2 / stat.n for stat in (one, two)]
    shares = sum(part**2 / (stat.n - 1) for part, stat in zip(parts, (one, two), strict=True))
    freedom = sum(parts) ** 2 / shares if shares else 1.0
    return _with_interval(value, math.sqrt(sum(parts)), freedom, welch(one, two), seeds, paired)


def _with_interval(value: float, error: float, freedom: float, p: float, seeds: int, paired: bool) -> Effect:
    reach = error * float(stdtrit(freedom, (1 + LEVEL) / 2)) if error else 0.0
    return Effect(value, False, value - reach, value + reach, p, seeds, paired)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
