"""Power laws fitted to a number at several training budgets. Numbers in, numbers out.

    value = factor * C^-exponent            a straight line in log-log (Kaplan et al. 2020, equation 1.3, of compute)
    value = floor + factor * C^-exponent    towards a floor (Henighan et al. 2020, equation 1.1; Hoffmann et al. 2022)

C are training FLOPs. Deviations are relative ones, so that a law is not that of the largest values alone. For each
exponent the least squares of the rest are linear, which leaves a search along one line (variable projection, Golub &
Pereyra 1973): no starting point decides what is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import fdtrc, stdtrit

from equibench.protocol import LEVEL, RANKING_SEEDS, SIGNIFICANCE
from equibench.record.schema import Interval
from equibench.stats import root_mean_square

FEWEST_BUDGETS = 5  # two more than the larger law has parameters
STEEPEST = 5.0  # exponents beyond are those of a step between two budgets, not of a law
EXPONENTS = np.linspace(-STEEPEST, STEEPEST, 401)
EXPONENTS_TO_A_FLOOR = np.geomspace(0.01, STEEPEST, 201)
EXACT = 1e-9  # relative deviations below are those of rounding
Bend = Literal["flattens", "steepens", "irregular"]


class Run(NamedTuple):
    """One training: its budget's place on the ladder, from 0, its seed, what it spent and the number it gave (> 0)."""

    rung: int
    seed: int
    flops: float
    value: float


@dataclass(frozen=True)
class Law:
    """value = floor + above * (C / middle_flops)^-exponent; without a floor it is 0."""

    exponent: float
    above: float  # the floor at `middle_flops`
    floor: float
    middle_flops: float  # geometric mean of the budgets
    to_floor: bool

    @property
    def factor(self) -> float:
        """The factor of C^-exponent, with C in FLOPs."""
        return self.above * float(self.middle_flops**self.exponent)

    def at(self, flops: float) -> float:
        return self.floor + self.above * float((flops / self.middle_flops) ** -self.exponent)


@dataclass(frozen=True)
class FittedLaw:
    """A law with what is known of it. Intervals need three seeds that have all budgets; a test of whether the law holds
    needs a second seed at some budget.
    """

    law: Law
    exponent: Interval | None
    floor: Interval | None  # of a law that has one
    seeds: int
    deviations: tuple[float, ...]  # of each rung's mean from the law, relative, in the order of the rungs
    p_holds: float | None  # of the rungs' deviations if the law holds, by the seeds' at each rung; see ladders.py
    p_floor: float  # of what a floor gains if there is none: the larger of two, over runs and over rungs
    bend: Bend

    @property
    def holds(self) -> bool | None:
        """None where one seed a budget leaves nothing to tell by."""
        return None if self.p_holds is None else self.p_holds > SIGNIFICANCE

    @property
    def rms_deviation(self) -> float:
        return root_mean_square(self.deviations)


def fit(runs: Sequence[Run]) -> FittedLaw:
    """The law of `runs`, which have at least FEWEST_BUDGETS rungs: with a floor where the data support one. That is
    where it lessens the squares by more than chance would (F-test of one parameter more), those of the runs and those
    of the rungs' means, and can be told from a step.
    """
    means = _means(runs)
    line, curve = least_squares(runs, to_floor=False), least_squares(runs, to_floor=True)
    p_floor = max(_p_of_gain(_squares(line, some), _squares(curve, some), len(some) - 3) for some in (runs, means))
    bent = curve.floor > 0 and curve.above > 0 and curve.exponent < 0.99 * STEEPEST
    law = curve if bent and p_floor <= SIGNIFICANCE else line
    exponent, floor = _intervals(law, runs)
    return FittedLaw(
        law=law,
        exponent=exponent,
        floor=floor,
        seeds=len({run.seed for run in runs}),
        deviations=tuple(mean.value / law.at(mean.flops) - 1 for mean in means),
        p_holds=_p_of_lack(law, runs),
        p_floor=p_floor,
        bend=_bend(means),
    )


def least_squares(runs: Sequence[Run], to_floor: bool) -> Law:
    """The law of least squared relative deviations, with a floor of at least 0 or without one."""
    at_rung = {mean.rung: mean.value for mean in _means(runs)}
    middle = math.exp(math.fsum(math.log(run.flops) for run in runs) / len(runs))
    logs = np.array([math.log(run.flops / middle) for run in runs])
    values, scale = np.array([run.value for run in runs]), np.array([at_rung[run.rung] for run in runs])
    grid = EXPONENTS_TO_A_FLOOR if to_floor else EXPONENTS

    def squares(exponents: np.ndarray) -> np.ndarray:
        return _linear(exponents, logs, values, scale, to_floor)[2]

    best = int(np.argmin(squares(grid)))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda exponent: float(squares(np.array([exponent]))[0]), bounds=ends, method="bounded", options={"xatol": 1e-9}
    )
    exponent = float(found.x) if found.fun < squares(grid[best : best + 1])[0] else float(grid[best])
    above, floor, _ = _linear(np.array([exponent]), logs, values, scale, to_floor)
    return Law(exponent, float(above[0]), float(floor[0]), middle, to_floor)


