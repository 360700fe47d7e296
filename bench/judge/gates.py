"""What a check compares, and the statistics of it: numbers of a baseline and of a run in, worse or not out.

A number is worse only where it is beyond the gate's tolerance *and* told from noise. Two kinds of noise are kept apart:

- between trainings: if nothing changed, baseline and run are draws of one process, so that Student's t with the pooled
  deviation of both holds (one-sided). It takes three seeds or more in the baseline. The p-values of all gates of a
  check are corrected together (Holm 1979): a check of two equal codes fails in at most 5 % of cases.
- between processes on one machine, for speed and memory: the spread of a row's cells, in logarithms, pooled over all
  rows, as it is the machine's; a row that spreads more has its own.

Where the baseline has fewer than three seeds, nobody knows what another training would give: the tolerance is wider,
the error over samples or repeats stands in, and the outcome says so. No 5 % is promised then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import ndtr, stdtr
from scipy.stats import mannwhitneyu

from equibench.errors import UserError, nearest
from equibench.protocol import SIGNIFICANCE
from equibench.quantities.glossary import Category, Quantity
from equibench.stats import Stat, root_mean_square

KNOWN_FROM = 3  # seeds of a baseline from which its spread between trainings counts as known


class Tolerance(NamedTuple):
    """Shares of the baseline's mean that a number may be worse by."""

    known: float  # where the noise between trainings, or processes, is known
    unknown: float


TOLERANCES: dict[Category, Tolerance] = {
    "quality": Tolerance(0.05, 0.25),
    "likelihood": Tolerance(0.005, 0.03),
    "cost": Tolerance(0.01, 0.01),  # counted, not timed: it has no noise
    "speed": Tolerance(0.10, 0.30),
    "memory": Tolerance(0.05, 0.15),
}


def tolerances(changes: Sequence[str]) -> dict[Category, Tolerance]:
    """The tolerances with changes laid over them, each as "quality=10" in per cent; a wide tolerance is never below the
    usual one. Raises UserError for an unknown kind or no positive number.
    """
    found = dict(TOLERANCES)
    for change in changes:
        kind, _, percent = change.partition("=")
        category = next((known for known in TOLERANCES if known == kind), None)
        if category is None:
            raise UserError(f"unknown kind of tolerance {kind!r}{nearest(kind, TOLERANCES)}; write quality=10, say")
        try:
            share = float(percent) / 100
        except ValueError:
            share = math.nan
        if not 0 <= share < math.inf:
            raise UserError(f"--tolerance {change}: give per cent as a number, such as {kind}=10")
        found[category] = Tolerance(share, max(share, TOLERANCES[category].unknown))
    return found


_MOST_LOG = 709.0  # of what a float holds


class Sample(NamedTuple):
    """A gate's number over the seeds of one side, the errors of each (over samples or images) and its raw repeats, in
    seconds an image.
    """

    values: tuple[float, ...]
    stderrs: tuple[float, ...] = ()
    repeats: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return Stat(self.values).mean  # whose sum may leave the range of floats


class Spread(NamedTuple):
    """A standard deviation and its degrees of freedom."""

    sd: float
    freedom: int


class Outcome(NamedTuple):
    """`worse_by` is a share of the baseline's mean, positive where the run is worse. `p` is one-sided; None where no
    noise is known, or none is there. `candidate`: beyond the tolerance and all that needs no correction.
    """

    worse_by: float
    tolerance: float
    p: float | None
    candidate: bool
    why: str


def pooled(samples: Sequence[Sample]) -> Spread:
    """Deviation within samples, over all of them."""
    freedom = sum(len(s.values) - 1 for s in samples)
    deviations = [sd * math.sqrt(len(s.values) - 1) for s in samples if (sd := Stat(s.values).sd) is not None]
    return Spread(math.hypot(*deviations) / math.sqrt(freedom) if freedom else 0.0, freedom)


