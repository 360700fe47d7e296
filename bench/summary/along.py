"""Quality along training: what a training had spent when its distance first was at a target, in each unit, and where
the order of entrants changes with the unit.

A point before the end is none of a smaller budget: schedules of the training are still on their way there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.metric import Metric, metric_names, metric_of
from equibench.quantities.text import join, number, p_number, p_words
from equibench.record.schema import Record
from equibench.stats import Stat, holm, welch
from equibench.summary.evidence import Ground, Sentence, fact, records_of
from equibench.summary.load import busy
from equibench.summary.sections import Row, Section

Unit = Literal["flops", "images", "train_sec"]
LEAST_DISTANCE = 1e-9  # a smaller one is raised to it, as its logarithm is taken
FEW_SEEDS = "So few seeds do not tell whether another training would go the same way."
UNITS: dict[Unit, str] = {"flops": "training FLOPs", "images": "training images", "train_sec": "seconds of training"}


class Spending(NamedTuple):
    """What a training had spent when its distance was at a target for the first time: by interpolation between the last
    point above and the first at or below it, in the logarithms of both. `at_most`: its first point was there already.
    """

    cost: float
    at_most: bool = False


def labels(row: Row) -> list[str]:
    """Points of the row's trainings, in order."""
    found = {point.label: point.share for cell in row.cells for point in cell.record.along}
    return sorted(found, key=found.__getitem__)


def metrics(section: Section) -> list[Metric]:
    """Metrics of the distances along training: their number of images is in the name."""
    points = (point for row in section.ran for cell in row.cells for point in cell.record.along)
    return sorted({metric for point in points if point.quality and (metric := metric_of(point.quality))})


def distances(record: Record, metric: Metric, unit: Unit) -> list[tuple[float, float]]:
    """(spent, distance) at each point that has a distance of this metric, in order."""
    return [
        (float(getattr(point, unit)), point.quality.value)
        for point in record.along
        if point.quality and point.quality.value is not None and metric_of(point.quality) == metric
    ]


def end(record: Record, metric: Metric) -> float | None:
    """The distance at the end of the training; None where it was not measured."""
    last = record.along[-1] if record.along else None
    if last is None or last.share < 1 or last.quality is None or metric_of(last.quality) != metric:
        return None
    return last.quality.value


def target_of(row: Row, metric: Metric) -> float | None:
    """The distance that all trainings of the row have at their end, or a lower one; None where one has none."""
    ends = [end(cell.record, metric) for cell in row.cells]
    known = [one for one in ends if one is not None]
    return max(known) if known and len(known) == len(ends) else None


def spending(record: Record, metric: Metric, unit: Unit, target: float) -> Spending | None:
    """None where the training never was at the target."""
    before: tuple[float, float] | None = None
    for cost, distance in distances(record, metric, unit):
        if distance <= target:
            return Spending(_between(before, (cost, distance), target)) if before else Spending(cost, at_most=True)
        before = cost, distance
    return None


def _between(above: tuple[float, float], below: tuple[float, float], target: float) -> float:
    (cost_0, high), (cost_1, low) = above, below
    if min(cost_0, cost_1, low, target) <= 0:  # these have no logarithm
        return cost_1
    whole = math.log(high) - math.log(low)  # as a quotient of the two may be no float any more
    way = (math.log(high) - math.log(target)) / whole if whole > 0 else 1.0
    return math.pow(cost_0, 1 - way) * math.pow(cost_1, way)


@dataclass(frozen=True)
class _Test:
    """Which of two rows was at the target with less of one unit."""

    unit: Unit
    a: Row
    b: Row
    costs: tuple[Stat, Stat]  # logarithms
    at_most: tuple[bool, bool]  # whether some of a row's costs are upper bounds
    p: float

    @property
    def first(self) -> Row | None:
        """None where it cannot be told, as the one that took more may have taken any less."""
        ahead = 0 if self.costs[0].mean < self.costs[1].mean else 1
        return None if self.at_most[1 - ahead] else (self.a, self.b)[ahead]


