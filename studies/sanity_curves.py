"""Every sample metric along damages whose order is known: writes docs/sanity_curves.md and docs/sanity_curves.svg.

    python -m studies.sanity_curves

Packaged training images are damaged more and more and measured against the 10,000 test images, as the samples of a
model would be. A metric that does not move as it claims to, on damage that anyone sees, is not to be trusted on models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
import scipy.ndimage
import scipy.stats
import seaborn as sns
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from equibench.data import sets
from equibench.data.sets import Dataset
from equibench.measure.features.load import load_extractor
from equibench.measure.quality import metrics
from equibench.measure.quality.memorization import memorization_test
from equibench.measure.quality.reference import features_of, reference_of_images
from equibench.quantities.glossary import known
from equibench.quantities.text import number
from equibench.record.schema import Quality
from equibench.report.figures import style

Images = NDArray[np.uint8]
Direction = Literal["worse", "any"]
Point = tuple[float, float | None]  # a number and its standard error
Measure = Callable[[Images], dict[str, Point]]

N = 1800  # two classes of 900 each when the others are dropped, and still more than the features' 1280 dimensions
HELD_OUT = 5000  # test images that the test of memorization takes as held out; the others are its honest samples
METRICS = ("FD", "FD without bias", "KD", "precision", "recall", "density", "coverage", "sliced Wasserstein")
HIGHER_IS_BETTER = tuple(
    name for name in METRICS if (found := known(f"quality.also.{name}")) and found.better == "higher"
)
FIDELITY = ("precision", "density")  # of single images: they need not see that others are missing
TREND = 0.8  # rank correlation with the damage from which a metric follows it
DOCS = Path(__file__).parent.parent / "docs"


def even(labels: NDArray[np.int64], classes: int, n: int) -> NDArray[np.int64]:
    """Indices of `n` images of the first so many classes, in equal shares and mixed."""
    each = [np.flatnonzero(labels == label)[: n // classes] for label in range(classes)]
    return np.random.default_rng(0).permutation(np.concatenate(each))


def noise(images: Images, sd: float) -> Images:
    noisy = images + np.random.default_rng(0).normal(0, sd, images.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def blur(images: Images, sd: float) -> Images:
    blurred: NDArray[np.float32] = scipy.ndimage.gaussian_filter(images.astype(np.float32), (0, 0, sd, sd))
    return blurred.round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Damage:
    """A way to damage samples, its levels from none to most, and what the metrics must do along them."""

    name: str
    unit: str
    levels: tuple[float, ...]
    apply: Callable[[Images, NDArray[np.int64], float, int], Images]  # images, labels, level, n
    fidelity: Direction = "worse"

    def must(self, metric: str) -> Direction:
        return self.fidelity if metric in FIDELITY else "worse"


DAMAGES = (
    Damage(
        "noise",
        "standard deviation, grey levels",
        (0, 1, 2, 5, 10, 20, 40, 80),
        lambda images, labels, sd, n: noise(images[even(labels, 10, n)], sd),
    ),
    Damage(
        "blur",
        "standard deviation, pixels",
        (0, 0.3, 0.5, 0.75, 1, 1.5, 2, 3),
        lambda images, labels, sd, n: blur(images[even(labels, 10, n)], sd),
    ),
    Damage(
        "mode dropping",
        "classes dropped, of ten",
        (0, 1, 4, 5, 8),  # those that leave equal shares of N
        lambda images, labels, dropped, n: images[even(labels, 10 - int(dropped), n)],
        fidelity="any",
    ),
    Damage(
        "mode collapse",
        "copies of each image",
        (1, 2, 5, 10, 50, 200),
        lambda images, labels, copies, n: images[even(labels, 10, n)[np.arange(n) % (n // int(copies))]],
        fidelity="any",
    ),
)
COUNTS = (1500, 2000, 3000, 5000, 9000)
COPIED = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def trend(levels: tuple[float, ...], values: list[float], metric: str) -> float:
    """Rank correlation of the damage with how much worse the metric says it is, in [-1, 1] (Spearman)."""
    found = float(scipy.stats.spearmanr(levels, values).statistic) if len(set(values)) > 1 else 0.0
    return -found if metric in HIGHER_IS_BETTER else found


def points(measured: Quality) -> dict[str, Point]:
    """All numbers of a quality by the names in METRICS; without a bias correction where N is too small for one."""
    found: dict[str, Point] = {}
    if measured.value is not None:
        found["FD"] = (measured.value, measured.stderr)
    if measured.corrected is not None and (interval := measured.corrected_interval):
        found["FD without bias"] = (measured.corrected, (interval.high - interval.low) / 4)
    return found | {one.name: (one.value, one.stderr) for one in measured.also if one.value is not None}


def curves(found: Dataset, measure: Measure, n: int) -> dict[str, list[dict[str, Point]]]:
    """The numbers at every level of every damage to training images."""
    assert found.train_labels is not None
    made: dict[str, list[dict[str, Point]]] = {}
    for damage in DAMAGES:
        for level in damage.levels:
            made.setdefault(damage.name, []).append(measure(damage.apply(found.train, found.train_labels, level, n)))
    return made


def table(head: str, levels: tuple[float, ...], rows: list[dict[str, Point]]) -> list[str]:
    names = [name for name in METRICS if any(name in row for row in rows)]

    def shown(point: Point | None) -> str:
        if point is None:
            return "too few samples"
        return number(point[0]) + (f" ± {number(point[1], 2)}" if point[1] else "")

    return [
        f"| {head} | {' | '.join(names)} |",
        f"| ---: |{' ---: |' * len(names)}",
        *(
            f"| {level:g} | {' | '.join(shown(row.get(name)) for name in names)} |"
            for level, row in zip(levels, rows, strict=True)
        ),
        "",
    ]


def figure(made: dict[str, list[dict[str, Point]]]) -> Figure:
    with style.style():
        names = [name for name in METRICS if name in made["noise"][0]]
        drawn = Figure(figsize=(2.4 * len(DAMAGES), 1.5 * len(names)), layout="constrained")
        grid = drawn.subplots(len(names), len(DAMAGES), sharey="row", sharex="col", squeeze=False)
        for line, name in zip(grid, names, strict=True):
            for axes, damage in zip(line, DAMAGES, strict=True):
                rows = [row[name] for row in made[damage.name]]
                errors = [2 * (error or 0) for _, error in rows]
                colour = sns.color_palette("colorblind")[0]
                axes.errorbar(range(len(rows)), [value for value, _ in rows], yerr=errors, marker="o", color=colour)
                axes.set_xticks(range(len(rows)), [f"{level:g}" for level in damage.levels], fontsize=7)
            line[0].set_ylabel(f"{name} {'↑' if name in HIGHER_IS_BETTER else '↓'}", fontsize=8)
        for axes, damage in zip(grid[-1], DAMAGES, strict=True):
            axes.set_xlabel(damage.unit, fontsize=8)
        for axes, damage in zip(grid[0], DAMAGES, strict=True):
            axes.set_title(damage.name, fontsize=10)
    return drawn


def memorization(found: Dataset, features_of: Callable[[Images], NDArray[np.float32]]) -> list[str]:
    """The test's share and p where so many samples are training images, the rest test images it never saw."""
    train, honest = found.train[:HELD_OUT], found.test[HELD_OUT : HELD_OUT + N]
    theirs, held_out = features_of(train), features_of(found.test[:HELD_OUT])
    lines = ["| Copies among the samples | Share nearer to training | p |", "| ---: | ---: | ---: |"]
    for share in COPIED:
        samples = honest.copy()
        samples[: int(share * N)] = train[: int(share * N)]
        test, _ = memorization_test(torch.from_numpy(features_of(samples)), samples, train, theirs, held_out)
        lines.append(f"| {share:.0%} | {test.share_nearer_train:.3f} ± {test.stderr:.3f} | {number(test.p, 2)} |")
    return lines


