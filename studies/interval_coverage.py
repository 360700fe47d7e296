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

from bench import data, features, intervals, reference
from bench.fidelity import Resampler, Statistics, frechet_distance, statistics
from bench.record import Interval

RATIOS = (1, 2, 3, 5, 10)  # N / d
QUICK = (1280, 5000)  # dimensions of the packaged extractor, samples of the suite `quick`
NOISE = 8.0  # grey levels, standard deviation
DRAWS = ((5, 10), (10, 20))  # splits and resamples, of `quick` and by default
TEXT = f"""# How often the intervals cover the truth

Written by `python -m studies.interval_coverage`; the module says how. Nominal: 95 %. An interval is given from the N/d
on from which it covers in at least 93 % of trials, in both populations and at every number of dimensions d: that of
FD_N by halves from N/d = {intervals.HALVES_FROM:g}, the corrected value from N/d = {intervals.CORRECTED_FROM:g}
(`bench/intervals.py`). Below, the correction leaves a bias that its interval does not know of. The last lines of each
population are the features and the number of samples of the suite `quick`. The range of the resamples stands for the
percentile bootstrap, which other tools use. The reference is fixed: its own sampling error is in no interval.

"""
PAGE = Path(__file__).parent.parent / "docs" / "interval_coverage.md"


def populations() -> tuple[dict[str, Tensor], Tensor]:
    """Features `[10000, 1280]` of training images and of noisy ones, and those of the test images."""
    extractor = features.load("efficientnet-lite0", torch.device("cpu"))
    found = data.load("fashion-mnist-10k")
    noise = np.random.default_rng(0).normal(0, NOISE, found.train.shape)
    noisy = (found.train + noise).round().clip(0, 255).astype(np.uint8)
    near, far, test = (
        torch.from_numpy(reference.features_of(images, extractor)).double()
        for images in (found.train, noisy, found.test)
    )
    return {"training images": near, f"with noise of {NOISE:g} levels": far}, test


def coverage(population: Tensor, against: Statistics, n: int, trials: int, splits: int, resamples: int) -> list[float]:
    """Shares of `trials` in which each interval covers its truth, and the bias at `n` over the true distance."""
    exact = statistics(population)
    m = len(population)
    truth = frechet_distance(Statistics(m, exact.mean, exact.covariance * (m - 1) / m), against)
    generator = torch.Generator().manual_seed(n)

    def draw() -> Tensor:
        return population[torch.randint(m, (n,), generator=generator)]

    expected = float(np.mean([frechet_distance(statistics(draw()), against) for _ in range(trials)]))
    hits = np.zeros(3)
    for trial in range(trials):
        samples = draw()
        value = frechet_distance(statistics(samples), against)
        resampler = Resampler(samples, against)
        _, at_n = intervals.halves_interval(value, resampler.halves(splits, trial))
        drawn = resampler.bootstrap(resamples, trial)
        _, without_bias = intervals.corrected(value, drawn)
        percentile = Interval(low=min(drawn), high=max(drawn), level=intervals.LEVEL, method="range of the resamples")
        inside = ((at_n, expected), (without_bias, truth), (percentile, truth))
        hits += [interval.low <= true <= interval.high for interval, true in inside]
    return [*(hits / trials), expected / truth]


def cases(trials: int) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """d, N, trials (the fewer, the dearer they are), splits and resamples."""
    for ratio in RATIOS:
        for draws in DRAWS:
            yield 64, 64 * ratio, 2 * trials, draws
    for ratio in RATIOS:
        yield 256, 256 * ratio, trials, DRAWS[0]
    yield *QUICK, max(trials // 4, 1), DRAWS[0]


@click.command()
@click.option("--trials", default=200, show_default=True)
def main(trials: int) -> None:
    found, test = populations()
    lines = [
        "| Population | d | N/d | Trials | Splits, resamples | E[FD_N] / FD | Halves cover E[FD_N] "
        "| Corrected covers FD | Range of the resamples covers FD |",
        "| :--- | ---: | ---: | ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    for name, population in found.items():
        for d, n, many, (splits, resamples) in cases(trials):
            torch.manual_seed(d)
            directions = torch.linalg.qr(torch.randn(population.shape[1], d, dtype=torch.float64)).Q
            against = statistics(test @ directions)
            halves, corrected, percentile, bias = coverage(population @ directions, against, n, many, splits, resamples)
            lines.append(
                f"| {name} | {d} | {n / d:.2g} | {many} | {splits}, {resamples} | {bias:.2f} | {halves:.1%} "
                f"| {corrected:.1%} | {percentile:.1%} |"
            )
            click.echo(lines[-1])
    PAGE.write_text(TEXT + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
