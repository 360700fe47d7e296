"""How often the speed check is right on a noisy machine: writes docs/speed_alarms.md.

    python -m studies.speed_alarms [--trials 20]

Every trial is a fresh process that runs the benchmarks of all families as `make benchmark` does, and is compared with a
run stored before. In half of the trials the tree is unchanged; in the others one family's sampler sleeps for a fifth of
its time, each family in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

import click
import psutil

from equibench_models import FAMILIES
from studies import speed_check

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "speed_alarms.md"
TEXT = """# How often the speed check is right

Written by `python -m studies.speed_alarms --trials {trials}`; the module says how. An alarm is a job slower by more
than {tolerance:.0%} at p < {p:g} (`studies/speed_check.py`). The machine had {cores} cores, and a load of {low:.1f} to
{high:.1f} while this ran.

| Trials | Tree | Runs with an alarm | Largest change of a job that nobody changed | Change of the slowed sampler |
| ---: | :--- | ---: | ---: | :--- |
| {trials} | unchanged | {false} | {worst:+.1%} | |
| {trials} | a sampler sleeps for 20 % of its time | {caught} (that sampler) | | {least:+.1%} to {most:+.1%} |

The GAN's sampler, whose call takes less than a millisecond, is slowed by more than the fifth that is planted.
"""


def stored(folder: Path, name: str, plant: str = "") -> speed_check.Stored:
    """A run of the benchmarks in a process of its own; with `plant`, of that family's slowed sampler alone."""
    path = folder / f"{name}.json"
    only = ["-k", f"{plant}-sample"] if plant else []
    subprocess.run(
        [sys.executable, "-m", "pytest", "tests/benchmarks/test_models.py", f"--benchmark-json={path}", "-q", *only],
        cwd=ROOT,
        env=os.environ | {"EQUIBENCH_PLANT": plant},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return speed_check.read(path)


@click.command()
@click.option("--trials", default=20, show_default=True, help="Of each kind.")
def main(trials: int) -> None:
    false, caught, unchanged, slowed, loads = 0, 0, [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = stored(folder, "old")
        for trial, family in enumerate(islice(cycle(FAMILIES), trials)):
            changes = speed_check.compare(old, stored(folder, f"unchanged-{trial}"))
            false += any(change.alarm for change in changes)
            unchanged.append(changes[0].slower)
            (change,) = speed_check.compare(old, stored(folder, f"planted-{trial}", plant=family))
            caught += change.alarm
            slowed.append(change.slower)
            loads.append(psutil.getloadavg()[0])
            click.echo(
                f"{trial}: unchanged {unchanged[-1]:+.1%}, {family} slowed {slowed[-1]:+.1%}, load {loads[-1]:.1f}"
            )
    PAGE.write_text(
        TEXT.format(
            trials=trials,
            tolerance=speed_check.TOLERANCE,
            p=speed_check.P,
            cores=os.cpu_count(),
            low=min(loads),
            high=max(loads),
            false=false,
            worst=max(unchanged),
            caught=caught,
            least=min(slowed),
            most=max(slowed),
        )
    )


if __name__ == "__main__":
    main()
