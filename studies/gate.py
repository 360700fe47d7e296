"""False alarms and caught faults of `equibench check`, by runs of the suite `ci` as users run it: writes docs/gate.md.

    python -m studies.gate --folder FOLDER [--minutes 140]

Every run is an invocation of its own, of a copy of the sources that is made once: those of the baseline, then more of
the same code, every fourth beside other jobs that start and stop. Then the faults of `studies/gate.toml`: each is
planted in a copy of the sources by replacing some text, and run again and again. A fault of the measurement is given
weights that the unchanged code trained; a fault of training trains one family anew. Checks compare runs of equal code
with baselines drawn from the other such runs, and faulty ones with the baseline, by the rule and the limits that anyone
gets. A call goes on where the one before ended.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from studies.gate_page import Design, Fault, page

ROOT = Path(__file__).parent.parent
PLAN, PAGE = Path(__file__).with_suffix(".toml"), ROOT / "docs" / "gate.md"
PACKAGES = {"bench": "equibench", "models": "equibench_models"}
BASELINE_SEED, OTHER_SEED = 20, 100  # the first of each
WORKERS = 2  # cells of a run, or runs of one cell, side by side
BUSY_SEC = (2.0, 15.0)  # how long another job lasts, and how long until the next


@dataclass(frozen=True)
class Step:
    """One invocation."""

    out: Path
    tree: Path
    seed: int
    only: str | None = None
    weights: Path | None = None  # a finished run whose weights are measured
    disturbed: bool = False
    alone: bool = True  # else another may run beside it, as nothing that is looked at is timed


def main(folder: Path, minutes: float) -> None:
    design = Design.model_validate(tomllib.loads(PLAN.read_text()))
    until_sec = time.monotonic() + 60 * minutes

    def begin(step: Step) -> None:
        if time.monotonic() < until_sec:
            take(step, design.suite)

    wanted = list(steps(design, folder))
    for alone, group in itertools.groupby([step for step in wanted if not step.out.exists()], lambda step: step.alone):
        with ThreadPoolExecutor(1 if alone else WORKERS) as pool:
            list(pool.map(begin, group))
    if all(step.out.exists() for step in wanted):
        PAGE.write_text(page(design, folder))
    else:
        print("there is more to do: give the same command again")


def steps(design: Design, folder: Path) -> Iterator[Step]:
    """All invocations, in the order in which they are made."""
    clean = tree(folder / "sources", None)
    for i in range(design.baseline):
        yield Step(folder / "baseline" / str(i), clean, BASELINE_SEED + i)
    for i in range(design.equal):
        yield Step(folder / "equal" / str(i), clean, OTHER_SEED + i, disturbed=i % design.disturbed_every == 0)
    for fault in design.fault:
        planted = tree(folder / "planted" / fault.name, fault)
        for i in range(fault.runs):
            weights = None if fault.trains else folder / "equal" / str(i)
            alone = not {"quality", "likelihood"}.issuperset(fault.categories)
            yield Step(folder / fault.name / str(i), planted, OTHER_SEED + i, fault.entrant, weights, alone=alone)


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
    arguments = ["run", suite, "--seeds", str(step.seed), "--out", str(part), "--no-report", "--threads", "1"]
    # all entrants as `make gate` runs them
    arguments += ["--only", step.only] if step.only else ["--workers", str(WORKERS)]
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="records, found again by the next call")
    parser.add_argument("--minutes", type=float, default=140, help="after which no further run is begun")
    options = parser.parse_args()
    main(options.folder.absolute(), options.minutes)
