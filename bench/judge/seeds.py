"""How many seeds, invocations and samples a check takes to see a change: `equibench plan SUITE --detect 5%`.

The same function that gives the smallest detectable change is inverted, for equal numbers on both sides, from noise
that was measured in records of the suite, or else from the prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from equibench.errors import UserError
from equibench.judge.gates import CATEGORIES, Gates, Limits
from equibench.judge.margins import share_in
from equibench.judge.power import MOST_SEEDS, seeds_for
from equibench.judge.rule import MEASURED_FROM
from equibench.judge.values import (
    Row,
    by_invocation,
    grouped,
    is_counted,
    least_sd,
    measured,
    references,
    sample_of,
    stat_of_row,
    together,
)
from equibench.quantities.glossary import Category, Quantity, of
from equibench.record.schema import Record
from equibench.suite import Suite
from equibench.summary.sections import failed

WITHOUT_LIKELIHOOD = ("gan",)  # families, of which no likelihood is gated


class Target(NamedTuple):
    """The change that is to be seen: a share, and of likelihoods bits per dimension where these are given."""

    share: float | None = None
    bits_per_dim: float | None = None


class Need(NamedTuple):
    """What it takes for one number of an entrant. `seeds` are on each side (invocations for speed and memory); None
    where no number of them does, for the reason in `why`. `samples` are enough for these seeds.
    """

    entrant: str
    number: str
    category: Category
    seeds: int | None
    unit: str
    samples: int | None
    noise: str
    why: str = ""


def target(texts: Sequence[str]) -> Target:
    """The change as on the command line: "5%", "0.02bits", or both. Raises UserError for what is none."""
    share = bits = None
    for text in texts:
        if text.strip().endswith("bits"):
            try:
                bits = float(text.strip().removesuffix("bits"))
            except ValueError:
                bits = math.nan
            if not 0 < bits < 1000:
                raise UserError(f"--detect {text}: give bits per dimension as a number, such as --detect 0.02bits")
        else:
            share = share_in("--detect ", text)
    return Target(share, bits)


def needs(suite: Suite, wanted: Target, gates: Gates, records: Iterable[Record] = ()) -> list[Need]:
    """A line for each entrant and number that gates. Raises UserError where the records hold none of the entrants."""
    rows = {entrant.name: _row(entrant.name, records) for entrant in suite.entrant}
    if records and not any(rows.values()):
        raise UserError(
            f"the records hold none of the suite's entrants ({', '.join(rows)}); give records of {suite.name} with "
            "--from-records"
        )
    numbers = [
        (entrant.name, of(path))
        for category in CATEGORIES
        if category != "cost"
        for entrant in suite.entrant
        if category != "likelihood" or entrant.family not in WITHOUT_LIKELIHOOD
        for path in gates.gated(entrant.name, category)
    ]
    tests = {c: sum(quantity.category == c for _, quantity in numbers) for c in CATEGORIES}
    alphas = gates.shares([category for category in CATEGORIES if tests[category]])
    found = []
    for name, quantity in numbers:
        assert quantity.category
        rate = alphas[quantity.category], tests[quantity.category]
        found.append(_need(name, quantity, wanted, gates, rows[name], rate, suite.measure.samples))
    return found


def _row(entrant: str, records: Iterable[Record]) -> Row:
    """The records of an entrant by seed; of a seed that is there twice, the last."""
    return {one.seed: one for one in records if one.entrant == entrant and one.role == "entrant" and not failed(one)}


def _need(
    entrant: str, quantity: Quantity, wanted: Target, gates: Gates, row: Row, rate: tuple[float, int], samples: int
) -> Need:
    assert quantity.category
    limits, has = gates.limits(entrant, quantity.path), measured(quantity.path, row)
    always = by_invocation(quantity)
    need = Need(entrant, quantity.path, quantity.category, None, "invocations" if always else "seeds", None, "")
    mean = stat_of_row(quantity.path, has).mean if has else None
    change = _on_scale(wanted, limits, mean)
    if change is None:
        if wanted.share is None:
            return need._replace(why="no likelihood: give a share too, as --detect 5%")
        return need._replace(why="its bits/dim are unknown: give --from-records, or --detect 0.02bits")
    # nothing but counts of memory is recorded today
    counted = is_counted(quantity, has) if has else quantity.category == "memory"
    allowed = limits.counted_tolerance if counted else limits.tolerance
    tolerance = math.log1p(allowed) if limits.scale == "log" else allowed
    if change <= tolerance:
        return need._replace(why="the change is within the tolerance, which a gates file may lower")
    if counted:
        return need._replace(seeds=1, noise="counted, without noise")
    sd, error, words = _noise(quantity, has, limits)
    alpha, tests = rate

    def enough(deviation: float) -> int | None:
        return seeds_for(change, deviation, limits.prior, 0, alpha, tests, tolerance, always=always)

    seeds = enough(sd)
    if seeds is None:
        return need._replace(noise=words, why=f"more than {MOST_SEEDS:,} would be needed")
    if quantity.category != "quality":
        return need._replace(seeds=seeds, noise=words)
    if not error:
        return need._replace(seeds=seeds, noise=words, samples=samples)
    training = sd**2 - error**2
    low, high = 2, samples  # the least number of samples that these seeds do with
    while high - low > max(1, samples // 100):
        middle = (low + high) // 2
        fewer = enough(math.sqrt(max(training, 0.0) + error**2 * samples / middle))
        low, high = (low, middle) if fewer is not None and fewer <= seeds else (middle, high)
    return need._replace(seeds=seeds, noise=words, samples=high)


def _on_scale(wanted: Target, limits: Limits, mean: float | None) -> float | None:
    if limits.scale != "absolute":
        return None if wanted.share is None else math.log1p(wanted.share) if limits.scale == "log" else wanted.share
    if wanted.bits_per_dim is not None or mean is None or wanted.share is None:
        return wanted.bits_per_dim
    return wanted.share * abs(mean)


def _noise(quantity: Quantity, has: Row, limits: Limits) -> tuple[float, float, str]:
    """The deviation of one value, the part of it that evaluation makes, and both in words. A prior that keeps its
    weight, and few measured degrees of freedom, are weighed as in a check.
    """
    prior, always = limits.prior, by_invocation(quantity)
    if not has:
        return prior.sd, 0.0, f"assumed {_shown(prior.sd, limits)}"
    mean = stat_of_row(quantity.path, has).mean
    machines = grouped(has.values(), lambda one: one.machine.key if quantity.timed else "")
    rows = [{one.seed: one for one in group} for group in machines]
    samples = [sample_of(quantity, quantity.path, row, limits, mean, references(quantity.path, [row])) for row in rows]
    error, measured_spread = least_sd(samples), together(sample.spread for sample in samples)
    least = max(error, limits.least_sd / max(abs(mean), 1.0))
    own = measured_spread.df
    weight = prior.df if always or own < MEASURED_FROM else 0.0
    variance = (weight * prior.sd**2 + own * float(measured_spread.sd) ** 2) / (weight + own)
    sd = max(math.sqrt(variance), least)
    if not own:
        return sd, error, f"assumed {_shown(sd, limits)}"
    words = f"{_shown(sd, limits)} ({own:g} d.f. measured" + (f", {weight:g} assumed)" if weight else ")")
    return sd, error, words


def _shown(sd: float, limits: Limits) -> str:
    return f"{sd:.2g} bits/dim" if limits.scale == "absolute" else f"{100 * sd:.2g} %"
