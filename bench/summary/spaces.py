"""Whether the order of entrants by distance is the same in every feature space that their samples were measured in.

It rests on the tests of pairs (summary/pairs.py), those of each space corrected by themselves: an order is what the
tests tell apart in the first space, the headline's, and it holds in another where they tell the same there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from equibench.quantities.metric import Metric, metric_names, metric_of
from equibench.record.paths import value_at
from equibench.record.schema import Quality, Record
from equibench.stats import Stat, stat_of
from equibench.summary.evidence import Ground, Sentence, TestedFinding, fact
from equibench.summary.pairs import Criterion, Pair, normal_p, tested
from equibench.summary.sections import Row, Section
from equibench.summary.standing import listed

HEADLINE = "quality"
MOST_PAIRS = 3  # pairs that are named of one space; all stand in the table


@dataclass(frozen=True)
class FeatureSpace:
    """A feature space, and where a record has its quality."""

    metric: Metric
    place: str  # "quality", or "spaces." and a name

    @property
    def path(self) -> str:
        return f"{self.place}.value" if self.place == HEADLINE else f"{self.place}.quality.value"

    def quality(self, record: Record) -> Quality | None:
        """What the record has in this space; None where it has nothing, or another metric."""
        found = value_at(record, self.path.removesuffix(".value"))
        return found if found is not None and metric_of(found) == self.metric else None

    def stat(self, row: Row) -> Stat | None:
        """The row's distance over seeds."""
        found = [self.quality(cell.record) for cell in row.cells]
        return stat_of([quality.value for quality in found if quality])


def spaces_of(section: Section) -> dict[FeatureSpace, str]:
    """The spaces of a section with the names of their distances, the headline's first; empty where there is but one."""
    rows = [*section.ran, *section.references]
    records = [cell.record for row in rows for cell in row.cells]
    if not any(record.spaces for record in records):
        return {}
    found: dict[FeatureSpace, None] = {}
    for record in sorted(records, key=lambda record: record.role == "floor"):
        places = [HEADLINE, *(f"spaces.{one.name}" for one in record.spaces)]
        for place, quality in zip(places, [record.quality, *(one.quality for one in record.spaces)], strict=True):
            if quality and (metric := metric_of(quality)):
                found.setdefault(FeatureSpace(metric, place))
    ordered = sorted(found, key=lambda space: space.place != HEADLINE)
    names = metric_names([space.metric for space in ordered])
    return {space: names[space.metric] for space in ordered}


@dataclass(frozen=True)
class OrderIn:
    """What becomes of the order in one space: pairs that the tests tell apart in the first and in this one the other
    way round, and those that they do not tell apart here.
    """

    space: FeatureSpace
    turned: tuple[Pair, ...]
    open: tuple[tuple[Row, Row], ...]

    @property
    def holds(self) -> bool:
        return not self.turned and not self.open


def of_spaces(section: Section) -> TestedFinding | None:
    """In how many spaces the order holds, and what is otherwise elsewhere; None where there is one space, or no two
    entrants were measured in it.
    """
    found = list(spaces_of(section))
    rows = [row for row in section.rankable if found and found[0].stat(row)]
    if len(found) < 2 or len(rows) < 2:
        return None
    first, *others = found
    name = _name(first, found)
    pairs = {space: _pairs(space, rows) for space in found}
    told = [pair for pair in pairs[first] if pair.decided]
    scope = "" if all(pair.over_seeds for pair in pairs[first]) else "Of these trained models: "
    if not told:
        claim = f"{scope}no two entrants are told apart by {name}, so that there is no order to look for elsewhere."
        return TestedFinding("spaces", Sentence(claim if scope else f"N{claim[1:]}", _tests(pairs[first])), (), ())
    looked = [_order_in(space, told, pairs[space]) for space in others]
    holding = [first, *(one.space for one in looked if one.holds)]
    claim = f"{scope}{'the' if scope else 'The'} order by {name} {_share(holding, found)}."
    sentences = [
        Sentence(words, _tests([*told, *pairs[one.space]])) for one in looked for words in _otherwise(one, name, found)
    ]
    level = [pair for pair in pairs[first] if not pair.decided]
    if level:
        names = _named([(pair.a, pair.b) for pair in level])
        words = f"{name} itself does not tell {names} apart, so that no order of theirs is looked for."
        sentences.append(Sentence(words, _tests(level)))
    sentences += _missing(rows, others, found)
    tests = _tests([pair for of_space in pairs.values() for pair in of_space])
    return TestedFinding("spaces", Sentence(claim, tests), tuple(sentences), ())


