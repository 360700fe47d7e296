"""Which entrants the numbers tell apart: tests of all pairs in each number, and Holm's correction.

With three training seeds or more on both sides the test is Welch's over seeds: of bits per dimension as they are, of
all else of the logarithms, as ratios are what is said of them (summary/ratios.py). With fewer it is of the two trained
models alone: of a Frechet distance by the errors over samples, of bits per dimension by those over test images; nothing
else is tested then. One test decides everything that a report says of better and worse.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from scipy.special import ndtr

from equibench import intervals
from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.glossary import BITS, COVERAGE, RECALL, of
from equibench.quantities.metric import compared_kind, metric_names
from equibench.quantities.text import join
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat, holm
from equibench.summary.bounds import bound_words, tightest_common
from equibench.summary.ratios import Effect, difference, ratio
from equibench.summary.sections import Row, Section

SEEDS, MODELS = "entrants, over training seeds", "two trained models"
Category = Literal["quality", "diversity", "likelihood", "speed", "memory"]
SPEED, LATENCY = "speed.images_per_sec", "speed.latency_p50_sec"
TRAIN_MEMORY, SAMPLE_MEMORY = "memory.train_peak_bytes", "memory.sample_peak_bytes"
# the one number that a category's headline and tile are about
MAIN: dict[Category, str] = {
    "quality": "quality.value",
    "likelihood": BITS,
    "speed": SPEED,
    "memory": TRAIN_MEMORY,
}


def untested(_one: Record, _other: Record) -> None:
    """No p-value for two trained models: repeats of a timing within one process tell little of the next process."""


@dataclass(frozen=True)
class Criterion:
    """A number in which entrants are told apart, and those of the rankable rows that have it."""

    name: str
    path: str
    rows: tuple[Row, ...]
    p_of_models: Callable[[Record, Record], float | None]  # of the first seeds alone
    of_bounds: bool = False  # on what is to be compared, so that the lower need not be the better
    category: Category = "quality"

    @property
    def higher(self) -> bool:
        """Whether the higher number is the better one."""
        return of(self.path).better == "higher"


@dataclass(frozen=True)
class Pair:
    """Two rows and how far their numbers lie apart, with p before and after Holm's correction."""

    a: Row
    b: Row
    measure: Criterion
    records: tuple[tuple[Record, ...], tuple[Record, ...]]  # that the difference was taken over
    difference: float
    p: float
    over_seeds: bool
    effect: Effect  # of a to b
    p_holm: float = 1.0

    @property
    def decided(self) -> bool:
        return self.p_holm <= SIGNIFICANCE

    @property
    def better(self) -> Row:
        return self.a if (self.difference < 0) != self.measure.higher else self.b

    @property
    def worse(self) -> Row:
        return self.b if self.better is self.a else self.a

    @property
    def basis(self) -> str:
        return (
            SEEDS if self.over_seeds else f"{MODELS}, seed {join(dict.fromkeys(str(r[0].seed) for r in self.records))}"
        )


def criteria(section: Section, among: Sequence[Row] | None = None) -> list[Criterion]:
    """The criteria of the rankable rows, or of those `among`: distances, each of one metric, and beside them recall and
    coverage; bits per dimension, each of one kind on as many images; speed and latency; memory, each of one quantity.
    """
    found, diversity = [], []
    among = section.rankable if among is None else among
    for metric, name in metric_names(section.metrics).items():
        rows = tuple(row for row in among if row.quality(metric))
        found.append(Criterion(name, "quality.value", rows, p_of_distances))
    kinds: dict[tuple[str, int], list[Row]] = {}
    for row in among:
        likelihood = row.first.likelihood
        if likelihood and row.stat(BITS):
            kinds.setdefault((compared_kind(likelihood), likelihood.n_images), []).append(row)
    several = len({n for _, n in kinds}) > 1
    for (kind, n), rows_of_kind in sorted(kinds.items()):
        name = f"Bits/dim ({kind}, {n:,} images)" if several else f"Bits/dim ({kind})"
        bound = kind.startswith("upper bound")
        found.append(Criterion(name, BITS, tuple(rows_of_kind), p_of_bits, bound, "likelihood"))
    for path in (RECALL, COVERAGE):
        diversity += _alike(among, path, "diversity", _counts_of(path))
    timed = [one for path in (SPEED, LATENCY) for one in _alike(among, path, "speed", lambda _: "")]
    peaks = [one for path in (TRAIN_MEMORY, SAMPLE_MEMORY) for one in _alike(among, path, "memory", _quantity_of)]
    return [*found, *diversity, *timed, *peaks]


def _alike(among: Sequence[Row], path: str, category: Category, how: Callable[[Record], str]) -> list[Criterion]:
    """The number at `path` of all rows where it was measured alike, as `how` says."""
    groups: dict[str, list[Row]] = {}
    for row in among:
        for record in row.having(path)[:1]:
            groups.setdefault(how(record), []).append(row)
    label = of(path).label
    return [
        Criterion(f"{label} ({words})" if words else label, path, tuple(rows), untested, category=category)
        for words, rows in sorted(groups.items())
    ]


