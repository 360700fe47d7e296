"""How often each interval of a Frechet distance covers the truth, on real features: writes docs/interval_coverage.md.

    python -m studies.interval_coverage [--trials 200] [--part "at N" | --part "without bias"]

The population is the features of packaged training images, as they are or with noise, projected on d random orthonormal
directions; N samples are drawn from it with replacement, so that the distance of infinitely many is known exactly.
The reference is the test images, taken as given. The expectation at N and the spread are those of the trials.
A part that is run alone takes the place of its own in the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from equibench import intervals
from equibench.data import sets
from equibench.measure.features.load import load_extractor
from equibench.measure.quality.frechet import Resampler, Statistics, frechet_distance, statistics
from equibench.measure.quality.reference import features_of
from equibench.protocol import LEVEL
from equibench.record.schema import Interval

RATIOS = (1, 2, 3, 5, 10)  # N / d
QUICK = (1280, 5000)  # dimensions of the packaged extractor, samples of the suite `quick`
NOISE = 8.0  # grey levels, standard deviation
DRAWS = ((5, 10), (10, 20))  # splits and resamples, of `quick` and by default
TEXT = """# How often the intervals cover the truth

Written by `python -m studies.interval_coverage`; the module says how. Nominal: 95 %. Where it is 93 % or more, an
interval is given. The last line of each population has the features and the number of samples of the suite `quick`.
The reference is fixed: its own sampling error is in no interval.
"""
PARTS = {
    "at N": """
The interval of the expectation at N, by the standard error over samples. The mean error is given over the true spread,
which the trials know to 1 / sqrt(2 trials), and the errors' scatter over their mean. Where training images stand for
samples, the distance is nearly all bias of N, and the error is too large.
""",
    "without bias": """
