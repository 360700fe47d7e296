"""At which budgets the order of two entrants changes: between two that were measured, at each of which it is decided.

The tests are those of the report at each budget alone (summary/pairs.py), over training seeds. Nothing is said of
budgets beyond the ladder: no law is continued.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from equibench.quantities.glossary import BITS
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.ladders import Ladder, Measure, Rung, Trend
from equibench.summary.pairs import Pair, tests
from equibench.summary.sections import Row


class Crossing(NamedTuple):
    """A change of order: who is better at the last budget before it and at the first one after it."""

    before: Trend
    after: Trend
    low: Rung  # of the pair's first entrant
    high: Rung
    about_flops: float | None  # where the means cross, straight between budgets in log-log; None where more than once


@dataclass(frozen=True)
class Ordering:
    """Two entrants in one number at the budgets that both have."""

    a: Trend
    b: Trend
    measure: Measure
    rungs: tuple[tuple[Rung, Rung], ...]
    lower: tuple[Trend | None, ...]  # at each of them; None where it is not decided
    crossings: tuple[Crossing, ...]
    of_bounds: bool  # on what is compared, so that the lower need not be the better

    def decided_for(self, one: Trend) -> int:
        return sum(winner is one for winner in self.lower)


Tested = dict[tuple[int, int, str], Pair]  # by the identities of two rows, and the path of what they are compared in


def orders(ladder: Ladder) -> list[Ordering]:
    """All pairs of entrants with a law in one measure, in the order of the measures."""
    pairs: Tested = {}
    for section in ladder.sections:
        for pair in tests(section):
            path = BITS if pair.measure.category == "likelihood" else pair.measure.path
            pairs[id(pair.a), id(pair.b), path] = pairs[id(pair.b), id(pair.a), path] = pair
    return [
        _order(a, b, pairs)
        for measure in ladder.measures
        for a, b in itertools.combinations(ladder.of(measure), 2)
        if {rung.amount for rung in a.rungs} & {rung.amount for rung in b.rungs}
    ]


def _order(a: Trend, b: Trend, pairs: Tested) -> Ordering:
    theirs = {rung.amount: rung for rung in b.rungs}
    common = [(mine, theirs[mine.amount]) for mine in a.rungs if mine.amount in theirs]
    found = [pairs.get((id(one.row), id(other.row), a.measure.path)) for one, other in common]
    lower = [_winner(a, b, one.row, pair) for (one, _), pair in zip(common, found, strict=True)]
    decided = [place for place, winner in enumerate(lower) if winner]
    crossings = []
    for low, high in itertools.pairwise(decided):
        before, after = lower[low], lower[high]
        if before and after and before is not after:
            about = _cross_at(common[low : high + 1], a.measure.path)
            crossings.append(Crossing(before, after, common[low][0], common[high][0], about))
    of_bounds = any(pair.measure.of_bounds for pair in found if pair)
    return Ordering(a, b, a.measure, tuple(common), tuple(lower), tuple(crossings), of_bounds)


def _winner(a: Trend, b: Trend, row_of_a: Row, pair: Pair | None) -> Trend | None:
    if pair is None or not pair.over_seeds or not pair.decided:
        return None
    return a if pair.better is row_of_a else b


def _cross_at(rungs: Sequence[tuple[Rung, Rung]], path: str) -> float | None:
    """Where the difference of the means' logarithms goes through 0; None where it does more than once."""
    places, differences = [], []
    for one, other in rungs:
        flops, mine = _means(one.records, path)
        flops_of_other, theirs = _means(other.records, path)
        places.append((math.log(flops) + math.log(flops_of_other)) / 2)
        differences.append(math.log(mine) - math.log(theirs))
    changes = [i for i in range(1, len(places)) if (differences[i - 1] < 0) != (differences[i] < 0)]
    if len(changes) != 1:
        return None
    before, after = changes[0] - 1, changes[0]
    share = differences[before] / (differences[before] - differences[after])
    return math.exp(places[before] + share * (places[after] - places[before]))


def _means(records: Sequence[Record], path: str) -> tuple[float, float]:
    """The means of the FLOPs that were spent and of the number."""
    spent = Stat(tuple(record.spent.flops for record in records if record.spent))
    return spent.mean, Stat(tuple(float(value_at(record, path)) for record in records)).mean