def _quantity_of(record: Record) -> str:
    return record.memory.quantity if record.memory else ""


def _counts_of(path: str) -> Callable[[Record], str]:
    def counts(record: Record) -> str:
        found = value_at(record, path.removesuffix(".value"))
        features = record.quality.features if record.quality else None
        space = f", {features.name}" if features else ""
        return f"{found.n_samples:,} samples against {found.n_reference:,}{space}"

    return counts


def tests(section: Section) -> list[Pair]:
    """All pairs of rows that can be tested in each criterion, in the order of the criteria."""
    return tested(criteria(section))


def tested(measures: list[Criterion]) -> list[Pair]:
    """All pairs of the measures' rows that can be tested, after Holm's correction over all pairs of a category that can
    be told apart by it: distances of several metrics, and bits/dim of several kinds, are families of tests each.
    """
    families: dict[object, list[Pair]] = {}
    for place, measure in enumerate(measures):
        alone = measure.category in ("quality", "likelihood")
        family = families.setdefault(place if alone else measure.category, [])
        both = itertools.combinations(measure.rows, 2)
        family += [pair for a, b in both if (pair := pair_of(tightest(measure, a, b), a, b))]
    found = []
    for pairs in families.values():
        corrected = holm([pair.p for pair in pairs])
        found += [replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]
    return found


def tightest(measure: Criterion, a: Row, b: Row) -> Criterion:
    """The measure itself, or where it is a bound, the tightest that was measured for both rows."""
    if not measure.of_bounds:
        return measure
    path = tightest_common(a.having(measure.path), b.having(measure.path))
    if path == measure.path:
        return measure
    name = f"Bits/dim ({bound_words(a.having(path)[0], path)})"
    return replace(measure, name=name, path=path, p_of_models=partial(p_of_bits, path=path))


def told_best(section: Section) -> Callable[[str, Sequence[Row]], Row | None]:
    """A function from the path of a number and the rows that have it to the row that training seeds tell, as the best,
    from every other of these; None where there is none or where the rows have numbers of several measures.
    """
    measures = criteria(section)
    pairs = [pair for pair in tested(measures) if pair.over_seeds and pair.decided]

    def best(path: str, rows: Sequence[Row]) -> Row | None:
        for measure in measures:
            if measure.path == path and {row.label for row in rows} == {row.label for row in measure.rows}:
                won = [pair.better for pair in pairs if pair.measure.name == measure.name]
                for row in measure.rows:
                    if len(measure.rows) > 1 and sum(winner is row for winner in won) == len(measure.rows) - 1:
                        return row
        return None

    return best


def p_of_distances(a: Record, b: Record) -> float | None:
    """The p-value for two trained models' distances to one reference, as normal variables with their jackknife errors.
    Records of protocols before these have halves of their samples, split alike.
    """
    one, two = a.quality, b.quality
    if not one or not two or one.value is None or two.value is None:
        return None
    if one.stderr_method and two.stderr_method and one.stderr and two.stderr:
        return normal_p(one.value - two.value, math.hypot(one.stderr, two.stderr))
    if one.halves and len(one.halves) == len(two.halves):
        return intervals.paired_p(one.halves, two.halves, one.value - two.value)
    return None


def p_of_bits(a: Record, b: Record, path: str = BITS) -> float | None:
    """The p-value for two trained models' bits/dim, as normal variables with the errors over test images, as if those
    were not the same: images that are hard for one model are hard for the other, so the true p is smaller.
    """
    error = f"{path.rpartition('.')[0]}.stderr_bits_per_dim"
    one, two = (value_at(record, error) for record in (a, b))
    if not one or not two:
        return None
    return normal_p(value_at(a, path) - value_at(b, path), math.hypot(one, two))


def normal_p(difference: float, stderr: float) -> float:
    """Two-sided p of a difference with a normal error."""
    return float(2 * ndtr(-abs(difference) / stderr))


def pair_of(measure: Criterion, a: Row, b: Row) -> Pair | None:
    """The test of one pair; None where the records do not allow any."""
    mine, theirs = a.having(measure.path), b.having(measure.path)
    over_seeds = min(len(mine), len(theirs)) >= RANKING_SEEDS
    if not over_seeds:  # two trainings say nothing of a third: two models, then
        mine, theirs = mine[:1], theirs[:1]
    one, two = ([float(value_at(record, measure.path)) for record in records] for records in (mine, theirs))
    effect = effect_of(measure.path, one, two)
    p = effect.p if over_seeds else measure.p_of_models(mine[0], theirs[0])
    apart = Stat(tuple(one)).mean - Stat(tuple(two)).mean
    return None if p is None else Pair(a, b, measure, (mine, theirs), apart, p, over_seeds, effect)


def effect_of(path: str, one: list[float], two: list[float]) -> Effect:
    """Bits per dimension differ, as their zero says nothing; all else is a ratio where it can be one."""
    found = None if path.endswith("bits_per_dim") else ratio(one, two)
    return found or difference(one, two)
