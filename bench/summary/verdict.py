"""The answer in one sentence, how sure it is, and what the tiles of the first screen say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from equibench.quantities.glossary import of
from equibench.quantities.metric import metric_of
from equibench.quantities.text import number
from equibench.summary.evidence import Ground, Sentence
from equibench.summary.pairs import Category
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row, Section
from equibench.summary.standing import (
    Standing,
    leading,
    listed,
    standings,
    times,
)
from equibench.summary.tiles import TILES, Tile, behind, by_which_bound, interval, names_of, next_to, tile_of
from equibench.summary.ways import SettingPair, compared, other_ways, seeds_suffice, sided, turned

MOST_VALUES = 3  # that a clause gives of entrants that are not told apart


@dataclass(frozen=True)
class Verdict:
    """What the first screen says of a section."""

    sentence: str
    sure: str
    tiles: tuple[Tile, ...]


def verdict(section: Section) -> Verdict:
    """Raises nothing: what cannot be said of these records is said to be so."""
    found = standings(section)
    shown = [one for category, _ in TILES if (one := leading(found, category))]
    tiles = tuple(tile_of(section, title, category, leading(found, category)) for category, title in TILES)
    if not section.entrants:
        return Verdict("There is no entrant here: these are floors, by which a number is read.", "", ())
    if not section.ran:
        return Verdict(f"No entrant has a result: {listed(_failure(row) for row in section.failures)}.", "", ())
    if not section.rankable:
        names = listed(row.name for row in section.ran)
        return Verdict(f"Nothing is ranked: no entrant kept to the budget ({names}).", "", tiles)
    if len(section.rankable) == 1:
        return Verdict(_alone(section.rankable[0], shown), _seeds_alone(section.rankable[0]), tiles)
    clauses = _merged(section, shown)
    if not clauses:
        return Verdict("Nothing is ranked: no number was measured of two entrants alike.", _seeds_words(section), tiles)
    words = "; ".join(clauses)
    return Verdict(f"{_scope(section)}{words if _scope(section) else _first(words)}.", _sure(section, shown), tiles)


def _failure(row: Row) -> str:
    return f"{row.name} ({row.first.status})"


def _first(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}" if words.startswith(("the ", "diffusion ")) else words


def _scope(section: Section) -> str:
    """What fewer than three seeds allow, before anything else is said."""
    if all(row.loaded for row in section.rankable):
        return "Nothing is ranked, as nothing was trained here. Of these models alone: "
    if seeds_suffice(section):
        return ""
    fewest = min(len(row.seeds) for row in section.rankable)
    seeds = "one training seed" if fewest == 1 else "two training seeds"
    return f"With {seeds} nothing is ranked. Of these trained models alone: "


def _alone(row: Row, shown: list[Standing]) -> str:
    values = [f"{one.name} of {_with_unit(one, row)}" for one in shown if row in one.rows]
    said = f" has {listed(values)}" if values else " has a result, with nothing measured"
    return f"Only {row.spoken}{said}: there is nothing to compare it with."


def _seeds_alone(row: Row) -> str:
    if row.loaded:
        return "Its budget is not known here."
    if len(row.seeds) == 1:
        return "Of one training seed: another training may give other numbers."
    return f"Means over {len(row.seeds)} training seeds."


def _with_unit(one: Standing, row: Row) -> str:
    quantity = of(one.measure.path)
    unit = quantity.shown.unit if quantity.shown else quantity.unit
    bound = "at most " if one.measure.of_bounds else ""
    return f"{bound}{one.shown(row)}" + (f" {unit}" if unit and one.measure.category != "likelihood" else "")


def _merged(section: Section, shown: list[Standing]) -> list[str]:
    """In the order of `shown`, a clause for each entrant that leads in something and each number that is undecided."""
    clauses: dict[str, list[str]] = {}
    for one in shown:
        if len(one.rows) < 2:
            continue
        if len(one.level) > 1:
            clauses[f"{_OPEN[one.measure.category](one)} is not decided"] = [
                f"({_level_words(one)}{_lower_otherwise(section, one)})"
            ]
        else:
            claim = _CLAIMS[one.measure.category](one).removesuffix(")")
            clauses.setdefault(one.best.spoken, []).append(f"{claim}{_lower_otherwise(section, one)})")
    return [f"{subject} {listed(claims)}" for subject, claims in clauses.items()]


def _level_words(one: Standing) -> str:
    """The entrants of whom none is told to be the best, with their numbers."""
    if len(one.level) > MOST_VALUES:
        return names_of(one.level, "or")
    values = listed(f"{one.shown(row)} for {row.spoken}" for row in one.level)
    return f"{one.name} of {values}" if one.measure.category == "quality" else values


def _lower_otherwise(section: Section, one: Standing) -> str:
    """The lowest distance that an entrant has when sampled in another way than usual, where that is below the best."""
    quality = one.best.first.quality
    if one.measure.category != "quality" or quality is None or (metric := metric_of(quality)) is None:
        return ""
    ways = [way for row in section.rankable for way in other_ways(row, metric)]
    least = min(ways, key=lambda way: way.distance, default=None)
    if least is None or least.distance >= one.stat(one.best).mean:
        return ""
    return f"; by “{least.setting.label}”, {least.row.spoken} has {number(least.distance)}"


def _quality(one: Standing) -> str:
    row, effect = next_to(one)
    after = f"{row.spoken}, next, has {times(effect.value)} times that" if effect.is_ratio else f"then {row.spoken}"
    return f"makes the best samples ({one.name} {one.shown(one.best)}; {after})"


def _likelihood(one: Standing) -> str:
    row, effect = next_to(one)
    kind = "lowest upper bound on bits/dim" if one.measure.of_bounds else "lowest bits/dim"
    return f"has the {kind} ({one.shown(one.best)}; {row.spoken}, next, {behind(one, row, effect)})"


def _speed(one: Standing) -> str:
    row, effect = next_to(one)
    busy = ", timed on an unsteady machine" if row in one.busy or one.best in one.busy else ""
    return f"samples fastest ({times(1 / effect.value)} times as fast as {row.spoken}{busy})"


def _memory(one: Standing) -> str:
    row, effect = next_to(one)
    return f"trains in the least memory ({row.spoken}, next, takes {times(effect.value)} times that)"


_CLAIMS: dict[Category, Callable[[Standing], str]] = {
    "quality": _quality,
    "likelihood": _likelihood,
    "speed": _speed,
    "memory": _memory,
}
_OPEN: dict[Category, Callable[[Standing], str]] = {
    "quality": lambda one: "the best sample quality",
    "likelihood": lambda one: "the lowest upper bound on bits/dim" if one.measure.of_bounds else "the lowest bits/dim",
    "speed": lambda one: "the highest sampling speed",
    "memory": lambda one: "the least training memory",
}


def _sure(section: Section, shown: list[Standing]) -> str:
    parts = []
    for one in shown if seeds_suffice(section) else []:
        if one.measure.category not in ("quality", "likelihood") or len(one.rows) < 2:
            continue
        row, effect = next_to(one)
        open_one = "" if one.decided else ", which decides nothing"
        if words := interval(effect, 3 if effect.is_ratio else 2):
            parts.append(f"{_apart(one, row, effect)} (95 % interval {words}{open_one})")
    found = f"{_seeds_words(section)[:-1]}: {listed(parts)}." if parts else _seeds_words(section)
    return " ".join(filter(None, [found, _turning(section), _busy_words(shown)]))


def _apart(one: Standing, row: Row, effect: Effect) -> str:
    """How far the row behind the best lies from it."""
    best = one.best.spoken
    if effect.value == (1 if effect.is_ratio else 0):
        return f"{row.spoken} has the same {one.name} as {best}"
    if effect.is_ratio:
        return f"{row.spoken} has {number(effect.value)} times the {one.name} of {best}"
    side = "above" if effect.value >= 0 else "below"
    far = number(abs(effect.value), 2)
    return f"{row.spoken} has {one.name} {far} {side} that of {best}{by_which_bound(one, row)}"


def _seeds_words(section: Section) -> str:
    if all(row.loaded for row in section.rankable):
        return (
            "No budget of any is known here. Distances and bits/dim are tested by their errors over samples and test "
            "images; speed and memory are values of this run, not tested."
        )
    counts = sorted({len(row.seeds) for row in section.rankable})
    if counts and counts[0] >= 3:
        spread = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"Over {spread} training seeds, at 5 % after Holm's correction."
    return (
        "Distances and bits/dim are tested by their errors over samples and test images; speed and memory are values "
        "of this run, not tested. Another training may turn the order."
    )


def _turning(section: Section) -> str:
    """The setting of a sampler that changes the order."""
    found = compared(section)
    changes = turned(found)
    if not changes:
        ways = [pair for pair in found if pair.between and not pair.b.usual and pair.effect.p is not None]
        return "No other way to sample that was measured brings an entrant level with one ahead of it." if ways else ""
    return turn_words(min(changes, key=lambda change: change.a.distance))


def turn_words(way: SettingPair) -> Sentence:
    """How another way to sample changes the order of two entrants, as a sentence."""
    metric = way.b.setting.metric
    behind, ahead = way.b.row.spoken, way.a.row.spoken
    how = "is ahead of" if way.decided else "is not told apart from"
    said = number(way.b.distance), number(way.a.distance)
    words = (
        f"Sampled by “{way.b.setting.label}”, {behind} {how} {ahead} "
        f"({metric.metric} {said[0]} and {said[1]}, of {metric.n_samples:,} samples)."
    )
    counts = f"{way.b.path.removesuffix('.value')}.n_samples"
    grounds = [*sided(way.b, said[0]), *sided(way.a, said[1])]
    grounds.append(Ground("fact", counts, way.b.records, said=f"{metric.n_samples:,}"))
    return Sentence(words, [*grounds, Ground("test", way.b.path, way.b.records, way.a.records)])


def _busy_words(shown: list[Standing]) -> str:
    rows = [row for one in shown for row in one.busy]
    if not rows:
        return ""
    names = list(dict.fromkeys(row.spoken for row in rows))
    whose = "its speed" if len(names) == 1 else "their speeds"
    return f"The machine was not steady as {listed(names)} ran: do not trust {whose}."
