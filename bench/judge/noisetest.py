"""The test of a number's noise: what is known of that noise, from the prior, both sides and older baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from equibench.judge.comparison import Comparison
from equibench.judge.decide import NoiseTest, Undecided
from equibench.judge.gates import Gates, Limits
from equibench.judge.older import OlderNoise
from equibench.judge.rule import KnownNoise, Spread, judge, noise
from equibench.judge.values import (
    Row,
    Sample,
    as_share,
    by_invocation,
    grouped,
    invocations_known,
    least_sd,
    reference_shift,
    references,
    sample_of,
    stat_of_row,
)
from equibench.quantities.glossary import BITS, Category, Quantity
from equibench.quantities.text import join
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.bounds import bound_words
from equibench.summary.sort import RowKey
from equibench_models import FAMILIES

SHIFT = math.log(1.1)  # of the reference workload between two sides, which is usual; what goes beyond counts as noise
Margins = Mapping[Category, float]  # of --not-worse-than: shares


class Setting(NamedTuple):
    """What all lines of a check are made with."""

    gates: Gates
    older: OlderNoise
    margins: Margins


class Gated(NamedTuple):
    """A number that gates, on both sides, as its line begins."""

    key: RowKey
    line: Comparison
    quantity: Quantity
    path: str
    had: Row
    has: Row
    about: tuple[str, ...]  # what a reader should know of the records


def tested(gated: Gated, setting: Setting) -> Undecided:
    """The line with its test, or, where nobody knows the noise, as not judged."""
    key, line, quantity, path, had, has, about = gated
    mean = stat_of_row(path, had).mean
    limits = setting.gates.limits(key.entrant, path)
    margin = _margin(line.margin, limits, mean)
    limits = limits._replace(tolerance=_tolerance(limits, margin))
    with_reference = references(path, (had, has))
    before, after = (sample_of(quantity, path, side, limits, mean, with_reference) for side in (had, has))
    example = next(iter(had.values()))
    older = setting.older.of(key, path, limits.scale, [*had.values(), *has.values()])
    others = [before.spread._replace(what="baseline"), older]
    spreads = [*others, after.spread._replace(what="run")]
    known = any(spread.df for spread in spreads) or setting.gates.has_prior(key.entrant, path)
    if has_own_family(example) and not quantity.timed and not known:
        sentence = (
            "one seed a side, and the noise of an own family is unknown: run more, or give its prior_sd (--gates)"
        )
        change = as_share(Stat(after.values).mean - Stat(before.values).mean, limits.scale, mean)
        return Undecided(replace(line, verdict="not judged", sentence=sentence, worse_by=change))
    always = by_invocation(quantity)
    least = max(least_sd((before, after)), limits.least_sd / max(abs(mean), 1.0))
    every, without_run = (noise(limits.prior, some, least, always=always) for some in (spreads, others))
    if with_reference:
        shift = reference_shift(path, had, has)
        every, without_run, words = _over_reference(every, without_run, shift)
        about += (words,)
    if always and not invocations_known({**had, **has}):
        about += ("invocations were not recorded, so a folder counts as one",)
    if path != BITS and line.category == "likelihood":
        about += (f"the tightest bound that both sides have, {bound_words(example, path)}",)
    test = NoiseTest(
        judge(before.values, after.values, every, without_run),
        every,
        without_run,
        limits,
        mean,
        (len(before.values), len(after.values)),
        "invocation" if always else "seed",
        _worst(after, has, always),
        margin,
        (*about, *filter(None, [older.what])),
    )
    sources = (Spread(limits.prior.sd, every.assumed_df, "assumed"), *spreads)
    return Undecided(replace(line, sources=tuple(spread for spread in sources if spread.df)), gates=True, test=test)


def has_own_family(one: Record) -> bool:
    """Whether an entrant is of a user's own class, of whose noise nothing is known beforehand."""
    return one.family not in FAMILIES


def _over_reference(every: KnownNoise, without_run: KnownNoise, shift: float) -> tuple[KnownNoise, KnownNoise, str]:
    """Noise of speeds that were divided by the reference workload's: where that itself took another time, the machine
    was in another state, which division does not undo for all kinds of work alike. The variance of what is usual is
    in the known noise, so that only what is over it is added: a hair more than usual adds next to nothing.
    """
    if abs(shift) <= SHIFT:
        return every, without_run, "over the reference workload"
    every, without_run = (one._replace(variance=one.variance + shift**2 - SHIFT**2) for one in (every, without_run))
    percent = f"{100 * math.expm1(min(abs(shift), 100)):.0f} %"
    words = f"the reference workload took {percent} {'longer' if shift > 0 else 'longer in the baseline'}"
    return every, without_run, f"{words}, and what is over {100 * math.expm1(SHIFT):.0f} % counts as noise"


def _worst(sample: Sample, has: Row, by_invocations: bool) -> str:
    """Which value of the run is the worst, in words."""
    place = sample.values.index(max(sample.values))
    if not by_invocations:
        return f"seed {list(has)[place]}"
    seeds = join(str(one.seed) for one in grouped(has.values(), lambda one: one.invocation)[place])
    return f"one invocation (seed{'s' * (' ' in seeds)} {seeds})"


def _margin(margin: float | None, limits: Limits, mean: float) -> float | None:
    """A share as a change on the scale."""
    if margin is None:
        return None
    return math.log1p(margin) if limits.scale == "log" else margin * (abs(mean) if limits.scale == "absolute" else 1)


def _tolerance(limits: Limits, margin: float | None) -> float:
    """On the scale; what is allowed by --not-worse-than is no regression."""
    tolerance = math.log1p(limits.tolerance) if limits.scale == "log" else limits.tolerance
    return max(tolerance, margin or 0.0)
