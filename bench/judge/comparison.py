"""What a check says: a line a number, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from equibench.judge.rule import Spread
from equibench.quantities.glossary import Category
from equibench.stats import Stat

Verdict = Literal[
    "reproduced", "within", "passed", "regression", "measurement error", "not judged", "reported", "skipped", "new"
]
FAILING: tuple[Verdict, ...] = ("regression", "measurement error")
JUDGED: tuple[Verdict, ...] = ("reproduced", "within", "passed", *FAILING)


@dataclass(frozen=True)
class Comparison:
    """The comparison of one number of one row; of the row itself where `number` is "row".

    Changes are shares of the baseline's mean, positive where the run is worse, whatever scale they were judged on.
    """

    row: str
    number: str
    verdict: Verdict
    sentence: str
    baseline: Stat | None = None
    run: Stat | None = None
    category: Category | None = None
    worse_by: float | None = None
    tolerance: float | None = None
    p: float | None = None  # one-sided, after Holm's correction over the gates of the category
    alpha: float | None = None  # error rate of the category, which p is held to
    fails_from: float | None = None  # the least observed change of the mean that fails
    detectable: float | None = None  # the least true change that is found in 8 of 10 cases
    df: float | None = None  # degrees of freedom of the noise
    sources: tuple[Spread, ...] = ()  # of the noise, on the scale of the test: the prior and what was measured
    margin: float | None = None  # of --not-worse-than
    at_most: float | None = None  # 95 % confidence limit of the true change


@dataclass(frozen=True)
class Check:
    """All lines of a check, and notes on its records: sentences without their full stop."""

    lines: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> list[Comparison]:
        return [line for line in self.lines if line.verdict == "regression"]

    @property
    def errors(self) -> list[Comparison]:
        """Where the measurement is another, which no model can be blamed for."""
        return [line for line in self.lines if line.verdict == "measurement error"]

    @property
    def not_shown(self) -> list[Comparison]:
        """What --not-worse-than asked for and the numbers do not show, though nothing shows them to be worse."""
        shown = ("reproduced", "within", *FAILING)
        return [line for line in self.lines if line.margin is not None and line.verdict not in shown]

    @property
    def failed(self) -> bool:
        """Whether the exit code is 1."""
        return bool(self.regressions or self.errors or self.not_shown)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.regressions:
            return "regression"
        return "measurement error" if self.errors else "not shown" if self.not_shown else "passed"
