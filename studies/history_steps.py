"""How often `equibench history` finds a step: writes docs/history_steps.md.

    python -m studies.history_steps [--series 1000]

Series of normal measurements, a few repeats a commit, with no step, a step or a spike; each goes through the same
functions as a number of a history (bench/history/steps.py), as a family of its own. Sizes are in standard deviations
of a point, which is the mean of its repeats. Where there are no repeats, noise comes from neighbouring commits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from equibench.history import steps

PAGE = Path(__file__).parent.parent / "docs" / "history_steps.md"
SHAPES = ((4, 3), (8, 3), (20, 3), (60, 3), (8, 2), (12, 1), (30, 1), (60, 1))  # commits, repeats
TAILS = 4  # degrees of freedom of Student's t, scaled to a deviation of 1
SPIKE_SD = 8.0
AWAY = 1  # a step counts as found within so many commits


def places(values: NDArray[np.float64]) -> Sequence[int]:
    """First commits of the levels that are found in one series, [commits, repeats]."""
    noise = steps.noise_of(values.tolist())
    assert not isinstance(noise, str)
    fit = steps.fit(values.mean(1).tolist(), [values.shape[1]] * len(values), noise)
    return fit.kept(steps.threshold([fit.p])).places


def share(
    count: int,
    shape: tuple[int, int],
    step: float = 0,
    after: int = 0,
    spike_at: int | None = None,
    tails: bool = False,
) -> float:
    """Share of series in which a step is found: any, or with `step` one where it is, `after` commits before the end."""
    generator = np.random.default_rng([*shape, after, int(step), tails, 0 if spike_at is None else spike_at])
    found = 0
    for _ in range(count):
        values = generator.standard_t(TAILS, shape) / math.sqrt(2) if tails else generator.standard_normal(shape)
        size = 1 / math.sqrt(shape[1])
        if step:
            values[-after:] += step * size
        if spike_at is not None:
            values[spike_at] += SPIKE_SD * size
        at = places(values)
        found += any(abs(place - (shape[0] - after)) <= AWAY for place in at) if step else bool(at)
    return found / count


def page(count: int) -> str:
    lines = [
        "# How often `history` finds a step",
        "",
        f"Written by `python -m studies.history_steps --series {count}`; the module says how. Per cent of series, each",
        f"a family of its own at {100 * steps.FALSE_DISCOVERY_RATE:g} %. The spike is one commit {SPIKE_SD:g} standard",
        "deviations off: a step found there is false.",
        "",
        f"| Commits | Repeats | No step | The same, t({TAILS}) tails | Spike, in the middle | Spike, at the end | "
        "Step of 3, 2 commits ago | Step of 3, 5 commits ago | Step of 4, 2 commits ago |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for shape in SHAPES:
        commits, repeats = shape
        found = [
            share(count, shape),
            share(count, shape, tails=True),
            share(count, shape, spike_at=commits // 2),
            share(count, shape, spike_at=commits - 1),
            share(count, shape, step=3, after=2),
            share(count, shape, step=3, after=5) if commits > 6 else None,
            share(count, shape, step=4, after=2),
        ]
        shown = ("" if x is None else f"{100 * x:.1f}" for x in found)
        lines.append(f"| {commits} | {repeats} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--series", "count", default=1000, show_default=True, help="Of each kind.")
def main(count: int) -> None:
    PAGE.write_text(page(count))


if __name__ == "__main__":
    main()
