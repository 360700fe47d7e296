"""Whether code became slower: compares two stored runs of `tests/benchmarks/test_models.py`.

    make benchmark                                  # writes results/benchmarks/*.json
    python -m studies.speed_check OLD.json NEW.json   # exits with 1 if a job became slower

What is compared is the median ratio of a job's time to that of the reference workload timed right before and after it:
what slows the whole machine for a while slows both. Every job that is slower by more than the tolerance, and whose
ratios a Mann-Whitney test tells from the old ones, is an alarm. How often that is right on a machine that does nothing
else: docs/speed_alarms.md, from `python -m studies.speed_alarms`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click
from scipy.stats import mannwhitneyu

from equibench.errors import UserError

TOLERANCE = 0.12  # of the median ratio
TOLERANCE_ELSEWHERE = 0.3  # between machines, whose balance of arithmetic, memory and overhead is not the same
P = 0.001
SAME_KIND = ("device", "system", "instructions")  # what two machines must share for the reference to scale


@dataclass(frozen=True)
class Stored:
    """One stored run: its machine, and the ratios of each job's rounds."""

    machine: dict[str, Any]
    ratios: dict[str, list[float]]


@dataclass(frozen=True)
class Slowdown:
    """How much longer a job takes: 0.2 is a fifth more time."""

    job: str
    slower: float
    p: float
    alarm: bool


def read(path: Path) -> Stored:
    """A run stored by pytest-benchmark. Raises UserError if it is none, or holds no job with its reference."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        machine = content["machine_info"]["equibench"]
        ratios: dict[str, list[float]] = {}
        for one in content["benchmarks"]:
            extra = one["extra_info"]
            if "reference_sec" in extra:
                around = [(before + after) / 2 for before, after in pairwise(extra["reference_sec"])]
                job = f"{extra['job']}, {extra['threads']} thread" + "s" * (extra["threads"] > 1)
                found = [sec / beside for sec, beside in zip(one["stats"]["data"], around, strict=True)]
                ratios.setdefault(job, []).extend(found)
    except OSError as error:
        raise UserError(f"no stored run at {path} ({error.strerror}); make one with `make benchmark`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a run stored by `make benchmark` ({error!r}); make it again") from None
    if not ratios:
        raise UserError(f"{path} holds no job with a reference workload; make it again with `make benchmark`")
    return Stored(machine, ratios)


def compare(old: Stored, new: Stored) -> list[Slowdown]:
    """Changes of the jobs that both runs hold, the slowest first. Raises UserError where they cannot be compared."""
    jobs = old.ratios.keys() & new.ratios.keys()
    if not jobs:
        raise UserError("the two runs have no job in common; store both with `make benchmark`")
    tolerance = TOLERANCE
    if old.machine["key"] != new.machine["key"]:
        different = [field for field in SAME_KIND if old.machine.get(field) != new.machine.get(field)]
        if different:
            raise UserError(
                f"the runs are of machines that differ in {' and '.join(different)}, for which the reference workload "
                "does not scale; store a run of the old code on this machine"
            )
        tolerance = TOLERANCE_ELSEWHERE
    found = []
    for job in jobs:
        slower = median(new.ratios[job]) / median(old.ratios[job]) - 1
        p = float(mannwhitneyu(new.ratios[job], old.ratios[job], alternative="greater").pvalue)
        found.append(Slowdown(job, slower, p, slower > tolerance and p < P))
    return sorted(found, key=lambda change: -change.slower)


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def main(old: Path, new: Path) -> None:
    """Compare the stored runs OLD and NEW; exits with 1 if a job became slower."""
    before, after = read(old), read(new)
    changes = compare(before, after)
    if before.machine["key"] != after.machine["key"]:
        click.echo(f"Two machines: scaled by the reference workload, tolerance {TOLERANCE_ELSEWHERE:.0%}.")
    for change in changes:
        verdict = "SLOWER" if change.alarm else "ok"
        click.echo(f"{verdict:7} {change.job:30} {change.slower:+7.1%}  p = {change.p:.2g}")
    sys.exit(int(any(change.alarm for change in changes)))


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except UserError as error:
        click.echo(f"speed_check: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
