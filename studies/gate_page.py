"""What the runs of `studies.gate` say: false alarms, and faults that were found, as docs/gate.md."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from equibench.errors import UserError
from equibench.judge import check
from equibench.judge.comparison import Comparison
from equibench.judge.confirm import confirm
from equibench.judge.gates import Gates
from equibench.judge.samenoise import NUMBER, Sides, arrays_beside
from equibench.record import find
from equibench.record.schema import Record

FRESH = 3  # seeds that confirm, as the workflows to copy ask for
OF_NO_CATEGORY = {NUMBER: "quality", "row": "quality"}  # numbers of a check that are of none, and whose they are


class Fault(BaseModel):
    """A change of the sources, and what it should be named for."""

    name: str
    about: str
    file: str
    before: str  # stands in the file once
    after: str
    entrant: str
    trains: bool  # else weights of the unchanged code are measured
    categories: list[str]
    runs: int


class Design(BaseModel):
    """Numbers of runs."""

    suite: str
    baseline: int
    equal: int
    disturbed_every: int
    draws: int  # of a baseline, for each equal run
    fault: list[Fault]


@dataclass(frozen=True)
class Row:
    """A line of the page: what each check named, or that it was refused, by number, and what it names with fresh seeds;
    `categories` are a fault's, `moved` what it did to its entrant's primary numbers.
    """

    name: str
    about: str
    found: Sequence[Sequence[Named]]
    confirmed: Sequence[Sequence[Named]]
    categories: Sequence[str] = ()
    moved: str = ""

    def failed(self, found: Sequence[Sequence[Named]]) -> int:
        """Checks that name anything that the fault touches; of equal code, anything at all."""
        return sum(any(not self.categories or one.category in self.categories for one in named) for named in found)

    def __str__(self) -> str:
        counts = Counter(one.what for named in self.confirmed for one in named)
        told = ", ".join(f"{what} ({count})" for what, count in counts.most_common())
        failed = " | ".join(f"{self.failed(found)} of {len(found)}" for found in (self.found, self.confirmed))
        return f"| {self.name} | {self.about} | {self.moved} | {failed} | {told or 'nothing'} |"


class Named(NamedTuple):
    """What a check fails on."""

    what: str
    category: str


@cache
def _read(path: Path) -> tuple[tuple[Path, Record], ...]:
    return tuple(find.read_all([path]))


def _all(paths: Sequence[Path]) -> list[tuple[Path, Record]]:
    return [one for path in paths for one in _read(path)]


def checked(run: Sequence[Path], baseline: Sequence[Path], gates: Gates) -> check.Check | str:
    """The check of a run's records, or why it was refused."""
    before, now = _all(baseline), _all(run)
    try:
        return check.compare(
            check.of_invocations(before),
            check.of_invocations(now),
            gates=gates,
            arrays=Sides(arrays_beside(before), arrays_beside(now)),
        )
    except UserError as error:
        return str(error).split(";")[0]


def with_fresh(
    found: check.Check | str, run: Sequence[Path], baseline: Sequence[Path], gates: Gates,
    fresh: Callable[[str], Sequence[Path]],
) -> check.Check | str:  # fmt: skip
    """The check as `--confirm` gives it: `fresh` are runs of an entrant in place of those that it would train."""

    def train(row: Mapping[int, Record], seeds: Sequence[int]) -> list[Record]:
        entrant = next(iter(row.values())).entrant
        return [one for _, one in _all(fresh(entrant)) if one.entrant == entrant][: len(seeds)]

    if isinstance(found, str):
        return found
    before, now = (check.of_invocations(_all(paths)) for paths in (baseline, run))
    return confirm(found, before, now, gates, check.compare, FRESH, train)


def named(found: check.Check | str) -> list[Named]:
    """What a check names. A refusal is of quality: it is of feature networks that are not the same."""
    if isinstance(found, str):
        return [Named(f"refused: {found}", "quality")]
    return [
        Named(f"{line.row} {line.number}", line.category or OF_NO_CATEGORY.get(line.number, ""))
        for line in [*found.regressions, *found.errors]
    ]


def whole(run: Path, equal: Path, entrant: str) -> list[Path]:
    """The records of a run in which one entrant has a fault. All others are those of the equal run of that seed, so
    that as many numbers share the error rate as in any other check.
    """
    own = [path for path, one in _read(run) if one.entrant == entrant]
    return own + [path for path, one in _read(equal) if one.entrant != entrant]


