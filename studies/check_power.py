"""How often `equibench check` names equal code, and finds what became worse: writes docs/check_power.md, of the suite
`quick`, and docs/check_power_ci.md, of the suite `ci`.

    python -m studies.check_power [--checks 8000]
    python -m studies.check_power --records baselines/ci --out docs/check_power_ci.md [--checks 8000]

Simulated, with the functions that the check itself judges by and its usual limits. Deviations between seeds are those
of the records; they rest on few seeds, so that the true ones may be half or several times as large. Those between
invocations are set by hand: `SPEED_SD` of a cell's throughput and `MEMORY_SD` of a peak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from equibench.judge.confirm import SCREEN, TIMES_ALPHA
from equibench.judge.gates import ALPHAS, USUAL
from equibench.judge.power import critical, detectable
from equibench.judge.rule import TestStatistics, judge, noise, spread_of, upper_limit
from equibench.quantities.glossary import Category
from equibench.record import find
from equibench.stats import Stat
from equibench.summary.sort import rows

PAGE = Path(__file__).parent.parent / "docs" / "check_power.md"
SPEED_SD, MEMORY_SD = 0.054, 0.03
SIDES = ((1, 1), (2, 2), (3, 1), (3, 3), (5, 3), (5, 5), (10, 1), (10, 3))
STORED, FRESH = (5, 10), 3  # seeds of the baseline of a job, and those that confirm
PERCENTS = (5, 10, 20, 30, 50)
BITS_MORE = (0.02, 0.05, 0.1)
BAD_SEED = (1.5, 3.0)
WITHIN = (5, 10, 20)
Draws = NDArray[np.float64]


class Simulation:
    """Checks by the thousand: values of `checks` baselines and runs, drawn anew for every number asked for."""

    def __init__(self, checks: int, seed: int) -> None:
        self.checks = checks
        self.rng = np.random.default_rng(seed)

    def judged(self, category: Category, sds: Any, sides: tuple[int, int], change: float = 0.0) -> TestStatistics:
        """The tests of numbers with these deviations, `[checks, numbers]`; the run is worse by `change`."""
        before, after = (self._draw(sds, n) for n in sides)
        return verdicts(category, before, after + change)

    def with_bad_seed(self, category: Category, sd: float, sides: tuple[int, int], change: float) -> TestStatistics:
        before, after = (self._draw([sd], n) for n in sides)
        after[..., 0] += change
        return verdicts(category, before, after)

    def screened(self, sds: Any, stored: int, change: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What `check --confirm` does with quality: which numbers it trains fresh seeds for, and which these name."""
        before, one, fresh = (self._draw(sds, n) for n in (stored, 1, FRESH))
        suspect = np.asarray(verdicts("quality", before, one + change).p <= SCREEN)
        final = verdicts("quality", before, fresh + change).p_beyond(tolerance("quality"))
        return suspect, np.asarray(suspect & (final <= TIMES_ALPHA * ALPHAS["quality"] / np.size(sds)))

    def _draw(self, sds: Any, n: int) -> Draws:
        deviations = np.asarray(sds, float)[None, :, None]
        return np.asarray(deviations * self.rng.normal(size=(self.checks, deviations.shape[1], n)))


def verdicts(category: Category, before: Draws, after: Draws) -> TestStatistics:
    """What a check calculates, without older baselines."""
    prior, always = USUAL[category].prior, category in ("speed", "memory")
    own, others = [spread_of(before), spread_of(after)], [spread_of(before)]
    every, without_run = (noise(prior, spreads, always=always) for spreads in (own, others))
    return judge(before, after, every, without_run)


def tolerance(category: Category) -> float:
    limits = USUAL[category]
    return math.log1p(limits.tolerance) if limits.scale == "log" else limits.tolerance


def named(category: Category, found: TestStatistics, tests: int) -> NDArray[np.bool_]:
    """Which numbers are regressions, at the strictest step of Holm's correction: `[checks, numbers]`."""
    return np.asarray(found.p_beyond(tolerance(category)) <= ALPHAS[category] / tests)


