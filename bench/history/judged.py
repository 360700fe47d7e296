"""Series judged: the noise of each, its levels and steps, how it stands against the best and against a baseline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy.special import stdtrit

from equibench.history import steps
from equibench.history.points import Measurement, Point, Series, evaluation_sd
from equibench.history.steps import Fit, Scatter
from equibench.protocol import LEVEL
from equibench.record.paths import value_at
from equibench.record.schema import Interval, Quality
from equibench.stats import Stat


class Range(NamedTuple):
    """A value with its interval, in the unit of the number; `over` says what it is an interval over."""

    value: float
    low: float | None = None
    high: float | None = None
    over: str = ""


@dataclass(frozen=True)
class Moved:
    """A difference with its interval: a share of the earlier value where `relative`, else in the unit of the number."""

    value: float
    low: float
    high: float
    relative: bool


@dataclass(frozen=True)
class Shift:
    """A step of a series between two of its points."""

    before: Point
    after: Point
    change: Moved
    worse: bool | None  # None where neither side is the better one
    p: float  # corrected for the places that were searched
    confirmed_by: int  # points of the new level
    also_changed: tuple[str, ...]  # what else is not the same in the records of both sides


@dataclass(frozen=True)
class Piece:
    """A level of a series, from one point to another."""

    begin: int
    end: int  # behind the last
    value: Range


@dataclass(frozen=True)
class Judged:
    """A series with all that was found. Without `noise`, `why_not` says why it has points alone."""

    series: Series
    points: tuple[Range, ...]
    noise: Scatter | None = None
    why_not: str = ""
    levels: tuple[Piece, ...] = ()
    shifts: tuple[Shift, ...] = ()
    suspected: Moved | None = None  # the last point against its level: a spike or the first of a step
    against_best: Moved | None = None  # the last level against the best one; None where that is the best
    best: Piece | None = None
    against_baseline: Moved | None = None


def judge(
    series: Sequence[Series],
    baseline: Callable[[Series], Sequence[Measurement]] = lambda one: (),
    level: float = steps.FALSE_DISCOVERY_RATE,
) -> list[Judged]:
    """All series, of whose steps no more than `level` are false on average. `baseline` gives the measurements of the
    baseline that compare with a series.
    """
    noises = [steps.noise_of([_scaled(one, point) for point in one.points], evaluation_sd(one)) for one in series]
    fits = [
        None if isinstance(noise, str) else steps.fit(_means(one), [len(point.measured) for point in one.points], noise)
        for one, noise in zip(series, noises, strict=True)
    ]
    most_p = steps.threshold([fit.p for fit in fits if fit], level)
    found = []
    for one, noise, fit in zip(series, noises, fits, strict=True):
        if fit is None:
            found.append(Judged(one, tuple(_range(one, point, None) for point in one.points), why_not=str(noise)))
        else:
            found.append(_judged(one, fit.kept(most_p), baseline(one)))
    return found


def _judged(one: Series, fit: Fit, baseline: Sequence[Measurement]) -> Judged:
    noise, levels, sign = fit.noise, fit.levels, {"lower": 1, "higher": -1, "": 0}[one.quantity.better]

    def change(apart: float, stderr: float) -> Moved:
        reach = noise.quantile * stderr
        ends = (apart, apart - reach, apart + reach)
        value, low, high = ((_exp(x, less=1) if one.by_logarithm else x) for x in ends)
        return Moved(value, low, high, one.by_logarithm)

    pieces = [Piece(x.begin, x.end, _back(one, x.value, noise.quantile * x.stderr, "its points")) for x in levels]
    shifts = [
        Shift(
            before=(before := one.points[step.place - 1]),
            after=(after := one.points[step.place]),
            change=change(step.change, step.stderr),
            worse=step.change * sign > 0 if sign else None,
            p=step.p,
            confirmed_by=level.end - level.begin,
            also_changed=_also_changed(before, after),
        )
        for step, level in zip(fit.steps, levels[1:], strict=True)
    ]
    last, best = levels[-1], min(range(len(levels)), key=lambda place: levels[place].value * sign)
    is_best = not sign or best == len(levels) - 1
    before_it = None if is_best else levels[best]
    kept = [_logarithm(one, x.value) for x in baseline if x.value > 0 or not one.by_logarithm]
    return Judged(
        one,
        tuple(_range(one, point, noise) for point in one.points),
        noise,
        levels=tuple(pieces),
        shifts=tuple(shifts),
        suspected=change(*fit.off_at_end) if fit.off_at_end else None,
        against_best=change(last.value - before_it.value, math.hypot(last.stderr, before_it.stderr))
        if before_it
        else None,
        best=pieces[best] if before_it else None,
        against_baseline=change(
            last.value - statistics.fmean(kept), math.hypot(last.stderr, fit.unit / math.sqrt(len(kept)))
        )
        if kept
        else None,
    )


def _logarithm(one: Series, value: float) -> float:
    """The value on the scale that levels are of."""
    return math.log(value) if one.by_logarithm else value


def _scaled(one: Series, point: Point) -> list[float]:
    return [_logarithm(one, x.value) for x in point.measured]


def _means(one: Series) -> list[float]:
    return [Stat(tuple(_scaled(one, point))).mean for point in one.points]


def _back(one: Series, value: float, reach: float, over: str) -> Range:
    """A level with its interval, in the unit of the number."""
    value, low, high = ((_exp(x) if one.by_logarithm else x) for x in (value, value - reach, value + reach))
    return Range(value, low, high, over)


def _exp(value: float, less: float = 0) -> float:
    """exp(value), or exp(value) - 1 with `less`; the largest float where that overflows."""
    try:
        return math.expm1(value) if less else math.exp(value)
    except OverflowError:
        return 1.7976931348623157e308


def _range(one: Series, point: Point, noise: Scatter | None) -> Range:
    """A point with the interval of its mean: by the noise of the series, or by its own measurements, or, of a single
    one, by what its record says of its samples.
    """
    stat, value = Stat(tuple(_scaled(one, point))), point.measured[0].value
    if noise:
        found = _back(one, stat.mean, noise.quantile * noise.sd / math.sqrt(stat.n), noise.source)
        return found._replace(value=value) if stat.n == 1 else found  # to the last bit
    if stat.sd is not None:
        reach = float(stdtrit(stat.n - 1, (1 + LEVEL) / 2)) * stat.sd / math.sqrt(stat.n)
        return _back(one, stat.mean, reach, "its own measurements")
    if len(point.records) == 1:
        parent = value_at(point.first, one.path.rpartition(".")[0])
        interval: Interval | None = parent.interval if isinstance(parent, Quality) else None
        if interval and one.path.endswith(".value"):
            return Range(value, interval.low, interval.high, "samples, of the one model")
    return Range(value)


def _also_changed(before: Point, after: Point) -> tuple[str, ...]:
    """Settings, versions of packages and machines that both sides of a step do not share: each may be its cause."""

    def seen(point: Point) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for record in point.records:
            settings = {f"setting {name}": str(value) for name, value in record.config.items()}
            for name, value in {**record.versions, **settings, "the machine": record.machine.key[:8]}.items():
                found.setdefault(name, set()).add(value)
        return found

    old, new = seen(before), seen(after)
    return tuple(
        f"{name} ({', '.join(sorted(old[name]))} → {', '.join(sorted(new[name]))})"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    )
