"""What ladders of budgets support, in words: laws with their range, and where the order of entrants changes.

A sentence is made from the same pattern whoever comes out ahead. Every law names the budgets that it was fitted to, and
nothing is said of others.
"""

from __future__ import annotations

from equibench.protocol import RANKING_SEEDS
from equibench.quantities.text import join, number
from equibench.record.schema import Interval
from equibench.summary.ladders import Ladder, Measure, Rung, Trend
from equibench.summary.laws import FittedLaw
from equibench.summary.order import Crossing, Ordering, orders

LEAST_SHOWN = 5e-4  # of an exponent


def ladder_sentences(ladder: Ladder) -> list[str]:
    """First the laws, then changes of order, by measure; then what has no law."""
    found: list[str] = []
    compared = orders(ladder)
    for measure in ladder.measures:
        found += [f"{measure.name} of {series.name} {law_words(series)}." for series in ladder.of(measure)]
        found += order_sentences(measure, [order for order in compared if order.measure == measure])
    few = list(dict.fromkeys(series.name for series in ladder.series if series.fit.exponent is None))
    if few:
        found.append(
            f"Intervals need at least {RANKING_SEEDS} training seeds at every budget; there are none for {join(few)}."
        )
    return [*found, *ladder.left_out]


def law_words(series: Trend) -> str:
    """How the number changes with compute, over which budgets, and whether the law holds there."""
    fit = series.fit
    low, high = (flops_words(rung) for rung in (series.rungs[0], series.rungs[-1]))
    where = f"from {low} to {high} training FLOPs ({len(series.rungs)} budgets, {_seeds(fit)})"
    return f"{_trend(fit)} {where}{_doubt(series)}"


def _trend(fit: FittedLaw) -> str:
    law, known = fit.law, fit.exponent
    power = f"C^{_signed(-law.exponent)}{_between(known, negated=True)}"
    if law.to_floor:
        return f"falls as {power} towards {number(law.floor, 4)}{_between(fit.floor, digits=4)}"
    if known and known.low <= 0 <= known.high:
        return f"shows no trend, {power},"
    if abs(law.exponent) < LEAST_SHOWN:
        return f"stays the same, {power},"
    return f"{'falls' if law.exponent > 0 else 'rises'} as {power}"


def _between(known: Interval | None, negated: bool = False, digits: int = 2) -> str:
    if known is None:
        return ""
    ends = (-known.high, -known.low) if negated else (known.low, known.high)
    low, high = (_signed(end) if negated else number(end, digits) for end in ends)
    return f" ({known.level:.0%} interval {low} to {high})".replace("%", " %")


def _signed(exponent: float) -> str:
    return f"{0.0 if abs(exponent) < LEAST_SHOWN else exponent:.3f}"


def _seeds(fit: FittedLaw) -> str:
    return f"{fit.seeds} training seed{'s' * (fit.seeds > 1)}"


def _doubt(series: Trend) -> str:
    """What speaks against the law, where anything does or nothing can tell."""
    fit = series.fit
    most = f"up to {number(100 * max(map(abs, fit.deviations)), 2)} %"
    if fit.holds:
        return ""
    if fit.holds is None:
        return f"; the budgets deviate from it by {most}, and one seed does not tell whether by chance"
    bend = {
        "flattens": "it flattens towards the larger budgets",
        "steepens": "it gets steeper towards the larger budgets",
        "irregular": "they lie above and below it without a pattern",
    }[fit.bend]
    return f"; the law does not hold: the budgets deviate from it by {most}, more than their seeds explain, and {bend}"


def order_sentences(measure: Measure, found: list[Ordering]) -> list[str]:
    """The changes of order, a sentence each, then the pairs without one in a sentence."""
    changed = [f"{measure.name}: {crossing_words(order, crossing)}." for order in found for crossing in order.crossings]
    steady = [steady_words(order) for order in found if not order.crossings]
    return changed + (
        [f"{measure.name}: no change of order is shown between {'; between '.join(steady)}."] if steady else []
    )


def crossing_words(order: Ordering, crossing: Crossing) -> str:
    before, after, better = crossing.before.name, crossing.after.name, better_words(order)
    where = "" if crossing.about_flops is None else f", and the means cross at about {number(crossing.about_flops, 2)}"
    return (
        f"{before} {better} {after} at {flops_words(crossing.low)} training FLOPs, {after} {better} {before} at "
        f"{flops_words(crossing.high)}: the order changes between these budgets{where}"
    )


def steady_words(order: Ordering) -> str:
    """Which of the two was ahead at how many budgets."""
    pair = f"{order.a.name} and {order.b.name}"
    ahead = next((winner for winner in order.lower if winner), None)
    budgets = f"{len(order.rungs)} budget{'s' * (len(order.rungs) > 1)}"
    if ahead is None:
        return f"{pair} (not decided at any of {budgets})"
    behind = order.b if ahead is order.a else order.a
    return f"{pair} ({ahead.name} {better_words(order)} {behind.name} at {order.decided_for(ahead)} of {budgets})"


def better_words(order: Ordering) -> str:
    return "has a lower bound than" if order.of_bounds else "is better than"


def flops_words(rung: Rung) -> str:
    return number(rung.amount)
