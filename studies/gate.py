"""False alarms and caught faults of `equibench check`, by runs of the suite `ci` as users run it: writes docs/gate.md.

    python -m studies.gate --folder FOLDER [--minutes 140]

Every run is an invocation of its own, of a copy of the sources that is made once: ten for the baseline, then forty more
of the same code, every fourth beside other jobs that start and stop. Then the faults of `studies/gate.toml`: each is
planted in a copy of the sources by replacing some text, and run again and again. A fault of the measurement is given
weights that the unchanged code trained; a fault of training trains one family anew. Checks compare each run with the
baseline, by the rule and the limits that anyone gets. A call goes on where the one before ended.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from equibench.errors import UserError
from equibench.judge import check
from equibench.judge.comparison import Comparison
from equibench.judge.gates import Gates
from equibench.judge.samenoise import NUMBER
from equibench.record import find

ROOT = Path(__file__).parent.parent
PLAN, PAGE = Path(__file__).with_suffix(".toml"), ROOT / "docs" / "gate.md"
PACKAGES = {"bench": "equibench", "models": "equibench_models"}
OF_NO_CATEGORY = {NUMBER: "quality", "row": "quality"}  # numbers of a check that are of none, and whose they are
BUSY_SEC = (2.0, 15.0)  # how long another job lasts, and how long until the next


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
    fault: list[Fault]


@dataclass(frozen=True)
class Step:
    """One invocation."""

    out: Path
    tree: Path
    seed: int
    only: str | None = None
    weights: Path | None = None  # a finished run whose weights are measured
    disturbed: bool = False


def main(folder: Path, minutes: float) -> None:
    design = Design.model_validate(tomllib.loads(PLAN.read_text()))
    until_sec = time.monotonic() + 60 * minutes
    for step in steps(design, folder):
        if not step.out.exists():
            if time.monotonic() > until_sec:
                print("there is more to do: give the same command again")
                return
            take(step, design.suite)
    PAGE.write_text(page(design, folder))


def steps(design: Design, folder: Path) -> Iterator[Step]:
    """All invocations, in the order in which they are made. Seeds of the baseline follow those of the equal runs."""
    clean = tree(folder / "sources", None)
    for i in range(design.baseline):
        yield Step(folder / "baseline" / str(i), clean, design.equal + i)
    for i in range(design.equal):
        yield Step(folder / "equal" / str(i), clean, i, disturbed=i % design.disturbed_every == 0)
    for fault in design.fault:
        planted = tree(folder / "planted" / fault.name, fault)
        for i in range(fault.runs):
            weights = None if fault.trains else folder / "equal" / str(i)
            yield Step(folder / fault.name / str(i), planted, i, fault.entrant, weights)


def tree(folder: Path, fault: Fault | None) -> Path:
    """A copy of the sources, with the fault; one that is there already stays as it is."""
    if folder.exists():
        return folder
    part = folder.with_name(folder.name + ".partial")
    shutil.rmtree(part, ignore_errors=True)
    for room, package in PACKAGES.items():
        shutil.copytree(ROOT / room, part / package, ignore=shutil.ignore_patterns("__pycache__"))
    if fault:
        room, _, rest = fault.file.partition("/")
        file = part / PACKAGES[room] / rest
        text = file.read_text()
        if text.count(fault.before) != 1:
            sys.exit(f"{fault.name}: {fault.file} has its text {text.count(fault.before)} times")
        file.write_text(text.replace(fault.before, fault.after))
    part.rename(folder)
    return folder


def take(step: Step, suite: str) -> None:
    """One invocation, in place only when it is whole."""
    part = step.out.with_name(step.out.name + ".partial")
    part.mkdir(parents=True, exist_ok=True)
    arguments = ["run", suite, "--seeds", str(step.seed), "--out", str(part)]
    if step.only:
        arguments += ["--only", step.only]
    if step.weights:
        arguments += ["--keep"]
        for file in step.weights.glob(f"{step.only}-*.safetensors"):
            shutil.copyfile(file, part / file.name)
    environment = {**os.environ, "PYTHONPATH": str(step.tree)}
    with disturbance(step.seed) if step.disturbed else contextlib.nullcontext():
        subprocess.run([sys.executable, "-m", "equibench", *arguments], env=environment, check=True)
    part.rename(step.out)


@contextlib.contextmanager
def disturbance(seed: int) -> Iterator[None]:
    """Other jobs of one core, which start and stop at random moments."""
    draw, over = random.Random(seed), threading.Event()

    def disturb() -> None:
        while not over.wait(draw.uniform(*BUSY_SEC)):
            job = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            over.wait(draw.uniform(*BUSY_SEC))
            job.kill()
            job.wait()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Row:
    """A line of the page: what each check named, or that it was refused, by number; `categories` are a fault's, `moved`
    what it did to its entrant's primary numbers.
    """

    name: str
    about: str
    found: Sequence[Sequence[Named]]
    categories: Sequence[str] = ()
    moved: str = ""

    @property
    def failed(self) -> int:
        """Checks that name anything that the fault touches; of equal code, anything at all."""
        return sum(any(not self.categories or one.category in self.categories for one in named) for named in self.found)

    def __str__(self) -> str:
        counts = Counter(one.what for named in self.found for one in named)
        told = ", ".join(f"{what} ({count})" for what, count in counts.most_common())
        caught = f"{self.failed} of {len(self.found)}"
        return f"| {self.name} | {self.about} | {self.moved} | {caught} | {told or 'nothing'} |"


class Named(NamedTuple):
    """What a check fails on."""

    what: str
    category: str


def checked(run: Sequence[Path], baseline: Sequence[Path], gates: Gates) -> check.Check | str:
    """The check of a run's records, or why it was refused."""
    try:
        return check.check(run, baseline, gates=gates)
    except UserError as error:
        return str(error).split(";")[0]


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
    own = [path for path, one in find.read_all([run]) if one.entrant == entrant]
    return own + [path for path, one in find.read_all([equal]) if one.entrant != entrant]


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
    """Each run against the baseline. Where a fault leaves the weights as they are, the run of the same seed is in the
    baseline too, as it is where a suite's seeds are always the same.
    """
    gates = Gates()
    baseline = [folder / "baseline" / str(i) for i in range(design.baseline)]
    equal = [folder / "equal" / str(i) for i in range(design.equal)]
    found = []
    for disturbed in (False, True):
        chosen = [run for i, run in enumerate(equal) if (i % design.disturbed_every == 0) == disturbed]
        name = "none, beside other jobs" if disturbed else "none"
        found.append(Row(name, "", [named(checked([run], baseline, gates)) for run in chosen]))
    for fault in design.fault:
        runs = [whole(folder / fault.name / str(i), equal[i], fault.entrant) for i in range(fault.runs)]
        before = [baseline if fault.trains else [*baseline, equal[i]] for i in range(fault.runs)]
        checks = [checked(run, base, gates) for run, base in zip(runs, before, strict=True)]
        found.append(Row(fault.name, fault.about, [*map(named, checks)], fault.categories, moved(fault, checks)))
    return found


