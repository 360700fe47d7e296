"""A row's recorded numbers as values of a test: on the scale of the number, one a seed or one an invocation.

Seeds of one invocation share what the machine did at that moment, so that they are no repeats of a speed or of a
memory: each invocation gives one value, the mean over its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from equibench.judge.gates import BOUNDS, Limits, Scale
from equibench.judge.rule import Spread, spread_of
from equibench.quantities.glossary import BITS, Quantity, of
from equibench.quantities.identity import look_up
from equibench.record.schema import Record
from equibench.stats import Stat, root_mean_square
from equibench.summary.codes import code_of
from equibench.summary.load import reference_name, reference_sec
from equibench.summary.sections import failed

T = TypeVar("T")
Row = Mapping[int, Record]  # of one entrant, by seed
LEAST_VALUE, MOST_VALUE = 5e-324, 1e150  # so that a logarithm is finite, and a square
MONTE_CARLO = "stderr_monte_carlo_bits_per_dim"  # of a likelihood or another bound
FOLDER = "folder "  # before the path that stands for the invocation of records that do not name theirs
COUNTED = ("peak allocated on the GPU", "peak of live tensors")  # quantities of memory that have no noise


class Sample(NamedTuple):
    """One side of a comparison: values on a scale on which larger is worse, the error of each that the evaluation made
    by itself, and their spread within one code.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    spread: Spread


def measured(path: str, row: Row) -> dict[int, Record]:
    return {seed: one for seed, one in row.items() if not failed(one) and look_up(one, path) is not None}


def values_of(path: str, row: Row) -> tuple[float, ...]:
    return tuple(value for one in row.values() if (value := look_up(one, path)) is not None)


def stat_of_row(path: str, row: Row) -> Stat:
    return Stat(values_of(path, row))


def stat_as_compared(quantity: Quantity, path: str, row: Row) -> Stat:
    """A value a seed, or where an invocation is the unit of the noise, the mean over the seeds of each."""
    if not by_invocation(quantity):
        return stat_of_row(path, row)
    groups = grouped(row.values(), lambda one: one.invocation)
    return Stat(tuple(Stat(tuple(look_up(one, path) or 0.0 for one in group)).mean for group in groups))


def by_invocation(quantity: Quantity) -> bool:
    """Whether an invocation, not a seed, is the unit of a number's noise."""
    return quantity.category in ("speed", "memory")


def invocations_known(row: Row) -> bool:
    return all(one.invocation and not one.invocation.startswith(FOLDER) for one in row.values())


def is_counted(quantity: Quantity, row: Row) -> bool:
    """Whether a number was counted exactly, so that it has no noise."""
    if quantity.category == "memory":
        return all(one.memory is not None and one.memory.quantity in COUNTED for one in row.values())
    return quantity.category == "cost"


def sample_of(quantity: Quantity, path: str, row: Row, limits: Limits, baseline: float, with_reference: bool) -> Sample:
    """The number at `path` over a side's records, all of which have it. `baseline` is the baseline's mean, of which
    relative changes are shares; `with_reference`: a speed is divided by that of the reference workload beside it.
    """
    lower = quantity.better != "higher"
    block = quantity.block if with_reference else ""

    def value(one: Record) -> float:
        found = on_scale(look_up(one, path) or 0.0, limits.scale, baseline, lower=lower)
        sec = reference_sec(one, block) if block else None
        return found - math.log(max(sec, LEAST_VALUE)) if sec is not None else found

    if by_invocation(quantity):
        groups = grouped(row.values(), lambda one: one.invocation)
        means = [Stat(tuple(map(value, group))) for group in groups]
        errors = tuple((mean.sd or 0.0) / math.sqrt(mean.n) for mean in means)
        pairs = [(code_of(group[0]), mean.mean) for group, mean in zip(groups, means, strict=True)]
        return Sample(tuple(mean.mean for mean in means), errors, _within_codes(pairs))
    records = list(row.values())
    errors = tuple(_error(quantity, path, one, limits.scale, baseline) for one in records)
    return Sample(tuple(map(value, records)), errors, _within_codes([(code_of(one), value(one)) for one in records]))


def _within_codes(pairs: Iterable[tuple[str, float]]) -> Spread:
    """The deviation of values within the code that they come from, over all codes."""
    return together(spread_of([value for _, value in group]) for group in grouped(pairs, lambda pair: pair[0]))


def together(spreads: Iterable[Spread], what: str = "") -> Spread:
    """Several spreads as one."""
    found = list(spreads)
    df = sum(spread.df for spread in found)
    return Spread(math.sqrt(sum(s.df * float(s.sd) ** 2 for s in found) / df) if df else 0.0, df, what)


def references(path: str, rows: Iterable[Row]) -> bool:
    """Whether all records of a speed have one and the same reference workload beside it."""
    block = of(path).block
    if not block:
        return False
    found = {(reference_name(one, block), bool(reference_sec(one, block))) for row in rows for one in row.values()}
    return len(found) == 1 and all(name is not None and there for name, there in found)


def reference_shift(path: str, baseline: Row, run: Row) -> float:
    """How much longer the reference workload took beside the run's speed, as a logarithm."""
    block = of(path).block
    before, after = (
        [math.log(sec) for one in row.values() if (sec := reference_sec(one, block))] for row in (baseline, run)
    )
    return Stat(tuple(after)).mean - Stat(tuple(before)).mean


def on_scale(value: float, scale: Scale, baseline: float, *, lower: bool = True) -> float:
    """A value on the scale of a test, where larger is worse."""
    if scale == "log":
        found = math.log(max(value, LEAST_VALUE))
    elif scale == "relative":
        found = value / max(abs(baseline), LEAST_VALUE)
    else:
        found = value
    return min(max(found if lower else -found, -MOST_VALUE), MOST_VALUE)


def as_share(change: float, scale: Scale, baseline: float) -> float:
    """A change on the scale of a test as a share of the baseline's mean; infinite where no float holds it."""
    if scale == "log":
        return math.expm1(change) if change < 709 else math.inf
    if scale == "relative" or not change:
        return change if abs(change) < MOST_VALUE else math.copysign(math.inf, change)
    return change / abs(baseline) if baseline else math.copysign(math.inf, change)


def _error(quantity: Quantity, path: str, one: Record, scale: Scale, baseline: float) -> float:
    """What the evaluation alone moves a value by. All likelihoods are of the same images: only draws count there."""
    part, _, _ = path.rpartition(".")
    error_path = f"{part}.{MONTE_CARLO}" if path == BITS or path.startswith(BOUNDS) else quantity.error
    error = abs(look_up(one, error_path) or 0.0) if error_path else 0.0
    if scale == "log":
        error /= max(abs(look_up(one, path) or 0.0), LEAST_VALUE)
    elif scale == "relative":
        error /= max(abs(baseline), LEAST_VALUE)
    return min(error, MOST_VALUE)


def least_sd(samples: Iterable[Sample]) -> float:
    """The evaluation's own error, which the noise between values is never below."""
    return min(root_mean_square([error for sample in samples for error in sample.errors]), MOST_VALUE)


def why_missing(path: str, row: Row) -> str:
    part = path.partition(".")[0]
    reasons = [getattr(getattr(one, part), "reason", None) or one.failures.get(part) for one in row.values()]
    return next((reason for reason in reasons if reason), "no reason was recorded")


def grouped(items: Iterable[T], by: Callable[[T], object]) -> list[list[T]]:
    """Items that agree in something, in the order of their first."""
    found: dict[object, list[T]] = {}
    for item in items:
        found.setdefault(by(item), []).append(item)
    return list(found.values())
