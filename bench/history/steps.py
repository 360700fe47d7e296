"""Where a series of values changes its level, and how sure that is. Numbers in, numbers out.

A series is cut into constant pieces at the least cost: squared residuals over the variance of a point, and `3 ln n + 3`
a step. A piece has two points or more, and a single spike is set to its neighbours first, as it is no step. What
the cut proposes is then tested: each step's p is corrected for the places that were searched, and the family of all
series by the procedure of Benjamini and Hochberg (1995).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from equibench.protocol import LEVEL

Values = NDArray[np.float64]
LEAST_PIECE = 2  # points: one alone is a spike
LEAST_POINTS, LEAST_DF = 4, 4  # where measurements repeat within commits: two points a side, and so much known of noise
LEAST_POINTS_ALONE = 12  # where the noise comes from differences of neighbours
SPIKE_SD = 3.0
FALSE_DISCOVERY_RATE = 0.05  # over the family of all series
_FARTHEST = 1e6  # standard deviations: beyond it, squares say no more
_RESOLUTION = 1e-9  # relative: what repeats to the last bit has a noise of no less


@dataclass(frozen=True)
class Scatter:
    """How far single measurements scatter around their level, in the unit of the values."""

    sd: float
    df: float
    source: str  # "repeats within commits", or "neighbouring commits"

    @property
    def quantile(self) -> float:
        """Standard errors to either side that make an interval of `protocol.LEVEL`."""
        return float(stdtrit(self.df, (1 + LEVEL) / 2))


@dataclass(frozen=True)
class Step:
    """A change of level at the point `place`, and p for the whole series."""

    place: int
    change: float
    stderr: float
    p: float


@dataclass(frozen=True)
class Level:
    """A constant piece, of the points from `begin` to before `end`."""

    begin: int
    end: int
    value: float
    stderr: float


@dataclass(frozen=True)
class Fit:
    """A series cut into levels. `values` [n] are in standard deviations of one measurement from `origin`, and without
    single spikes; `weights` [n] count the measurements in each; `unit` is that deviation.
    """

    values: Values
    weights: Values
    noise: Scatter
    origin: float
    unit: float
    places: tuple[int, ...]  # first points of all pieces but the first
    last: float  # the last value as it is

    @property
    def levels(self) -> list[Level]:
        ends = (0, *self.places, len(self.values))
        return [self._level(begin, end) for begin, end in itertools.pairwise(ends)]

    @property
    def steps(self) -> list[Step]:
        levels, searched = self.levels, len(self.values) - 2 * LEAST_PIECE + 1
        found = []
        for before, after in itertools.pairwise(levels):
            change, stderr = after.value - before.value, math.hypot(before.stderr, after.stderr)
            p = min(1.0, 2 * searched * float(stdtr(self.noise.df, -abs(change) / stderr)))
            found.append(Step(after.begin, change, stderr, p))
        return found

    @property
    def p(self) -> float:
        """The p-value of the surest step; 1 without a step."""
        return min((step.p for step in self.steps), default=1.0)

    def kept(self, most_p: float) -> Fit:
        """The fit with the steps whose p is no more than that: the least sure one goes first, which joins its two
        pieces, and the others are tested anew.
        """
        found = self
        while (steps := found.steps) and (worst := max(steps, key=lambda step: step.p)).p > most_p:
            found = replace(found, places=tuple(place for place in found.places if place != worst.place))
        return found

    @property
    def off_at_end(self) -> tuple[float, float] | None:
        """How far the last point lies off the level of those before it, and the standard error of that; None where it
        does not. Whether it is a spike or the first point of a step, the next one will say.
        """
        begin = self.places[-1] if self.places else 0
        if len(self.values) - begin <= LEAST_PIECE:
            return None
        before, weights = self.values[begin:-1], self.weights[begin:-1]
        apart = self.last - float(np.average(before, weights=weights))
        stderr = math.sqrt(1 / self.weights[-1] + 1 / float(weights.sum()))
        return (apart * self.unit, stderr * self.unit) if abs(apart) > SPIKE_SD * stderr else None

    def _level(self, begin: int, end: int) -> Level:
        weights = self.weights[begin:end]
        value = float(np.average(self.values[begin:end], weights=weights)) * self.unit + self.origin
        return Level(begin, end, value, self.unit / math.sqrt(float(weights.sum())))


def fit(values: Sequence[float], counts: Sequence[int], noise: Scatter) -> Fit:
    """The cut of least cost of a series: `values` [n] are the means of `counts` [n] measurements each."""
    array, weights = np.asarray(values, float), np.asarray(counts, float)
    origin = float(np.median(array))
    unit = max(noise.sd, _RESOLUTION * (abs(origin) or 1.0))
    with np.errstate(over="ignore"):
        scaled = np.clip((array - origin) / unit, -_FARTHEST, _FARTHEST)
    flat = without_spikes(scaled, weights)
    return Fit(flat, weights, noise, origin, unit, tuple(partition(flat, weights)), float(scaled[-1]))


def noise_of(repeats: Sequence[Sequence[float]], least_sd: float = 0.0) -> Scatter | str:
    """The noise of single measurements, from those of each point, or in words why it is not known. It is no less than
    `least_sd`, such as the error of the evaluation alone.
    """
    n, df = len(repeats), sum(len(point) - 1 for point in repeats)
    if n < LEAST_POINTS:
        return f"{n} commit{'s' * (n > 1)}; it takes {LEAST_POINTS} to tell a step from noise"
    means = np.array([np.mean(point) for point in repeats])
    if df >= LEAST_DF:
        apart = np.concatenate([np.asarray(point) - mean for point, mean in zip(repeats, means, strict=True)])
        found = Scatter(_root_of_squares(apart) / math.sqrt(df), df, "repeats within commits")
    elif n >= LEAST_POINTS_ALONE:
        inverse = 1 / np.array([len(point) for point in repeats])
        apart = np.diff(means) / np.sqrt(inverse[1:] + inverse[:-1])
        # by the median, as a step is one large difference among many
        spread = 1.4826 * float(np.median(np.abs(apart))) or _root_of_squares(apart) / math.sqrt(n - 1)
        found = Scatter(spread, n - 1, "neighbouring commits")
    else:
        return (
            f"{n} commits with {df} repeats; it takes {LEAST_DF} repeats, or {LEAST_POINTS_ALONE} commits, to tell a "
            "step from noise"
        )
    return replace(found, sd=max(found.sd, least_sd)) if math.isfinite(found.sd) else "a scatter beyond all numbers"


def partition(values: Values, weights: Values) -> list[int]:
    """First points of all pieces but the first, of the cut of least cost. `values` [n] are in standard deviations of
    one measurement, `weights` [n] count the measurements in each.
    """
    n = len(values)
    if n < 2 * LEAST_PIECE:
        return []
    sums = [np.concatenate([[0.0], np.cumsum(weights * values**power)]) for power in (0, 1, 2)]
    least = np.full(n + 1, np.inf)  # cost of the best cut of the first so many points
    least[0] = -step_cost(n)  # the first piece is no step
    begins = np.zeros(n + 1, int)
    for end in range(LEAST_PIECE, n + 1):
        starts = np.arange(end - LEAST_PIECE + 1)
        weight, first, second = (total[end] - total[starts] for total in sums)
        costs = least[starts] + step_cost(n) + second - first**2 / weight
        begins[end] = int(np.argmin(costs))
        least[end] = costs[begins[end]]
    places: list[int] = []
    end = n
    while (end := int(begins[end])) > 0:
        places.append(end)
    return places[::-1]


def step_cost(n: int) -> float:
    return 3 * math.log(n) + 3


def without_spikes(values: Values, weights: Values) -> Values:
    """Values, in standard deviations of one measurement; those farther than `SPIKE_SD` of the point from the median of
    three neighbours (itself and the ones before and after it, or at an end the two next to it) are that median (Hampel
    1974). Clipped to that distance instead, a spike at the last commit passed for a step in a fifth of such series;
    docs/history_steps.md says how seldom it does so.
    """
    if len(values) < 3:
        return values
    middle = np.median(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)
    middle = np.concatenate([middle[:1], middle, middle[-1:]])
    return np.where(np.abs(values - middle) > SPIKE_SD / np.sqrt(weights), middle, values)


def threshold(p: Sequence[float], level: float = FALSE_DISCOVERY_RATE) -> float:
    """The largest p that counts in a family of tests of which, on average, no more than `level` of those that count are
    false (Benjamini & Hochberg); -1 where none does.
    """
    return max((one for rank, one in enumerate(sorted(p), 1) if one <= level * rank / len(p)), default=-1.0)


def _root_of_squares(values: Values) -> float:
    """Their squares may leave the range of floats before their root does."""
    return math.hypot(*values)