def deviations(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Standard deviations of ln FD and of bits/dim between the seeds of each entrant of the records."""
    distances, likelihoods = {}, {}
    for key, row in rows([one for _, one in find.read_all([folder])], "the study").items():
        if key.role != "entrant":
            continue
        values = [one.quality.value for one in row.values() if one.quality and one.quality.value]
        bits = [one.likelihood.bits_per_dim for one in row.values() if one.likelihood and one.likelihood.bits_per_dim]
        if len(values) > 1:
            distances[key.entrant] = Stat(tuple(map(math.log, values))).sd or 0.0
        if len(bits) > 1:
            likelihoods[key.entrant] = Stat(tuple(bits)).sd or 0.0
    return distances, likelihoods


def false_alarms(sim: Simulation, distances: Sequence[float], bits: Sequence[float]) -> list[list[str]]:
    """Lines of the table of false alarms: how many percent of whole checks of equal code name any number."""
    lines = []
    for invocations in (1, 5):
        cells = []
        for sides in SIDES:
            n = len(distances)
            runs = {"speed": ([SPEED_SD] * n, (invocations, 1)), "memory": ([MEMORY_SD] * 2 * n, (invocations, 1))}
            each: Mapping[Any, Any] = {"quality": (distances, sides), "likelihood": (bits, sides), **runs}
            any_named = np.zeros(sim.checks, bool)
            for category, (sds, counts) in each.items():
                any_named |= named(category, sim.judged(category, sds, counts), len(sds)).any(-1)
            cells.append(f"{100 * any_named.mean():.1f}")
        lines.append([f"{invocations} invocation{'s' * (invocations > 1)} in the baseline", *cells])
    return lines


def power_of(sim: Simulation, category: Category, sd: float, tests: int, changes: Sequence[float]) -> list[str]:
    """Named in per cent at each change on the scale, for each number of seeds a side."""
    return [
        " / ".join(f"{100 * named(category, sim.judged(category, [sd], sides, c), tests).mean():.0f}" for c in changes)
        for sides in SIDES
    ]


def confirmed(sim: Simulation, distances: Mapping[str, float]) -> list[list[str]]:
    """Named in per cent after a screen, of one entrant among all; below that, equal code and what it trains more."""
    sds = list(distances.values())
    equal = [sim.screened(sds, stored) for stored in STORED]

    def caught(sd: float, stored: int, percent: int) -> str:
        return f"{100 * sim.screened([sd, *sds[1:]], stored, math.log1p(percent / 100))[1][:, 0].mean():.0f}"

    return [
        *([k, *(" / ".join(caught(sd, n, x) for x in PERCENTS) for n in STORED)] for k, sd in distances.items()),
        ["equal code, any entrant named", *(f"{100 * named.any(-1).mean():.1f}" for _, named in equal)],
        ["fresh seeds of all entrants, on average", *(f"{FRESH * there.sum(-1).mean():.1f}" for there, _ in equal)],
    ]


def seen(sim: Simulation, sd: float, tests: int) -> list[str]:
    """The smallest detectable change that a check of quality prints: median, and the 10th to 90th of 100."""
    cells = []
    for sides in SIDES:
        found = sim.judged("quality", [sd], sides)
        c = critical(ALPHAS["quality"], tests, found.df, sides[1])
        printed = [
            math.expm1(detectable(float(error), found.df, c, tolerance("quality")))
            for error in np.unique(np.quantile(found.error, (0.1, 0.5, 0.9)))
        ]
        middle = printed[len(printed) // 2]
        cells.append(f"{100 * middle:.0f} ({100 * printed[0]:.0f} to {100 * printed[-1]:.0f})")
    return cells


def shown(sim: Simulation, sd: float) -> list[str]:
    """Shown to be within each of WITHIN, in per cent, where nothing changed."""
    cells = []
    for sides in SIDES:
        limit = upper_limit(sim.judged("quality", [sd], sides))
        cells.append(" / ".join(f"{100 * (limit < math.log1p(m / 100)).mean():.0f}" for m in WITHIN))
    return cells


def table(first: str, lines: Sequence[Sequence[str]], columns: Sequence[str] = ()) -> str:
    head = [first, *(columns or [f"{a} and {b}" for a, b in SIDES])]
    rule = [":---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


@click.command()
@click.option("--records", default="results/published/quick", show_default=True, type=click.Path(path_type=Path))
@click.option("--out", default=PAGE, type=click.Path(path_type=Path), help="The page.")
@click.option("--checks", default=8000, show_default=True, help="Simulated checks of each number.")
def main(records: Path, out: Path, checks: int) -> None:
    sim = Simulation(checks, 0)
    distances, bits = deviations(records)
    n, m = len(distances), len(bits)
    changes = [math.log1p(percent / 100) for percent in PERCENTS]
    page = TEXT.format(
        records=records,
        out="" if out == PAGE else f" --out {out}",
        checks=checks,
        speed=f"{100 * SPEED_SD:.1f}",
        memory=f"{100 * MEMORY_SD:.0f}",
        sds=", ".join(f"{name} {100 * sd:.1f} %" for name, sd in distances.items()),
        bit_sds=", ".join(f"{name} {sd:.4f}" for name, sd in bits.items()),
        alarms=table("", false_alarms(sim, list(distances.values()), list(bits.values()))),
        doubled=table("", [["quality alone", *doubled(sim, list(distances.values()))]]),
        percents=" / ".join(f"+{percent} %" for percent in PERCENTS),
        quality=table("", [[k, *power_of(sim, "quality", sd, n, changes)] for k, sd in distances.items()]),
        bits_more=" / ".join(f"+{more}" for more in BITS_MORE),
        likelihood=table("", [[k, *power_of(sim, "likelihood", sd, m, BITS_MORE)] for k, sd in bits.items()]),
        speeds=table("", [["throughput", *power_of(sim, "speed", SPEED_SD, n, changes)]]),
        bad=table("", bad_seed(sim, distances, n)),
        screen=SCREEN,
        fresh=FRESH,
        confirmed=table("", confirmed(sim, distances), [f"{stored} in the baseline" for stored in STORED]),
        seen=table("", [[k, *seen(sim, sd, n)] for k, sd in distances.items()]),
        within=" / ".join(f"{m} %" for m in WITHIN),
        shown=table("", [[k, *shown(sim, sd)] for k, sd in distances.items()]),
    )
    out.write_text(page)
    click.echo(page)


def doubled(sim: Simulation, distances: Sequence[float]) -> list[str]:
    """False alarms where all deviations are twice what the records say, which no prior knows."""
    sds = [2 * sd for sd in distances]
    return [
        f"{100 * named('quality', sim.judged('quality', sds, sides), len(sds)).any(-1).mean():.1f}" for sides in SIDES
    ]


def bad_seed(sim: Simulation, distances: Mapping[str, float], tests: int) -> list[list[str]]:
    """Named in per cent where one seed of the run alone is worse, by each factor of BAD_SEED."""
    return [
        [
            name,
            *(
                " / ".join(
                    f"{100 * named('quality', sim.with_bad_seed('quality', sd, sides, math.log(f)), tests).mean():.0f}"
                    for f in BAD_SEED
                )
                for sides in SIDES
            ),
        ]
        for name, sd in distances.items()
    ]


TEXT = """# What the check names, and what it finds

Written by `python -m studies.check_power --records {records}{out} --checks {checks}`;
the module says how. Simulated with the functions of the check and its usual limits ([check.md](check.md)). Columns are
seeds of the baseline and of the run.

- Standard deviations of ln FD between seeds, from the records: {sds}.
- Of bits/dim: {bit_sds}.
- Between invocations, simulated: {speed} % of a throughput, {memory} % of a peak of memory.

## False alarms

Whole checks of equal code in which any number is named, in per cent: quality, likelihood, speed and memory of all
entrants, with one invocation in the run.

{alarms}

If every deviation between seeds is twice as large as the records say:

{doubled}

## Found

Named in per cent where the distance of one entrant is larger by {percents}:

{quality}

Where bits/dim are larger by {bits_more}:

{likelihood}

Where throughput is lower, a second being worth {percents} fewer images (columns are invocations):

{speeds}

Where one seed of the run alone has 1.5 / 3 times the distance:

{bad}

## Screened by one seed, confirmed by {fresh} fresh ones

By `check --confirm {fresh}` of a run with one seed, an entrant with p <= {screen} is trained with {fresh} fresh seeds,
and these alone decide ([ci.md](ci.md)). Named in per cent where the distance of one entrant is larger by
{percents}:

{confirmed}

## What a line says it could have seen

The smallest detectable change of the distance that is printed beside a pass, in per cent: the median of the simulated
checks, and the 10th to the 90th percentile.

{seen}

## Shown to be within a margin

Shown to be within {within} by `--not-worse-than` where nothing changed, in per cent, one entrant:

{shown}
"""

if __name__ == "__main__":
    main()