TEXT = f"""# What each metric does when samples get worse

Written by `python -m studies.sanity_curves`: {N:,} packaged training images, damaged more and more, against the 10,000
test images, in EfficientNet-Lite0's features. ± is one standard error of evaluation, where the metric has one.

![Each metric along each damage](sanity_curves.svg)

## Do they go the right way?

Rank correlation (Spearman) of each metric's getting worse with the damage; 1 is a metric that follows it at every
level. Precision and density judge images one by one: nothing is asked of them where images are good but too few kinds
or too many copies of them are there.

"""


@click.command()
def main() -> None:
    extractor = load_extractor("efficientnet-lite0", torch.device("cpu"))
    found = sets.load("fashion-mnist-10k")
    against = reference_of_images("test", found.test, extractor)

    def measure(images: Images) -> dict[str, Point]:
        on = torch.from_numpy(features_of(images, extractor))
        return points(metrics.measure(on, against, extractor, splits=5, resamples=10, also=True))

    made = curves(found, measure, N)
    names = [name for name in METRICS if name in made["noise"][0]]
    lines = [f"| Metric | {' | '.join(damage.name for damage in DAMAGES)} |", f"| :--- |{' ---: |' * len(DAMAGES)}"]
    wrong = []
    for name in names:
        cells = []
        for damage in DAMAGES:
            follows = trend(damage.levels, [row[name][0] for row in made[damage.name]], name)
            free = damage.must(name) == "any"
            if not free and follows < TREND:
                wrong.append(f"{name} under {damage.name}")
            cells.append(f"{follows:.2f}{' (free)' if free else ''}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"Not as they should: {', '.join(wrong)}." if wrong else "All go the right way.", ""]
    for damage in DAMAGES:
        lines += [f"## {damage.name.capitalize()}", "", *table(damage.unit, damage.levels, made[damage.name])]
    by_count = [measure(found.train[:n]) for n in COUNTS]
    lines += ["## Number of samples", "", "Undamaged: a distance that falls here falls by its bias alone.", ""]
    lines += table("N", COUNTS, by_count)
    lines += ["## Memorization", "", *memorization(found, lambda images: features_of(images, extractor))]
    DOCS.joinpath("sanity_curves.md").write_text(TEXT + "\n".join(lines) + "\n")
    DOCS.joinpath("sanity_curves.svg").write_bytes(style.render(figure(made), "svg"))
    click.echo(lines[len(names) + 3])


if __name__ == "__main__":
    main()
