"""Which entrants the numbers tell apart: tests of all pairs, Holm's correction, and the sentences they support.

With three training seeds or more on both sides the test is Welch's over seeds. With fewer it is of the two trained
models alone: of a Frechet distance by the errors over samples, of bits per dimension by those over test images. One
test decides everything that a report says of better and worse.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from scipy.special import ndtr

from equibench import intervals
from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.glossary import BITS
from equibench.quantities.metric import metric_names
from equibench.quantities.text import join, number
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat, holm, welch
from equibench.summary.bounds import bound_words, tightest_common
from equibench.summary.codes import notes_on
from equibench.summary.sections import Row, Section

SEEDS, MODELS = "entrants, over training seeds", "two trained models"


@dataclass(frozen=True)
class Criterion:
    """A number in which entrants are told apart, lower being better, and those of the rankable rows that have it."""

    name: str
    path: str
    rows: tuple[Row, ...]
    p_of_models: Callable[[Record, Record], float | None]  # of the first seeds alone
    of_bounds: bool = False  # on what is to be compared, so that the lower need not be the better


@dataclass(frozen=True)
class Pair:
    """Two rows and the difference of their numbers, with its p before and after Holm's correction."""

    a: Row
    b: Row
    measure: Criterion
    records: tuple[tuple[Record, ...], tuple[Record, ...]]  # that the difference was taken over
    difference: float
    p: float
    over_seeds: bool
    p_holm: float = 1.0

    @property
    def decided(self) -> bool:
        return self.p_holm <= SIGNIFICANCE

    @property
    def better(self) -> Row:
        return self.a if self.difference < 0 else self.b

    @property
    def worse(self) -> Row:
        return self.b if self.difference < 0 else self.a

    @property
    def basis(self) -> str:
        return (
            SEEDS if self.over_seeds else f"{MODELS}, seed {join(dict.fromkeys(str(r[0].seed) for r in self.records))}"
        )


def criteria(section: Section) -> list[Criterion]:
    """Distances, each of one metric, then bits per dimension, each of one kind on as many images."""
    found = []
    for metric, name in metric_names(section.metrics).items():
        rows = tuple(row for row in section.rankable if row.quality(metric))
        found.append(Criterion(name, "quality.value", rows, p_of_distances))
    kinds: dict[tuple[str, int], list[Row]] = {}
    for row in section.rankable:
        likelihood = row.first.likelihood
        if likelihood and row.stat(BITS):
            kinds.setdefault((likelihood.kind, likelihood.n_images), []).append(row)
    several = len({n for _, n in kinds}) > 1
    for (kind, n), rows_of_kind in sorted(kinds.items()):
        name = f"Bits/dim ({kind}, {n:,} images)" if several else f"Bits/dim ({kind})"
        found.append(Criterion(name, BITS, tuple(rows_of_kind), p_of_bits, kind == "upper bound"))
    return found


def tested(measure: Criterion) -> list[Pair]:
    """All pairs of a measure's rows that can be tested, after Holm's correction over them."""
    both = itertools.combinations(measure.rows, 2)
    pairs = [pair for a, b in both if (pair := pair_of(tightest(measure, a, b), a, b))]
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def tightest(measure: Criterion, a: Row, b: Row) -> Criterion:
    """The measure itself, or where it is a bound, the tightest that was measured for both rows."""
    if not measure.of_bounds:
        return measure
    path = tightest_common(a.having(measure.path), b.having(measure.path))
    if path == measure.path:
        return measure
    name = f"Bits/dim ({bound_words(a.having(path)[0], path)})"
    return replace(measure, name=name, path=path, p_of_models=partial(p_of_bits, path=path))


def lowest(section: Section, path: str, rows: list[Row]) -> Row | None:
    """The row that training seeds tell, as the lowest at `path`, from every other of `rows`; None where there is none
    or where the rows have numbers of several measures.
    """
    for measure in criteria(section):
        if measure.path == path and {row.label for row in rows} == {row.label for row in measure.rows}:
            pairs = [pair for pair in tested(measure) if pair.over_seeds and pair.decided and pair.measure.path == path]
            for row in measure.rows:
                if len(measure.rows) > 1 and sum(pair.better is row for pair in pairs) == len(measure.rows) - 1:
                    return row
    return None


