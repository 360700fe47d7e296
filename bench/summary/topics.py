"""A finding of one topic or several numbers alike: who leads, the values, and which the tests tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from equibench.quantities.glossary import of
from equibench.quantities.text import spread
from equibench.summary.evidence import Evidence, Ground, Sentence, TestedFinding, sides_of
from equibench.summary.standing import Standing, listed

MOST_NAMED = 6  # entrants that a sentence names


def _scope(one: Standing) -> str:
    """What a claim holds for, where it is not for entrants over seeds."""
    if one.over_seeds:
        return ""
    return "Of these trained models: " if one.tested else "In this run, not tested: "


def claim_of(one: Standing, decided: str, open_one: str) -> Sentence:
    """`decided`, with the best row before it, or that it is not; with the scope it holds for."""
    scope, best = _scope(one), one.best
    tests = [Ground("test", one.measure.path, one.records(row), one.records(best)) for row in one.rows[1:]]
    if len(one.level) == 1:
        words = f"{scope}{best.spoken if scope else best.first_words} {decided}."
    else:
        names = listed(row.spoken for row in one.level) if len(one.level) < 5 else f"{len(one.level)} entrants"
        words = f"Not decided between {names}{', as trained here' if scope else ''}: {open_one}."
    return Sentence(words, tests)


def evidence(one: Standing) -> tuple[Evidence, ...]:
    """Every other row against the best, the larger over the smaller where those are ratios of speeds."""
    found = []
    for row in one.rows[1:]:
        effect, pair = one.effect(row, one.best), one.pair(row, one.best)
        sides = sides_of(row, one.best, pair.measure.path if pair else one.measure.path)
        over = f"{row.name} / {one.best.name}"
        if effect.is_ratio and one.measure.higher:
            effect, over, sides = effect.inverse, f"{one.best.name} / {row.name}", sides[::-1]
        elif not effect.is_ratio:
            over = f"{row.name} above {one.best.name}"
        measure = pair.measure.name if pair else one.measure.name
        p_holm, over_seeds = (pair.p_holm, pair.over_seeds) if pair else (None, False)
        found.append(Evidence(over, effect, p_holm, measure, over_seeds, sides))
    return tuple(found)


def _values(one: Standing, before: str, after: str = "", more: Sequence[Ground] = ()) -> Sentence:
    """Mean ± standard deviation of each row, in the unit that tables show, from the best on."""
    digits = 4 if one.measure.category == "likelihood" else 3
    shown = one.rows[:MOST_NAMED]
    said = [spread(one.stat(row), of(one.measure.path).scale, digits) for row in shown]
    rest = f", and {len(one.rows) - MOST_NAMED} more in the table" if len(one.rows) > MOST_NAMED else ""
    words = listed(f"{text} for {row.spoken}" for text, row in zip(said, shown, strict=True))
    grounds = [
        Ground("mean", one.measure.path, one.records(row), said=text) for text, row in zip(said, shown, strict=True)
    ]
    return Sentence(f"{before}{words}{rest}{after}.", [*grounds, *more])


def _told(one: Standing) -> list[Sentence]:
    """Which others the tests tell from the best."""
    if not one.tested or len(one.rows) < 3 or len(one.level) == 1:
        return []
    level = {id(row) for row in one.level}
    apart = [row for row in one.rows if id(row) not in level]
    tests = [Ground("test", one.measure.path, one.records(row), one.records(one.best)) for row in one.rows[1:]]
    if not apart:
        return [Sentence("No test tells any of them from the best.", tests)]
    names = listed(row.spoken for row in apart[:MOST_NAMED])
    return [Sentence(f"The tests put {names} behind {one.best.spoken}.", tests)]


class OneNumber(NamedTuple):
    """A number of a topic with several: what its sentence begins and ends with, and what its comparisons are called."""

    one: Standing
    before: str
    called: str = ""
    after: str = ""
    more: tuple[Ground, ...] = ()


def topic(topic: str, claim: Sentence, parts: Sequence[OneNumber], more: Sequence[Sentence] = ()) -> TestedFinding:
    """A finding of several numbers: the values of each, which of them are told apart, and all comparisons."""
    sentences = [x for p in parts for x in (_values(p.one, p.before, p.after, p.more), *_told(p.one))]
    shown = tuple(x.named(f"{part.called}: ") if part.called else x for part in parts for x in evidence(part.one))
    return TestedFinding(topic, claim, (*sentences, *more), shown, parts[0].one.over_seeds)


def measured(found: list[Standing], path: str) -> Standing | None:
    there = [one for one in found if one.measure.path == path and len(one.rows) > 1]
    return max(there, key=lambda one: len(one.rows), default=None)