def _linear(
    exponents: np.ndarray, logs: np.ndarray, values: np.ndarray, scale: np.ndarray, to_floor: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of the exponents `[E]` the height above the floor, the floor and the sum of squares, `[E]`; `logs` of
    C / middle, `values` and what deviations are relative to, `[N]`.
    """
    powers = np.exp(-exponents[:, None] * logs) / scale  # [E, N], as everything below in units of `scale`
    target, one = values / scale, 1 / scale
    pp, pt = (powers * powers).sum(1), powers @ target
    above, floor = pt / pp, np.zeros_like(pp)
    if to_floor:
        po, oo, ot = powers @ one, one @ one, one @ target
        determinant = pp * oo - po * po
        with np.errstate(divide="ignore", invalid="ignore"):
            both = (pt * oo - po * ot) / determinant, (pp * ot - po * pt) / determinant
        usable = (determinant > 1e-12 * pp * oo) & (both[0] > 0) & (both[1] > 0)
        above, floor = np.where(usable, both[0], above), np.where(usable, both[1], floor)
    deviations = target - above[:, None] * powers - floor[:, None] * one
    return above, floor, (deviations * deviations).sum(1)


def _means(runs: Iterable[Run]) -> list[Run]:
    """The mean of each rung, in order; of the FLOPs too."""
    rungs: dict[int, list[Run]] = {}
    for run in runs:
        rungs.setdefault(run.rung, []).append(run)
    return [
        Run(rung, 0, math.fsum(r.flops for r in here) / len(here), math.fsum(r.value for r in here) / len(here))
        for rung, here in sorted(rungs.items())
    ]


def _squares(law: Law, runs: Sequence[Run]) -> float:
    """Sum of the squared deviations, relative to the mean of their rung."""
    at_rung = {mean.rung: mean.value for mean in _means(runs)}
    return math.fsum(((run.value - law.at(run.flops)) / at_rung[run.rung]) ** 2 for run in runs)


def _p_of_gain(less: float, more: float, freedom: int) -> float:
    """p of the F-test of one parameter more, by which the squares fall from `less` to `more`."""
    if less <= EXACT**2 or less <= more:
        return 1.0
    if more <= EXACT**2:
        return 0.0
    return float(fdtrc(1, freedom, (less - more) / (more / freedom)))


def _p_of_lack(law: Law, runs: Sequence[Run]) -> float | None:
    """p of the F-test of lack of fit (Draper & Smith 1998, section 2.1): what the rungs' means deviate by, against what
    the seeds deviate by from the mean of their rung.
    """
    means = {mean.rung: mean.value for mean in _means(runs)}
    pure = math.fsum((run.value / means[run.rung] - 1) ** 2 for run in runs)
    freedom, left = len(runs) - len(means), len(means) - _parameters(law)
    if freedom < 1:
        return None
    lack = max(_squares(law, runs) - pure, 0.0)
    if lack <= EXACT**2 * len(runs):
        return 1.0
    if pure <= EXACT**2 * len(runs):
        return 0.0
    return float(fdtrc(left, freedom, (lack / left) / (pure / freedom)))


def _parameters(law: Law) -> int:
    return 3 if law.to_floor else 2


def _intervals(law: Law, runs: Sequence[Run]) -> tuple[Interval | None, Interval | None]:
    """Intervals of the exponent and of the floor, each the wider of two. The jackknife over whole seeds (Efron &
    Tibshirani 1993, chapter 11) knows what is common to the budgets of a seed; the residuals of the rungs' means know
    what is common to the seeds of a budget, as where the law does not quite hold. Both with Student's quantile.
    """
    seeds = sorted({run.seed for run in runs})
    rungs = {run.rung for run in runs}
    without = [[run for run in runs if run.seed != seed] for seed in seeds]
    if len(seeds) < RANKING_SEEDS or any({run.rung for run in rest} != rungs for rest in without):
        return None, None
    again = [least_squares(rest, law.to_floor) for rest in without]
    by_rungs = _reach_by_rungs(law, runs)
    method = f"Student t, the wider of over {len(seeds)} training seeds and over {len(rungs)} budgets"

    def interval(value: float, others: Sequence[float], reach: float) -> Interval:
        mean = math.fsum(others) / len(others)
        stderr = math.sqrt((len(others) - 1) / len(others) * math.fsum((other - mean) ** 2 for other in others))
        reach = max(reach, stderr * float(stdtrit(len(others) - 1, (1 + LEVEL) / 2)))
        return Interval(low=value - reach, high=value + reach, level=LEVEL, method=method)

    exponent = interval(law.exponent, [one.exponent for one in again], by_rungs[0])
    if not law.to_floor:
        return exponent, None
    floor = interval(law.floor, [one.floor for one in again], by_rungs[1])
    return exponent, floor.model_copy(update={"low": max(floor.low, 0.0)})


def _reach_by_rungs(law: Law, runs: Sequence[Run]) -> tuple[float, float]:
    """How far the intervals of exponent and floor reach by the residuals of the rungs' means: the delta method."""
    means = _means(runs)
    scale, logs = np.array([m.value for m in means]), np.array([math.log(m.flops / law.middle_flops) for m in means])
    powers = np.exp(-law.exponent * logs)
    slopes = [-law.above * logs * powers, powers, *([np.ones_like(powers)] if law.to_floor else [])]
    slopes_by_scale = np.stack(slopes, 1) / scale[:, None]
    freedom = len(means) - len(slopes)
    variance = np.linalg.pinv(slopes_by_scale.T @ slopes_by_scale) * _squares(law, means) / freedom
    reach = np.sqrt(np.diag(variance)) * float(stdtrit(freedom, (1 + LEVEL) / 2))
    return float(reach[0]), float(reach[2]) if law.to_floor else 0.0


def _bend(means: Sequence[Run]) -> Bend:
    """How the rungs' means deviate from a straight line in log-log: by the sign of a parabola that fits them, where it
    leaves less than half of the squares.
    """
    logs = np.log([mean.flops for mean in means])
    values, x = np.log([mean.value for mean in means]), logs - logs.mean()
    left = [((values - np.polyval(np.polyfit(x, values, degree), x)) ** 2).sum() for degree in (1, 2)]
    if left[1] > left[0] / 2:
        return "irregular"
    return "flattens" if np.polyfit(x, values, 2)[0] > 0 else "steepens"