def page(design: Design, folder: Path) -> str:
    lines = "\n".join(map(str, rows(design, folder)))
    where = find.read_all([folder / "baseline" / "0"])[0][1].machine
    return TEXT.format(
        suite=design.suite, baseline=design.baseline, every=design.disturbed_every, lines=lines,
        where=f"{where.processor}, {where.cores} cores, {where.system}",
    )  # fmt: skip


TEXT = """# False alarms of the check, and faults that it finds

`python -m studies.gate` wrote this page; the module and `studies/gate.toml` say how. Every run is an invocation of
`equibench run {suite}` with one seed, compared by `equibench check` with a baseline of {baseline} invocations with one
seed each, by the rule of [check.md](check.md) with its usual limits and no confirmation. One in {every} of the equal
runs had other jobs beside it, which started and stopped.

| fault in the run | what it does | worse by | failed | numbers named (in so many runs) |
| :--- | :--- | :--- | ---: | :--- |
{lines}

A fault is of one entrant; the others of its run are those of an equal run. "Worse by" is the median over runs of that
entrant's gated numbers, and in brackets the least change that fails and the one that is found in 8 of 10 cases. A fault
counts as found only where a number of a kind that it touches is named. A fault that leaves the weights as they
are is compared with a baseline that has the same seed too, as where a suite's seeds stay the same.

Measured on {where}.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="records, found again by the next call")
    parser.add_argument("--minutes", type=float, default=140, help="after which no further run is begun")
    options = parser.parse_args()
    main(options.folder.absolute(), options.minutes)