def order_sentences(section: Section) -> list[Sentence]:
    """Where the order in which entrants come to one distance changes with the unit that is spent: where the tests over
    training seeds support it, or with fewer seeds as a word on these trained models alone. The distance is the highest
    of all entrants' at their ends, so that all come to it.
    """
    found = []
    for metric, name in metric_names(metrics(section)).items():
        ends = [(target, row) for row in section.rankable if (target := target_of(row, metric)) is not None]
        rows = [row for _, row in ends]
        if len(rows) < 2:
            continue
        target, worst = max(ends, key=lambda end: end[0])
        over_seeds = all(len(row.cells) >= RANKING_SEEDS for row in rows)
        disturbed = [row for row in rows if any(busy(cell.record, "train") for cell in row.cells)]
        clauses, grounds = _changes(rows, metric, target, over_seeds, disturbed)
        if clauses:
            basis = "over training seeds" if over_seeds else "for these trained models alone, without a test over seeds"
            last = f"along.{labels(worst)[-1]}.quality.value"
            said = number(target, 4)
            grounds.append(Ground("greatest", last, worst.having(last), said=said))
            words = f"To reach {name} of {said}, as every training here does, {'; '.join(clauses)}; that is so {basis}."
            found.append(Sentence(words, grounds))
            if disturbed:
                names, whose = join(row.spoken for row in disturbed), "its" if len(disturbed) == 1 else "their"
                words = f"The machine was not steady as {names} trained: {whose} seconds are not compared."
                found.append(Sentence(words, [fact("timed", disturbed)]))
    return found


def lead_sentences(section: Section) -> list[Sentence]:
    """Who has the lowest mean distance at each share of the budget, where that changes, and where tests over training
    seeds tell who leads there from the others that lead anywhere: Welch's of logarithms, with Holm's correction over
    all pairs of entrants at all shares, as who leads was read off the same numbers.
    """
    found = []
    for metric, name in metric_names(metrics(section)).items():
        rows = [row for row in section.rankable if target_of(row, metric) is not None]
        at = _at_shares(rows, metric)
        lead = [(label, lowest(stats)) for label, stats in at.items()]
        if len({i for _, i in lead}) < 2:
            continue
        held = [[label for label, _ in run] for _, run in itertools.groupby(lead, key=lambda at: at[1])]
        by_label = dict(lead)
        parts = [f"that of {rows[by_label[run[0]]].spoken} at {join(run)}" for run in held]
        told = _told(rows, at, lead)
        words = f"Along training the lowest mean {name} is {join(parts)} of the budget. {told}"
        found.append(Sentence(words, told.grounds))
    return found


def _at_shares(rows: list[Row], metric: Metric) -> dict[str, list[Stat]]:
    """Distances of all the trainings of each row, at the shares that all of them have."""
    found: dict[str, list[Stat]] = {}
    for label in labels(rows[0]) if rows else []:
        stats = [_at(row, label, metric) for row in rows]
        known = [stat for stat in stats if stat]
        if len(known) == len(rows):
            found[label] = known
    return found


def _at(row: Row, label: str, metric: Metric) -> Stat | None:
    points = [point for cell in row.cells for point in cell.record.along if point.label == label and point.quality]
    found = [q.value for point in points if (q := point.quality) and q.value is not None and metric_of(q) == metric]
    return Stat(tuple(found)) if len(found) == len(row.cells) > 0 else None


def lowest(stats: list[Stat]) -> int:
    means = [stat.mean for stat in stats]
    return means.index(min(means))


