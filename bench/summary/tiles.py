"""The tiles of the first screen: of each category who leads, by how much, how sure, and all entrants as bars."""

from __future__ import annotations

from dataclasses import dataclass

from equibench.quantities.metric import compared_kind
from equibench.quantities.text import number, p_words
from equibench.record.budget import kept_budget
from equibench.record.paths import value_at
from equibench.summary.beside import measured_alike
from equibench.summary.bounds import count_path
from equibench.summary.pairs import SPEED, TRAIN_MEMORY, Category
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row, Section
from equibench.summary.standing import Standing, listed, named_first, times

TILES: tuple[tuple[Category, str], ...] = (
    ("quality", "Sample quality"),
    ("likelihood", "Likelihood"),
    ("speed", "Sampling speed"),
    ("memory", "Training memory"),
)
NOTHING: dict[Category, str] = {
    "quality": "No distance was measured",
    "likelihood": "No entrant has a likelihood",
    "speed": "Speed was not measured",
    "memory": "Training memory was not measured",
}


@dataclass(frozen=True)
class Bar:
    """One entrant in a tile."""

    name: str
    family: str
    text: str  # its value, or why there is none in a word or two
    share: float | None  # of the tile's width
    leads: bool = False
    why: str = ""
    row: Row | None = None  # whose number it is, at `path` of its records
    path: str = ""


@dataclass(frozen=True)
class Tile:
    """One category: who leads, by how much, how sure."""

    title: str
    unit: str
    winner: str  # empty where nothing was measured, several where it is not decided
    family: str
    value: str
    apart: str
    sure: str
    bars: tuple[Bar, ...]
    from_zero: bool  # whether bars begin at zero, or are places between the least and the most


def names_of(rows: list[Row], last: str = "and") -> str:
    return listed((row.spoken for row in rows), last) if len(rows) < 5 else f"{len(rows)} entrants"


def next_to(one: Standing) -> tuple[Row, Effect]:
    """The row behind the best, or the first that is not told from it, and how far it lies from it."""
    row = one.level[1] if len(one.level) > 1 else one.rows[1]
    return row, one.effect(row, one.best)


def by_which_bound(one: Standing, row: Row) -> str:
    """Words that two bounds were compared by a tighter one than the usual, where the difference is of that one, and on
    how many test images.
    """
    if not one.by_tighter(row) or (pair := one.pair(row, one.best)) is None:
        return ""
    count = value_at(row.first, count_path(pair.measure.path))
    return f", by a tighter bound on {count:,} test images"


def behind(one: Standing, row: Row, effect: Effect) -> str:
    """How much higher the number of the row behind the best is, where two bounds may have been compared by a tighter
    one than those that are shown.
    """
    far = number(effect.value, 2)
    bound = by_which_bound(one, row)
    return f"has {one.shown(row)}; the difference is {far}{bound}" if bound else f"is {far} higher"


def interval(effect: Effect, digits: int = 3) -> str:
    """The ends of an interval, such as "1.18 to 1.60", with a digit more where they would read alike; empty where there
    is none.
    """
    if effect.low is None or effect.high is None:
        return ""
    shown = [(number(effect.low, n), number(effect.high, n)) for n in (digits, digits + 1)]
    low, high = next((ends for ends in shown if ends[0] != ends[1]), shown[0])
    return f"{low} to {high}"


def tile_of(section: Section, title: str, category: Category, one: Standing | None) -> Tile:
    """The tile of a category: `one` is its criterion; where it is None, the tile says why nothing was measured."""
    if one is None:
        reasons = [why for row in section.ran for why in [_why(row, category)] if why]
        most = max(dict.fromkeys(reasons), key=reasons.count, default="")
        return Tile(title, "", "", "", NOTHING[category], most, "", _bars(section, category, one), True)
    unit = _unit(section, category, one)
    level = one.level
    apart, sure = _tile_words(one)
    bars = _bars(section, category, one)
    winner = one.best.name if len(level) == 1 else "Not decided"
    value = ("≤ " if one.measure.of_bounds else "") + one.shown(one.best) if len(level) == 1 else ""
    family = (one.best.first.family or "") if len(level) == 1 else ""
    return Tile(title, unit, winner, family, value, apart, sure, bars, category != "likelihood")