def between_trainings(gate: Quantity, baseline: Sample, run: Sample, tolerance: Tolerance) -> Outcome:
    """Quality or likelihood: Student's t with the deviation between seeds. That of a quality is never taken to be below
    its error over samples, as a few seeds may agree by luck; all likelihoods are of the same test images.
    """
    change = _worse(gate, baseline.mean, run.mean)
    worse_by = _share(change, baseline.mean)
    error = root_mean_square((*baseline.stderrs, *run.stderrs))
    if len(baseline.values) >= KNOWN_FROM:
        spread = pooled([baseline, run])
        sd = max(spread.sd, error) if gate.category == "quality" else spread.sd
        p = _student(change, sd * _scale(baseline, run), spread.freedom)
        why = f"t over {len(baseline.values)} and {len(run.values)} seeds"
        return Outcome(worse_by, tolerance.known, p, worse_by > tolerance.known, why)
    told = not error or ndtr(-change / (error * _scale(baseline, run))) <= SIGNIFICANCE
    why = f"{_seeds(baseline)} in the baseline: the noise between trainings is unknown, so only a wide tolerance" + (
        " and the error over samples stand behind this" if error else " stands behind this"
    )
    return Outcome(worse_by, tolerance.unknown, None, worse_by > tolerance.unknown and bool(told), why)


def between_processes(
    gate: Quantity, baseline: Sample, run: Sample, tolerance: Tolerance, common: Spread, known: bool
) -> Outcome:
    """Speed or memory on one machine: values are logarithms, `common` is their spread within rows, over all rows."""
    change = _worse(gate, baseline.mean, run.mean)
    worse_by = math.expm1(change) if change < _MOST_LOG else math.inf
    apart = not baseline.repeats or not run.repeats or _longer(baseline.repeats, run.repeats)
    if known:
        sd = max(common.sd, pooled([baseline, run]).sd)
        p = _student(change, sd * _scale(baseline, run), common.freedom)
        why = f"t over {len(baseline.values)} and {len(run.values)} processes, with this machine's noise"
        if not apart:
            why += "; raw repeats overlap"
        return Outcome(worse_by, tolerance.known, p, worse_by > tolerance.known and apart, why)
    why = f"{_seeds(baseline)} in the baseline: the noise between processes is unknown, so only a wide tolerance" + (
        " and the raw repeats stand behind this" if baseline.repeats else " stands behind this"
    )
    return Outcome(worse_by, tolerance.unknown, None, worse_by > tolerance.unknown and apart, why)


def counted(gate: Quantity, baseline: Sample, run: Sample, tolerance: Tolerance) -> Outcome:
    """A number without noise."""
    worse_by = _share(_worse(gate, baseline.mean, run.mean), baseline.mean)
    return Outcome(worse_by, tolerance.known, None, worse_by > tolerance.known, "counted, without noise")


def _longer(baseline: Sequence[float], run: Sequence[float]) -> bool:
    """Whether the run's repeats, in seconds, take longer by their ranks (Mann & Whitney 1947), or, where they are too
    few for that, without exception.
    """
    ranks = mannwhitneyu(run, baseline, alternative="greater")
    return min(run) > max(baseline) or bool(ranks.pvalue <= SIGNIFICANCE)


def _worse(gate: Quantity, baseline: float, run: float) -> float:
    return baseline - run if gate.better == "higher" else run - baseline


def _share(change: float, of: float) -> float:
    if of:
        return change / abs(of)
    return math.copysign(math.inf, change) if change else 0.0


def _student(change: float, error: float, freedom: int) -> float:
    if not error:
        return 0.0 if change > 0 else 1.0
    return float(stdtr(freedom, -change / error))


def _scale(baseline: Sample, run: Sample) -> float:
    return math.sqrt(1 / len(baseline.values) + 1 / len(run.values))


def _seeds(sample: Sample) -> str:
    return f"{len(sample.values)} seed{'s' if len(sample.values) > 1 else ''}"