def _tests(pairs: Sequence[Pair]) -> list[Ground]:
    return [Ground("test", pair.measure.path, *pair.records) for pair in pairs]


def _share(holding: Sequence[FeatureSpace], found: Sequence[FeatureSpace]) -> str:
    """In how many of all spaces, the first among them."""
    if len(holding) == len(found):
        return "holds in both feature spaces" if len(found) == 2 else f"holds in all {len(found)} feature spaces"
    if len(holding) == 1:
        alone = f"holds in 1 of {len(found)} feature spaces, its own"
        return "does not hold in the other feature space" if len(found) == 2 else alone
    names = listed(["its own", *(_name(space, found) for space in holding[1:])])
    return f"holds in {len(holding)} of {len(found)} feature spaces: {names}"


def _otherwise(one: OrderIn, first: str, found: Sequence[FeatureSpace]) -> list[str]:
    name, said = _name(one.space, found), []
    for pair in one.turned[:MOST_PAIRS]:
        said.append(f"By {name} {pair.better.spoken} is ahead of {pair.worse.spoken}, by {first} behind.")
    if len(one.turned) > MOST_PAIRS:
        said.append(f"{name} turns the order of {len(one.turned) - MOST_PAIRS} more pairs.")
    if one.open:
        said.append(f"{name} does not tell {_named(one.open)} apart.")
    return said


def _named(pairs: Sequence[tuple[Row, Row]]) -> str:
    names = [f"{a.spoken} and {b.spoken}" for a, b in pairs[:MOST_PAIRS]]
    more = f", nor {len(pairs) - MOST_PAIRS} more pairs" if len(pairs) > MOST_PAIRS + 1 else ""
    names += [f"{a.spoken} and {b.spoken}" for a, b in pairs[MOST_PAIRS : MOST_PAIRS + 1] if not more]
    return ", nor ".join(names) + more


def _missing(rows: Sequence[Row], others: Sequence[FeatureSpace], found: Sequence[FeatureSpace]) -> list[Sentence]:
    """Entrants that have no distance in some space."""
    said = []
    for row in rows:
        lacking = [_name(space, found) for space in others if not space.stat(row)]
        if lacking:
            said.append(Sentence(f"{row.first_words} has no distance in {listed(lacking)}.", [fact("spaces", [row])]))
    return said


def _name(space: FeatureSpace, found: Sequence[FeatureSpace]) -> str:
    """The network alone, where no other space is of one with its name."""
    alone = [one.metric.extractor for one in found].count(space.metric.extractor) == 1
    return space.metric.extractor if alone else metric_names([one.metric for one in found])[space.metric]


def _pairs(space: FeatureSpace, rows: Sequence[Row]) -> list[Pair]:
    there = tuple(row for row in rows if space.stat(row))
    return tested([Criterion(space.metric.extractor, space.path, there, partial(_p_of_models, space))])


def _p_of_models(space: FeatureSpace, a: Record, b: Record) -> float | None:
    """The p-value for two trained models' distances in a space, as normal variables with their jackknife errors."""
    one, two = space.quality(a), space.quality(b)
    if not one or not two or one.value is None or two.value is None or not one.stderr or not two.stderr:
        return None
    return normal_p(one.value - two.value, (one.stderr**2 + two.stderr**2) ** 0.5)


def _order_in(space: FeatureSpace, told: Sequence[Pair], here: Sequence[Pair]) -> OrderIn:
    tests = {frozenset((id(pair.a), id(pair.b))): pair for pair in here}
    turned, level = [], []
    for pair in told:
        other = tests.get(frozenset((id(pair.a), id(pair.b))))
        if other is None or not other.decided:
            level.append((pair.better, pair.worse))
        elif other.better is not pair.better:
            turned.append(other)
    return OrderIn(space, tuple(turned), tuple(level))