def _told(rows: list[Row], at: dict[str, list[Stat]], lead: list[tuple[str, int]]) -> Sentence:
    """At which shares the seeds tell the one that leads there from all others that lead anywhere, with grounds "p"."""
    leaders = list(dict.fromkeys(i for _, i in lead))
    others = {label: [j for j in leaders if j != i] for label, i in lead}
    sides = {
        label: (f"along.{label}.quality.value", records_of([rows[i]]), records_of(rows[j] for j in others[label]))
        for label, i in lead
    }
    untold = [Ground("test", *side) for side in sides.values()]
    if (ps := pair_ps(at)) is None:
        return Sentence(FEW_SEEDS, untold)
    most = {label: max(ps[label, frozenset((i, j))] for j in others[label]) for label, i in lead}
    told = {label: rows[i] for label, i in lead if most[label] <= SIGNIFICANCE}
    if not told:
        names = join(rows[i].spoken for i in leaders)
        return Sentence(f"At none of these shares do the seeds tell {names} apart.", untold)
    parts = join(f"{label} ({row.spoken}, {p_words(most[label])})" for label, row in told.items())
    words = f"The seeds tell the one ahead from {'the other' if len(leaders) == 2 else 'all others named'} at {parts}."
    tested = [Ground("p", *sides[label], p_number(most[label])) for label in told]
    return Sentence(words, [*tested, *(Ground("test", *side) for label, side in sides.items() if label not in told)])


def pair_ps(at: Mapping[str, list[Stat]]) -> dict[tuple[str, frozenset[int]], float] | None:
    """p of each pair of rows, by their places, at each label: Welch's test of the logarithms of distances, after Holm's
    correction over all of them. None where a row has too few seeds.
    """
    if any(stat.n < RANKING_SEEDS for stats in at.values() for stat in stats):
        return None
    ps = {
        (label, frozenset((i, j))): welch(one, two)
        for label, stats in at.items()
        for (i, one), (j, two) in itertools.combinations(enumerate(map(_logs, stats)), 2)
    }
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def _logs(stat: Stat) -> Stat:
    return Stat(tuple(math.log(max(value, LEAST_DISTANCE)) for value in stat.values))


def _changes(
    rows: list[Row], metric: Metric, target: float, over_seeds: bool, disturbed: list[Row]
) -> tuple[list[str], list[Ground]]:
    """A clause for each pair of rows of which one is first in one unit and the other in another, and its tests. Seconds
    of disturbed rows decide nothing.
    """
    tests = [
        test
        for a, b in itertools.combinations(rows, 2)
        for unit in UNITS
        if not (unit == "train_sec" and any(row is a or row is b for row in disturbed))
        if (test := _test(a, b, metric, unit, target))
    ]
    corrected = holm([test.p for test in tests]) if over_seeds else [0.0] * len(tests)
    by_pair: dict[tuple[int, int], list[tuple[_Test, float]]] = {}
    for test, p in zip(tests, corrected, strict=True):
        if p <= SIGNIFICANCE and test.first:
            by_pair.setdefault((id(test.a), id(test.b)), []).append((test, p))
    clauses: list[str] = []
    grounds: list[Ground] = []
    for decided in by_pair.values():
        a, b = decided[0][0].a, decided[0][0].b
        fewer = [[test for test, _ in decided if test.first is row] for row in (a, b)]
        if all(fewer):
            worst_p = number(max(p for _, p in decided), 2)
            how = f" (p at most {worst_p} after Holm's correction)" if over_seeds else ""
            sides = [f"fewer {join(UNITS[test.unit] for test in tests)}" for tests in fewer]
            one, other = a.spoken, b.spoken
            clauses.append(f"{one} takes {sides[0]} than {other}, and {other} {sides[1]} than {one}{how}")
            sides_of = records_of([a]), records_of([b])
            grounds += [Ground("p", f"along.*.{test.unit}", *sides_of, worst_p * over_seeds) for test, _ in decided]
    return clauses, grounds


def _test(a: Row, b: Row, metric: Metric, unit: Unit, target: float) -> _Test | None:
    """None where a training is not at the target, or costs nothing."""
    sides: list[list[Spending]] = []
    for row in (a, b):
        found = [spending(cell.record, metric, unit, target) for cell in row.cells]
        known = [one for one in found if one is not None and one.cost > 0]
        if len(known) < len(found):
            return None
        sides.append(known)
    one, two = (Stat(tuple(math.log(spent.cost) for spent in side)) for side in sides)
    bounds = any(spent.at_most for spent in sides[0]), any(spent.at_most for spent in sides[1])
    p = welch(one, two) if min(one.n, two.n) >= RANKING_SEEDS else 1.0
    return _Test(unit, a, b, (one, two), bounds, p)
