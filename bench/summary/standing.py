"""Who leads in one number, by how much, and whether the tests tell it: what verdict, tiles and findings all say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from equibench.protocol import RANKING_SEEDS
from equibench.quantities.glossary import of
from equibench.quantities.metric import compared_kind, with_count
from equibench.quantities.text import number, settings
from equibench.record.base import Scalar
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.load import busy
from equibench.summary.pairs import MAIN, Category, Criterion, Pair, criteria, effect_of, tested
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row, Section
from equibench_models.about import ABOUT

ONE_PASS = "one pass"


def setting_words(row: Row) -> str:
    """The usual setting of a row's sampler in a few words: its options, and how often the network runs."""
    record = row.first
    if row.loaded and record.speed is None:
        return "not sampled here"
    options = _options(row)
    runs = record.speed.network_evaluations if record.speed else 1
    named = settings(options) if options else usual_way(row)
    words = [named] if named else []
    if "steps" not in options:
        words += [ONE_PASS if runs == 1 else f"{runs:,} network evaluations"]
    return ", ".join(words)


def usual_way(row: Row) -> str:
    """What a family that is known by two ways to sample calls the one without options; empty for any other, and for an
    entrant that is sampled with options.
    """
    about = ABOUT.get(row.first.family or "")
    return about.usual if about and not _options(row) else ""


def _options(row: Row) -> Mapping[str, Scalar]:
    record = row.first
    return record.quality.options if record.quality else record.speed.options if record.speed else {}


def listed(words: Iterable[str], last: str = "and") -> str:
    *head, end = words
    return f"{', '.join(head)} {last} {end}" if head else end


def times(value: float) -> str:
    """A ratio in words: 1.04, 1.4, 60."""
    return number(value, 3 if value < 1.095 else 2)


def named_first(rows: Sequence[Row], most: int = 6) -> str:
    """Rows as the first words of a sentence; beyond `most`, how many more there are."""
    more = [f"{len(rows) - most} more"] if len(rows) > most else []
    return listed([rows[0].first_words, *(row.spoken for row in rows[1:most]), *more])


@dataclass(frozen=True)
class Standing:
    """The rows of one criterion from the best mean on, and the tests between them."""

    measure: Criterion
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]

    @property
    def best(self) -> Row:
        return self.rows[0]

    def stat(self, row: Row) -> Stat:
        found = row.stat(self.measure.path)
        assert found is not None
        return found

    def records(self, row: Row) -> tuple[Record, ...]:
        """Those of the row's records that have the number."""
        return row.having(self.measure.path)

    def pair(self, one: Row, other: Row) -> Pair | None:
        return next((pair for pair in self.pairs if {id(pair.a), id(pair.b)} == {id(one), id(other)}), None)

    def effect(self, worse: Row, better: Row) -> Effect:
        """How far the first lies from the second: the number that was tested, or where none was, of the means alone."""
        if pair := self.pair(worse, better):
            return pair.effect if pair.a is worse else pair.effect.inverse
        one, two = ([float(value_at(r, self.measure.path)) for r in row.having(self.measure.path)]
                    for row in (worse, better))  # fmt: skip
        found = effect_of(self.measure.path, one, two)
        return Effect(found.value, found.is_ratio, seeds=found.seeds)

    @property
    def kind(self) -> str:
        """Kind of the best's likelihood, as it is compared; empty where it has none."""
        likelihood = self.best.first.likelihood
        return compared_kind(likelihood) if likelihood else ""

    def by_tighter(self, row: Row) -> bool:
        """Whether a row was compared with the best by a tighter bound than the usual one."""
        pair = self.pair(row, self.best)
        return pair is not None and pair.measure.path != self.measure.path

    @property
    def tested(self) -> bool:
        """Whether the best was tested against every other."""
        return all(self.pair(self.best, row) for row in self.rows[1:])

    @property
    def over_seeds(self) -> bool:
        return all(len(row.having(self.measure.path)) >= RANKING_SEEDS for row in self.rows)

    @property
    def level(self) -> list[Row]:
        """The best and all that the tests do not tell from it, or tell to be better by a tighter bound; without tests,
        those that have the same number as it is shown.
        """
        if not self.tested:
            return [row for row in self.rows if row is self.best or self.shown(row) == self.shown(self.best)]
        return [self.best, *(row for row in self.rows[1:] if not self._beats(row))]

    def _beats(self, row: Row) -> bool:
        pair = self.pair(self.best, row)
        return pair is not None and pair.decided and pair.better is self.best

    @property
    def decided(self) -> bool:
        return self.tested and len(self.rows) > 1 and len(self.level) == 1

    @property
    def busy(self) -> list[Row]:
        """Rows of which a seed was timed while other work was in its way."""
        block = of(self.measure.path).block
        return [row for row in self.rows if block and any(busy(cell.record, block) for cell in row.cells)]

    @property
    def name(self) -> str:
        """The number in a few words, with the count of samples in a distance's."""
        quality = self.best.first.quality
        if self.measure.category == "quality" and quality:
            return with_count(quality.metric, quality.n_samples)
        if self.measure.category == "likelihood":
            return "bits/dim"
        return of(self.measure.path).label.lower().replace("latency p50", "latency")

    def shown(self, row: Row) -> str:
        """The row's mean as text, in the unit that tables show."""
        quantity, stat = of(self.measure.path), self.stat(row)
        return number(stat.mean / quantity.scale, 4 if self.measure.category == "likelihood" else 3)


def standings(section: Section) -> list[Standing]:
    """One for each criterion that a row has a number for, in their order."""
    measures = criteria(section)
    pairs = tested(measures)
    found = []
    for measure in measures:
        ordered = sorted(measure.rows, key=lambda row: _key(measure, row))
        of_it = tuple(
            pair
            for pair in pairs
            if pair.measure.category == measure.category
            and (pair.measure.path == measure.path or (pair.measure.of_bounds and measure.of_bounds))
            and any(pair.a is row for row in measure.rows)
            and any(pair.b is row for row in measure.rows)
        )
        if ordered:
            found.append(Standing(measure, tuple(ordered), of_it))
    return found


def _key(measure: Criterion, row: Row) -> float:
    stat = row.stat(measure.path)
    assert stat is not None
    return (-stat.mean if measure.higher else stat.mean) if math.isfinite(stat.mean) else math.inf


def leading(found: list[Standing], category: Category) -> Standing | None:
    """The criterion for a category's main number that most rows have; the first, if several tie. The category's other
    numbers, such as the memory of sampling, do not stand in for it.
    """
    alike = [one for one in found if one.measure.path == MAIN[category]]
    return max(alike, key=lambda one: len(one.rows), default=None)