def _unit(section: Section, category: Category, one: Standing) -> str:
    """What a tile's numbers are of, and which are better."""
    if category == "quality":
        return f"distance to real images, {one.measure.name}; less is better"
    if category == "likelihood":
        return f"bits/dim of unseen images, {one.kind}; less is better"
    if category == "speed":
        return f"images/s, {section.machine.device}"
    batches = {
        record.memory.train_batch_size for row in one.rows for record in row.having(TRAIN_MEMORY) if record.memory
    }
    return f"MiB, batch {listed(map(str, sorted(batches)), 'or')}, less is better"


def _tile_words(one: Standing) -> tuple[str, str]:
    """By how much, and how sure."""
    busy = ""
    if one.busy:
        were, value = ("was", "its value") if len(one.busy) == 1 else ("were", "their values")
        busy = f"{named_first(one.busy)} {were} timed on an unsteady machine: do not trust {value}."
    if len(one.rows) < 2:
        return "Nothing to compare it with.", busy
    row, effect = next_to(one)
    if len(one.level) > 1:
        names = named_first(one.level) if len(one.level) < 5 else names_of(one.level)
        apart = f"{names} are not told apart."
    elif not effect.is_ratio:
        apart = f"{row.first_words}, next, {behind(one, row, effect)}."
    elif one.measure.path == SPEED:
        apart = f"{times(1 / effect.value)} times as fast as {row.spoken}, next."
    else:
        verb = "takes" if one.measure.category == "memory" else "has"
        apart = f"{row.first_words}, next, {verb} {times(effect.value)} times that."
    pair = one.pair(row, one.best)
    shown = effect.inverse if one.measure.path == SPEED and effect.is_ratio else effect
    words = interval(shown, 3 if effect.is_ratio and effect.value < 2 else 2)
    if pair is None:
        sure = "Not tested: it takes three seeds."
    elif not pair.over_seeds:
        sure = f"These two models alone: {p_words(pair.p_holm)}."
    elif effect.low == effect.high:
        sure = f"The same in every seed; {p_words(pair.p_holm)}."
    else:
        sure = f"95 % interval {words}; {p_words(pair.p_holm)}."
    return apart, " ".join(filter(None, [sure, busy]))


def _why(row: Row, category: Category) -> str:
    part = {"quality": "quality", "likelihood": "likelihood", "speed": "speed", "memory": "memory"}[category]
    records = [cell.record for cell in row.cells]
    found = [getattr(getattr(one, part), "reason", None) or one.failures.get(part) for one in records]
    return next((str(reason) for reason in found if reason), "")


MOST_BARS = 6


def _bars(section: Section, category: Category, one: Standing | None) -> tuple[Bar, ...]:
    """All entrants: those with a number from the best on, then what was loaded, then those without a number and why.
    Of many, the first.
    """
    found: list[Bar] = []
    shown = [*one.rows, *measured_alike(section, one.measure)] if one else []
    if one is not None:
        means = [one.stat(row).mean for row in shown]
        least, most = min(means), max(means)
        level = {id(row) for row in one.level}
        for row, value in zip(shown, means, strict=True):
            place = (value - least) / (most - least) if most > least else 0.5
            share = place if category == "likelihood" else value / most if most > 0 else 0.0
            leads, path = id(row) in level, one.measure.path
            found.append(Bar(row.name, row.first.family or "", one.shown(row), share, leads, row=row, path=path))
    there = {id(row) for row in shown}
    for row in section.entrants:
        if id(row) not in there:
            found.append(Bar(row.name, row.first.family or "", _missing(row, category), None, why=_why(row, category)))
    if len(found) <= MOST_BARS:
        return tuple(found)
    return (*found[: MOST_BARS - 1], Bar(f"and {len(found) - MOST_BARS + 1} more", "", "see Results", None))


def _missing(row: Row, category: Category) -> str:
    """Why an entrant has no bar, in two words."""
    if row.failed:
        return row.first.status
    if not all(kept_budget(cell.record) for cell in row.cells):
        return "missed budget"
    likelihood = row.first.likelihood
    if category == "likelihood" and likelihood and likelihood.kind == "none":
        return "no likelihood"
    if category == "likelihood" and likelihood and likelihood.bits_per_dim is not None:
        return f"{compared_kind(likelihood)}, {number(likelihood.bits_per_dim, 4)}"
    return "not measured"