The value without bias has two ingredients that err on opposite sides, the bootstrap's estimate of the bias (too small)
and that of halves (too large); the columns of what each and their mean leave over, in units of the true distance, show
why the mean is taken. The range of the resamples stands for the percentile bootstrap, which other tools use.
""",
}
PAGE = Path(__file__).parent.parent / "docs" / "interval_coverage.md"


def populations() -> tuple[dict[str, Tensor], Tensor]:
    """Features `[10000, 1280]` of training images and of noisy ones, and those of the test images."""
    extractor = load_extractor("efficientnet-lite0", torch.device("cpu"))
    found = sets.load("fashion-mnist-10k")
    noise = np.random.default_rng(0).normal(0, NOISE, found.train.shape)
    noisy = (found.train + noise).round().clip(0, 255).astype(np.uint8)
    near, far, test = (
        torch.from_numpy(features_of(images, extractor)).double() for images in (found.train, noisy, found.test)
    )
    return {"training images": near, f"with noise of {NOISE:g} levels": far}, test


def at_n(population: Tensor, against: Statistics, n: int, trials: int) -> list[float]:
    """The mean standard error over the true spread, its scatter over its mean, and the share of `trials` in which the
    interval covers the expectation.
    """
    generator = torch.Generator().manual_seed(n)
    found = []
    for _ in range(trials):
        resampler = Resampler(population[torch.randint(len(population), (n,), generator=generator)], against)
        found.append((resampler.whole(), resampler.stderr()))
    values, errors = np.array(found).T
    given = [intervals.at_n(value, error) for value, error in found]
    hits = [interval.low <= values.mean() <= interval.high for interval in given]
    return [errors.mean() / values.std(ddof=1), errors.std(ddof=1) / errors.mean(), float(np.mean(hits))]


def without_bias(
    population: Tensor, against: Statistics, n: int, trials: int, splits: int, resamples: int
) -> list[float]:
    """Shares of `trials` in which each interval covers its truth, then over the true distance: the expectation at `n`,
    and what the bootstrap, the halves and the mean of both leave of the bias.
    """
    exact = statistics(population)
    m = len(population)
    truth = frechet_distance(Statistics(m, exact.mean, exact.covariance * (m - 1) / m), against)
    generator = torch.Generator().manual_seed(n)
    hits, left, values = np.zeros(2), np.zeros(3), []
    for trial in range(trials):
        resampler = Resampler(population[torch.randint(m, (n,), generator=generator)], against)
        value = resampler.whole()
        values.append(value)
        halves, drawn = resampler.halves(splits, trial), resampler.bootstrap(resamples, trial)
        corrected, interval = intervals.corrected(value, halves, drawn)
        percentile = Interval(low=min(drawn), high=max(drawn), level=LEVEL, method="range of the resamples")
        hits += [one.low <= truth <= one.high for one in (interval, percentile)]
        left += [2 * value - float(np.mean(drawn)), 2 * value - float(np.mean(halves)), corrected]
    return [*(hits / trials), float(np.mean(values)) / truth, *(left / trials / truth - 1)]


def cases(trials: int) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """d, N, trials (the fewer, the dearer they are), splits and resamples."""
    for ratio in RATIOS:
        for draws in DRAWS:
            yield 64, 64 * ratio, 4 * trials, draws
    for ratio in RATIOS:
        yield 256, 256 * ratio, trials, DRAWS[0]
    yield *QUICK, max(trials // 5, 1), DRAWS[0]


def table_at_n(populations: dict[str, Tensor], test: Tensor, trials: int) -> Iterator[str]:
    """The lines of a table, in Markdown."""
    yield "| Population | d | N/d | Trials | Error / true spread | Scatter of the error | Covers E[FD_N] |"
    yield "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, population in populations.items():
        for d, n, many in dict.fromkeys((d, n, many) for d, n, many, _ in cases(trials)):
            ratio, scatter, covers = at_n(*_projected(population, test, d), n + (n == d), many)
            yield f"| {name} | {d} | {n / d:.2g} | {many} | {ratio:.2f} | {scatter:.0%} | {covers:.1%} |"


def table_without_bias(populations: dict[str, Tensor], test: Tensor, trials: int) -> Iterator[str]:
    """The lines of a table, in Markdown."""
    yield (
        "| Population | d | N/d | Trials | Splits, resamples | E[FD_N] / FD | Without bias covers FD "
        "| Range of the resamples covers FD | The bootstrap leaves | Halves leave | Their mean leaves |"
    )
    yield "| :--- | ---: | ---: | ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, population in populations.items():
        for d, n, many, (splits, resamples) in cases(trials):
            projected = _projected(population, test, d)
            *shares, ratio, by_bootstrap, by_halves, by_both = without_bias(*projected, n, many, splits, resamples)
            yield (
                f"| {name} | {d} | {n / d:.2g} | {many} | {splits}, {resamples} | {ratio:.2f} "
                f"| {' | '.join(f'{share:.1%}' for share in shares)} "
                f"| {by_bootstrap:+.3f} | {by_halves:+.3f} | {by_both:+.3f} |"
            )


def _projected(population: Tensor, test: Tensor, d: int) -> tuple[Tensor, Statistics]:
    """Both on d random directions, the same for all populations."""
    torch.manual_seed(d)
    directions = torch.linalg.qr(torch.randn(population.shape[1], d, dtype=torch.float64)).Q
    return population @ directions, statistics(test @ directions)


@click.command()
@click.option("--trials", default=200, show_default=True)
@click.option("--part", type=click.Choice(list(PARTS)), help="One of the two tables, in place of the one in the page.")
def main(trials: int, part: str | None) -> None:
    tables = {"at N": table_at_n, "without bias": table_without_bias}
    sections = dict(found.split("\n", 1) for found in PAGE.read_text().split("\n## ")[1:])
    found, test = populations()
    for name in [part] if part else PARTS:
        lines = []
        for line in tables[name](found, test, trials):
            click.echo(line)
            lines.append(line)
        sections[name] = PARTS[name] + "\n" + "\n".join(lines) + "\n"
    PAGE.write_text(TEXT + "".join(f"\n## {name}\n{sections[name]}" for name in PARTS if name in sections))


if __name__ == "__main__":
    main()
