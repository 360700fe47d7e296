"""How often each interval of a Frechet distance covers the truth, on real features: writes docs/interval_coverage.md.

    python -m studies.interval_coverage [--trials 200]

The population is the features of packaged training images, as they are or with noise, projected on d random orthonormal
directions; N samples are drawn from it with replacement, so that the distance of infinitely many is known exactly.
The reference is the test images, taken as given. The expectation at N is the mean over as many draws again.
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
from equibench.record.schema import Interval

RATIOS = (1, 2, 3, 5, 10)  # N / d
QUICK = (1280, 5000)  # dimensions of the packaged extractor, samples of the suite `quick`
NOISE = 8.0  # grey levels, standard deviation
DRAWS = ((5, 10), (10, 20))  # splits and resamples, of `quick` and by default
TEXT = """# How often the intervals cover the truth

Written by `python -m studies.interval_coverage`; the module says how. Nominal: 95 %. Where it is 93 % or more, an
interval is given. The last line of each population has the features and the number of samples of the suite `quick`.

The value without bias has two ingredients that err on opposite sides, the bootstrap's estimate of the bias (too small)
and that of halves (too large); the columns of what each and their mean leave over, in units of the true distance, show
why the mean is taken. The range of the resamples stands for the percentile bootstrap, which other tools use. The
reference is fixed: its own sampling error is in no interval.

"""
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


def coverage(population: Tensor, against: Statistics, n: int, trials: int, splits: int, resamples: int) -> list[float]:
    """Shares of `trials` in which each interval covers its truth, then over the true distance: the expectation at `n`,
    and what the bootstrap, the halves and the mean of both leave of the bias.
    """
    exact = statistics(population)
    m = len(population)
    truth = frechet_distance(Statistics(m, exact.mean, exact.covariance * (m - 1) / m), against)
    generator = torch.Generator().manual_seed(n)

    def draw() -> Tensor:
        return population[torch.randint(m, (n,), generator=generator)]

    expected = float(np.mean([frechet_distance(statistics(draw()), against) for _ in range(trials)]))
    hits, left = np.zeros(3), np.zeros(3)
    for trial in range(trials):
        samples = draw()
        value = frechet_distance(statistics(samples), against)
        resampler = Resampler(samples, against)
        halves, drawn = resampler.halves(splits, trial), resampler.bootstrap(resamples, trial)
        _, at_n = intervals.halves_interval(value, halves)
        corrected, without_bias = intervals.corrected(value, halves, drawn)
        percentile = Interval(low=min(drawn), high=max(drawn), level=intervals.LEVEL, method="range of the resamples")
        inside = ((at_n, expected), (without_bias, truth), (percentile, truth))
        hits += [interval.low <= true <= interval.high for interval, true in inside]
        left += [2 * value - float(np.mean(drawn)), 2 * value - float(np.mean(halves)), corrected]
    return [*(hits / trials), expected / truth, *(left / trials / truth - 1)]


def cases(trials: int) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """d, N, trials (the fewer, the dearer they are), splits and resamples."""
    for ratio in RATIOS:
        for draws in DRAWS:
            yield 64, 64 * ratio, 4 * trials, draws
    for ratio in RATIOS:
        yield 256, 256 * ratio, trials, DRAWS[0]
    yield *QUICK, max(trials // 5, 1), DRAWS[0]


@click.command()
@click.option("--trials", default=200, show_default=True)
def main(trials: int) -> None:
    found, test = populations()
    lines = [
        "| Population | d | N/d | Trials | Splits, resamples | E[FD_N] / FD | Halves cover E[FD_N] "
        "| Without bias covers FD | Range of the resamples covers FD "
        "| The bootstrap leaves | Halves leave | Their mean leaves |",
        "| :--- | ---: | ---: | ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, population in found.items():
        for d, n, many, (splits, resamples) in cases(trials):
            torch.manual_seed(d)
            directions = torch.linalg.qr(torch.randn(population.shape[1], d, dtype=torch.float64)).Q
            against = statistics(test @ directions)
            *shares, ratio, by_bootstrap, by_halves, by_both = coverage(
                population @ directions, against, n, many, splits, resamples
            )
            lines.append(
                f"| {name} | {d} | {n / d:.2g} | {many} | {splits}, {resamples} | {ratio:.2f} "
                f"| {' | '.join(f'{share:.1%}' for share in shares)} "
                f"| {by_bootstrap:+.3f} | {by_halves:+.3f} | {by_both:+.3f} |"
            )
            click.echo(lines[-1])
    PAGE.write_text(TEXT + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
