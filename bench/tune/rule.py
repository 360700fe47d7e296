"""The rule by which settings are chosen, the same for all entrants: the least distance among those that keep their
likelihood. Pure functions of what the trainings gave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from equibench.record.study import Candidate, Search, Training
from equibench.tune.suggest import Told


class Mean(NamedTuple):
    """A candidate over the seeds of its full runs; nothing where one of them failed."""

    candidate: Candidate
    distance: float | None
    bits_per_dim: float | None


def kept(distance: float | None, bits_per_dim: float | None, most_bits: float) -> float | None:
    """The distance of what may be chosen, as it is there and the likelihood is no worse than it may be; else None."""
    likely = most_bits == math.inf if bits_per_dim is None else bits_per_dim <= most_bits
    return distance if likely else None


def told(trials: Sequence[Training], search: Search) -> list[Told]:
    """The trials as the sampler is told of them: one that may not be chosen is as bad as the worst that may."""
    found = [_of_trial(one, trials[0], search) for one in trials]
    worst = max((distance for distance in found if distance is not None), default=0.0)
    return [Told(one.values, worst if at is None else at) for one, at in zip(trials, found, strict=True)]


def finalists(trials: Sequence[Training], search: Search) -> list[Candidate]:
    """The entrant as it stands, then the others among the best by their trials, the best first."""
    found = [(_of_trial(one, trials[0], search), one.candidate) for one in trials]
    ranked = sorted(((at, one.number, one) for at, one in found if at is not None), key=lambda item: item[:2])
    return [trials[0].candidate, *(one for _, number, one in ranked[: search.best] if number)]


def means(finals: Sequence[Candidate], full_runs: Sequence[Training], search: Search) -> list[Mean]:
    """Each finalist over its full runs."""
    return [_mean(one, [run for run in full_runs if run.candidate.number == one.number], search) for one in finals]


def choice(finals: Sequence[Mean], search: Search) -> tuple[Candidate, str]:
    """The finalist that is chosen, and why; the entrant as it stands is the first of them."""
    start = finals[0]
    most_bits = _most_bits(start.distance, start.bits_per_dim, search)
    found = [(kept(one.distance, one.bits_per_dim, most_bits), one.candidate) for one in finals]
    ranked = sorted(((at, one.number, one) for at, one in found if at is not None), key=lambda item: item[:2])
    if not ranked:
        return start.candidate, "no finalist ended well with every seed, so that the entrant stays as it stands"
    among = f"of the {len(ranked)} of {len(finals)} finalists that ended well and keep their likelihood"
    return ranked[0][2], f"the least mean distance {among}"


def _of_trial(one: Training, start: Training, search: Search) -> float | None:
    return kept(one.distance, one.bits_per_dim, _most_bits(start.distance, start.bits_per_dim, search))


def _most_bits(distance: float | None, bits_per_dim: float | None, search: Search) -> float:
    """The most bits/dim that a candidate may have, by those of the entrant as it stands; no limit where that failed, or
    has no likelihood.
    """
    return math.inf if distance is None or bits_per_dim is None else bits_per_dim + search.worse_bits_per_dim


def _mean(of: Candidate, runs: Sequence[Training], search: Search) -> Mean:
    distances = [run.distance for run in runs if run.distance is not None]
    if len(distances) < len(search.seeds):
        return Mean(of, None, None)
    bits = [run.bits_per_dim for run in runs if run.bits_per_dim is not None]
    return Mean(of, fmean(distances), fmean(bits) if len(bits) == len(runs) else None)
