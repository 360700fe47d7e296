"""Which entrants the numbers tell apart: tests of all pairs, Holm's correction, and the sentences they support.

With three training seeds or more on both sides the test is Welch's over seeds. With fewer it is of the two trained
models alone: of a Frechet distance by halves of the samples, split alike; of bits per dimension by the errors over
test images. One test decides everything that a report says of better and worse.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy.special import ndtr

from equibench import intervals
from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.glossary import BITS
from equibench.quantities.metric import metric_names
from equibench.quantities.text import join, number
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat, holm, welch
from equibench.summary.sections import Row, Section

SEEDS, MODELS = "entrants, over training seeds", "two trained models"


@dataclass(frozen=True)
class Criterion:
    """A number in which entrants are told apart, lower being better, and those of the rankable rows that have it."""

    name: str
    path: str
    rows: tuple[Row, ...]
    p_of_models: Callable[[Record, Record], float | None]  # of the first seeds alone


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
        found.append(Criterion(name, BITS, tuple(rows_of_kind), p_of_bits))
    return found


def tested(measure: Criterion) -> list[Pair]:
    """All pairs of a measure's rows that can be tested, after Holm's correction over them."""
    pairs = [pair for a, b in itertools.combinations(measure.rows, 2) if (pair := pair_of(measure, a, b))]
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def lowest(section: Section, path: str, rows: list[Row]) -> Row | None:
    """The row that training seeds tell, as the lowest at `path`, from every other of `rows`; None where there is none
    or where the rows have numbers of several measures.
    """
    for measure in criteria(section):
        if measure.path == path and {row.label for row in rows} == {row.label for row in measure.rows}:
            pairs = [pair for pair in tested(measure) if pair.over_seeds and pair.decided]
            for row in measure.rows:
                if len(measure.rows) > 1 and sum(pair.better is row for pair in pairs) == len(measure.rows) - 1:
                    return row
    return None


def sentences(section: Section) -> list[str]:
    """What the statistics support, in words, and nothing else."""
    found = []
    for measure in criteria(section):
        pairs_of_it = tested(measure)
        for over_seeds in (True, False):
            clauses = _clauses([pair for pair in pairs_of_it if pair.over_seeds == over_seeds], measure.rows)
            if not clauses:
                continue
            counts = sorted({len(records) for pair in pairs_of_it if pair.over_seeds for records in pair.records})
            seeds = join(map(str, counts)) if over_seeds else ""
            basis = f"over {seeds} training seeds" if over_seeds else "for these trained models alone"
            found.append(f"{measure.name}, {basis}: {'; '.join(clauses)}.")
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
    left_out = [row for row in section.entrants if row not in section.rankable]
    if left_out:
        found.append(
            f"Not ranked: {join(f'{r.label}, seed {join(map(str, r.seeds))} ({r.first.status})' for r in left_out)}."
        )
    return found


def p_of_distances(a: Record, b: Record) -> float | None:
    """Of two trained models' distances, from halves of their samples that were split alike."""
    one, two = a.quality, b.quality
    if not (one and two and one.halves and len(one.halves) == len(two.halves)):
        return None
    return intervals.paired_p(one.halves, two.halves, (one.value or 0.0) - (two.value or 0.0))


def p_of_bits(a: Record, b: Record) -> float | None:
    """Of two trained models' bits/dim, normal, from the errors over test images as if those were not the same: images
    that are hard for one model are hard for the other, so the true p is smaller.
    """
    one, two = (value_at(record, "likelihood.stderr_bits_per_dim") for record in (a, b))
    if not one or not two:
        return None
    return float(2 * ndtr(-abs(value_at(a, BITS) - value_at(b, BITS)) / math.hypot(one, two)))


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
    clauses = [
        f"{label} is better than {join(f'{p.worse.label} ({_p(p)})' for p in won)}"
        for label, won in sorted(wins.items(), key=lambda item: -len(item[1]))
        if won
    ]
    open_pairs = [pair for pair in found if not pair.decided]
    return clauses + [f"{p.a.label} and {p.b.label}: not decided ({_p(p)})" for p in open_pairs]


def _p(pair: Pair) -> str:
    return f"p = {number(pair.p_holm, 2)}" if pair.p_holm >= 1e-4 else "p < 0.0001"