def sentences(section: Section) -> list[str]:
    """What the statistics support, in words, and nothing else."""
    found = []
    for measure in criteria(section):
        for pairs_of_it in _by_basis(tested(measure)):
            first = pairs_of_it[0]
            counts = sorted({len(records) for pair in pairs_of_it for records in pair.records})
            basis = (
                f"over {join(map(str, counts))} training seeds"
                if first.over_seeds
                else "for these trained models alone"
            )
            found.append(f"{first.measure.name}, {basis}: {'; '.join(_clauses(pairs_of_it, measure.rows))}.")
    if any(pair.measure.of_bounds for measure in criteria(section) for pair in tested(measure)):
        found.append(
            "Where upper bounds are compared, the lower one need not be of the higher likelihood: how loose each is, "
            "nobody knows."
        )
    bits = [measure for measure in criteria(section) if measure.path == BITS]
    if len(bits) > 1:
        found.append(f"{join(measure.name for measure in bits)} are not compared: their kinds or test images differ.")
    found = found or ["Fewer than two entrants have comparable results within their budget: nothing is ranked."]
    if any(not pair.over_seeds for measure in criteria(section) for pair in tested(measure)):
        found.append(
            "With fewer than three training seeds this tells nothing of the families, nor of another training: "
            "no ranking is claimed."
        )
    broken = [(row, cell.record) for row in section.entrants for cell in row.cells if cell.record.failures]
    found += [f"{row.label}, seed {one.seed}, is incomplete: {one.reason}." for row, one in broken if not row.failed]
    found += [f"{row.label}: {note}" for row in section.ran for note in notes_on([cell.record for cell in row.cells])]
    left_out = [row for row in section.entrants if row not in section.rankable]
    if left_out:
        found.append(
            f"Not ranked: {join(f'{r.label}, seed {join(map(str, r.seeds))} ({r.first.status})' for r in left_out)}."
        )
    return found


def p_of_distances(a: Record, b: Record) -> float | None:
    """Of two trained models' distances to one reference, normal, by their jackknife errors. Records of protocols before
    these have halves of their samples, split alike.
    """
    one, two = a.quality, b.quality
    if not one or not two or one.value is None or two.value is None:
        return None
    if one.stderr_method and two.stderr_method and one.stderr and two.stderr:
        return _normal_p(one.value - two.value, math.hypot(one.stderr, two.stderr))
    if one.halves and len(one.halves) == len(two.halves):
        return intervals.paired_p(one.halves, two.halves, one.value - two.value)
    return None


def _by_basis(found: list[Pair]) -> list[list[Pair]]:
    """Pairs that one sentence speaks of: of one measure, over seeds first."""
    groups: dict[tuple[bool, str], list[Pair]] = {}
    for pair in found:
        groups.setdefault((not pair.over_seeds, pair.measure.name), []).append(pair)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def p_of_bits(a: Record, b: Record, path: str = BITS) -> float | None:
    """Of two trained models' bits/dim, normal, from the errors over test images as if those were not the same: images
    that are hard for one model are hard for the other, so the true p is smaller.
    """
    error = f"{path.rpartition('.')[0]}.stderr_bits_per_dim"
    one, two = (value_at(record, error) for record in (a, b))
    if not one or not two:
        return None
    return _normal_p(value_at(a, path) - value_at(b, path), math.hypot(one, two))


def _normal_p(difference: float, stderr: float) -> float:
    """Two-sided p of a difference with a normal error."""
    return float(2 * ndtr(-abs(difference) / stderr))


def pair_of(measure: Criterion, a: Row, b: Row) -> Pair | None:
    """The test of one pair; None where the records do not allow any."""
    mine, theirs = a.having(measure.path), b.having(measure.path)
    over_seeds = min(len(mine), len(theirs)) >= RANKING_SEEDS
    if not over_seeds:  # two trainings say nothing of a third: two models, then
        mine, theirs = mine[:1], theirs[:1]
    one, two = (Stat(tuple(float(value_at(r, measure.path)) for r in records)) for records in (mine, theirs))
    p = welch(one, two) if over_seeds else measure.p_of_models(mine[0], theirs[0])
    return None if p is None else Pair(a, b, measure, (mine, theirs), one.mean - two.mean, p, over_seeds)


def _clauses(found: list[Pair], rows: tuple[Row, ...]) -> list[str]:
    """Who is better than whom, the winners of most first, then what is not decided."""
    wins = {row.label: [pair for pair in found if pair.decided and pair.better is row] for row in rows}
    better = "has a lower bound than" if found[0].measure.of_bounds else "is better than"
    clauses = [
        f"{label} {better} {join(f'{p.worse.label} ({_p(p)})' for p in won)}"
        for label, won in sorted(wins.items(), key=lambda item: -len(item[1]))
        if won
    ]
    open_pairs = [pair for pair in found if not pair.decided]
    return clauses + [f"{p.a.label} and {p.b.label}: not decided ({_p(p)})" for p in open_pairs]


def _p(pair: Pair) -> str:
    return f"p = {number(pair.p_holm, 2)}" if pair.p_holm >= 1e-4 else "p < 0.0001"
