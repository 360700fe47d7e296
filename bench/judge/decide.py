"""From tests of numbers to verdicts: error rates, Holm's correction, and what stands behind each line in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from equibench.judge.comparison import JUDGED, Comparison
from equibench.judge.gates import Gates, Limits
from equibench.judge.power import critical, detectable
from equibench.judge.rule import KnownNoise, TestStatistics, upper_limit
from equibench.judge.values import as_share
from equibench.quantities.glossary import Category
from equibench.quantities.text import number
from equibench.stats import holm


class NoiseTest(NamedTuple):
    """A number that is judged by its noise. `counts` and `unit`: how many values stand on each side, and of what;
    `worst`: which of the run's is the worst; `about`: what else a reader should know of the values.
    """

    statistics: TestStatistics
    noise: KnownNoise
    without_run: KnownNoise  # noise that the run had no part in, which its worst value is held against
    limits: Limits
    baseline: float  # its mean, of which changes are shares
    counts: tuple[int, int]
    unit: str
    worst: str
    margin: float | None = None  # on the scale
    about: tuple[str, ...] = ()


class Undecided(NamedTuple):
    """A line, whether its number gates, and the test that it waits for: where there is none, its verdict stands."""

    line: Comparison
    gates: bool = False
    test: NoiseTest | None = None


def decide(found: Sequence[Undecided], gates: Gates) -> tuple[Comparison, ...]:
    """Correct the p-values of each category apart, and turn tests into verdicts. A category has its error rate from
    what is there to be compared, whatever the values are: what was reproduced counts among its tests.
    """
    tests: dict[Category, int] = {}
    for one in found:
        category = one.line.category
        if category and one.gates and (one.test or one.line.verdict in JUDGED) and gates.alpha(category):
            tests[category] = tests.get(category, 0) + 1
    alphas = gates.shares(list(tests))
    lines: list[Comparison | None] = [None if one.test else one.line for one in found]
    for category, count in tests.items():
        places = [i for i, one in enumerate(found) if one.test and one.line.category == category]
        waiting = [found[i].test for i in places]
        padding = [1.0] * (count - len(places))  # what was reproduced
        p = holm([*(float(test.statistics.p) for test in waiting if test), *padding])
        beyond = holm([*(float(test.statistics.p_beyond(test.limits.tolerance)) for test in waiting if test), *padding])
        for place, corrected, corrected_beyond in zip(places, p, beyond, strict=False):
            lines[place] = _decided(found[place], corrected, corrected_beyond, alphas[category], count)
    return tuple(line for line in lines if line is not None)


def _decided(found: Undecided, p: float, p_beyond: float, alpha: float, tests: int) -> Comparison:
    test = found.test
    assert test is not None
    statistics, limits = test.statistics, test.limits
    critical_value = critical(alpha, tests, statistics.df, test.counts[1])
    error = float(statistics.error)
    fails_from = max(limits.tolerance, critical_value * error) if error else limits.tolerance
    seen = detectable(error, statistics.df, critical_value, limits.tolerance)
    at_most = float(upper_limit(statistics)) if test.margin is not None else None

    def share(change: float | None) -> float | None:
        return None if change is None else as_share(change, limits.scale, test.baseline)

    line = replace(
        found.line,
        worse_by=share(float(statistics.change)),
        tolerance=share(limits.tolerance),
        p=p,
        alpha=alpha,
        fails_from=share(fails_from),
        detectable=share(seen),
        df=statistics.df,
        margin=share(test.margin),
        at_most=share(at_most),
    )
    behind = _behind(test, test.noise)
    if p_beyond <= alpha:
        if float(statistics.of_mean) <= float(statistics.of_worst) and float(statistics.change) > limits.tolerance:
            return replace(line, verdict="regression", sentence=f"worse by more than noise explains: {behind}")
        worst = changed_by(float(statistics.worst), limits, test.baseline)
        behind = _behind(test, test.without_run)
        return replace(line, verdict="regression", sentence=f"{test.worst} alone is worse by {worst}: {behind}")
    if test.margin is not None and at_most is not None and at_most < test.margin:
        sentence = f"shown to be worse by less than {_amount(test.margin, test)}: {behind}"
        return replace(line, verdict="within", sentence=sentence)
    prefix = (
        f"not shown to be worse, nor to be within {_amount(test.margin, test)}; " if test.margin is not None else ""
    )
    return replace(line, verdict="passed", sentence=f"{prefix}{_seen(seen, test)}: {behind}")


def _seen(seen: float, test: NoiseTest) -> str:
    """The smallest detectable change in words."""
    if not math.isfinite(seen):
        return "no change would be seen"
    return f"a change of {changed_by(seen, test.limits, test.baseline)} would be seen in 8 of 10 cases"


def _behind(test: NoiseTest, noise: KnownNoise) -> str:
    """Counts and noise in words."""
    a, b = test.counts
    sd = math.sqrt(float(noise.variance))
    shown = f"{number(sd, 2)} bits/dim" if test.limits.scale == "absolute" else f"{100 * sd:.2g} %"
    own = noise.df - noise.assumed_df
    words = f"{a} and {b} {test.unit}s, "
    if noise.assumed_df > own:
        words += f"assumed noise {shown}, {noise.df:g} d.f."
    else:
        words += f"noise {shown}, {noise.df:g} d.f."
    if noise.assumed_df and own:
        words += f", {noise.assumed_df:g} of them assumed"
    return "; ".join([words, *test.about])


def changed_by(change: float, limits: Limits, baseline: float) -> str:
    """A change on the scale of its test, in words."""
    if limits.scale == "absolute":
        return f"{'+' * (change >= 0)}{number(change, 3)} bits/dim"
    share = as_share(change, limits.scale, baseline)
    return f"{share:+.2g}".replace("inf", "∞") + " times" if abs(share) >= 10 else f"{100 * share:+.3g} %"


def _amount(change: float, test: NoiseTest) -> str:
    return changed_by(change, test.limits, test.baseline).lstrip("+")