def moved(fault: Fault, checks: Sequence[check.Check | str]) -> str:
    """By how much the gated numbers of the fault's entrant were worse: the median of the runs, and in brackets the
    least change that fails and the one that is found in 8 of 10 cases. Empty for numbers that are proved, not tested.
    """
    by_number: dict[str, list[Comparison]] = {}
    for found in checks:
        for line in found.lines if isinstance(found, check.Check) else ():
            if line.row == fault.entrant and line.category in fault.categories and line.fails_from is not None:
                by_number.setdefault(line.number, []).append(line)
    return "; ".join(f"{name} {_moved(lines)}" for name, lines in by_number.items())


def _moved(lines: Sequence[Comparison]) -> str:
    def percent(values: Sequence[float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{100 * statistics.median(known):+.1f} %" if known else "unknown"

    limits = percent([line.fails_from for line in lines]), percent([line.detectable for line in lines])
    return f"{percent([line.worse_by for line in lines])} ({limits[0]}; {limits[1]})"


def rows(design: Design, folder: Path) -> list[Row]:
    """Each faulty run against the baseline, and each equal run, the baseline's too, against baselines that are drawn
    from the quiet ones among the others. Where a fault leaves the weights as they are, the run of the same seed is in
    the baseline too, as it is where a suite's seeds are always the same. Fresh seeds are those of other runs alike.
    """
    gates = Gates()
    baseline = [folder / "baseline" / str(i) for i in range(design.baseline)]
    equal = [folder / "equal" / str(i) for i in range(design.equal)]
    busy = equal[:: design.disturbed_every]
    quiet = [run for run in [*baseline, *equal] if run not in busy]
    found = []
    for name, chosen in (("none", quiet), ("none, beside other jobs", busy)):
        draw = random.Random(0)
        pairs = []
        for run in (run for run in chosen for _ in range(design.draws)):
            others = draw.sample([one for one in quiet if one != run], design.baseline + FRESH)
            pairs.append(_both([run], others[FRESH:], gates, {}, others[:FRESH]))
        found.append(Row(name, "", [named(alone) for alone, _ in pairs], [named(after) for _, after in pairs]))
    for fault in design.fault:
        faulty = [folder / fault.name / str(i) for i in range(fault.runs)]
        pairs = []
        for i in range(fault.runs):
            later = [(i + k) % fault.runs for k in range(1, FRESH + 1)]
            base = baseline if fault.trains else [*baseline, equal[i]]
            fresh = {fault.entrant: [faulty[k] for k in later]}
            mixed = whole(faulty[i], equal[i], fault.entrant)
            pairs.append(_both(mixed, base, gates, fresh, [equal[k] for k in later]))
        checks = [alone for alone, _ in pairs]
        after = [named(one) for _, one in pairs]
        found.append(Row(fault.name, fault.about, [*map(named, checks)], after, fault.categories, moved(fault, checks)))
    return found


def _both(
    run: Sequence[Path], base: Sequence[Path], gates: Gates, of: Mapping[str, Sequence[Path]], others: Sequence[Path]
) -> tuple[check.Check | str, check.Check | str]:
    """The check of one seed alone, and with fresh seeds: those `of` an entrant, or of the `others`."""
    found = checked(run, base, gates)
    return found, with_fresh(found, run, base, gates, lambda entrant: of.get(entrant, others))


def page(design: Design, folder: Path) -> str:
    lines = "\n".join(map(str, rows(design, folder)))
    where = _read(folder / "baseline" / "0")[0][1].machine
    return TEXT.format(
        suite=design.suite, baseline=design.baseline, lines=lines, draws=design.draws,
        equal=design.baseline + design.equal, busy=len(range(0, design.equal, design.disturbed_every)),
        where=f"{where.processor}, {where.cores} cores, {where.system}",
    )  # fmt: skip


TEXT = """# False alarms of the check, and faults that it finds

`python -m studies.gate` wrote this page; the module and `studies/gate.toml` say how. Every run is an invocation of
`equibench run {suite}` with one seed, compared by `equibench check` with a baseline of {baseline} invocations with one
seed each, by the rule of [check.md](check.md) with its usual limits: once alone, and once as the workflows to copy do,
with `--confirm 3`. The three fresh seeds of a suspect are then those of three other runs of the same code, faulty where
the run is. Each of the {equal} runs of equal code is compared with {draws} baselines drawn from the others; {busy} of
them had other jobs beside them, which started and stopped.

| fault in the run | what it does | worse by | failed alone | with `--confirm 3` | named then (in so many checks) |
| :--- | :--- | :--- | ---: | ---: | :--- |
{lines}

A fault is of one entrant; the others of its run are those of an equal run. "Worse by" is the median over runs of that
entrant's gated numbers, and in brackets the least change that fails and the one that is found in 8 of 10 cases. A fault
counts as found only where a number of a kind that it touches is named. A fault that leaves the weights as they
are is compared with a baseline that has the same seed too, as where a suite's seeds stay the same.

Measured on {where}.
"""
