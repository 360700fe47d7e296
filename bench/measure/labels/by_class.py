"""Numbers by class: the kernel distance of each class's samples, classes that samples leave out, and how good a
classifier samples make.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.measure.labels.classifier import Classifier, judged, trained_on
from equibench.measure.quality.pairwise import compare_pairs
from equibench.record.labels import ByClass, ClassNumbers

FEWEST_IMAGES = 50  # images of a class: fewer say more of the draw than of the model
DROPPED = 0.1  # a class counts as left out where its share of the samples is below this times that of test images
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Labelled:
    """Images `[N, C, H, W]`, their features `[N, d]` and labels `[N]`."""

    images: Images
    features: NDArray[np.float32]
    labels: Labels


def by_class(
    images: Images,
    features: NDArray[np.float32],
    told: Labels | None,
    train: Labelled,
    test: Labelled,
    names: tuple[str, ...],
    metric: str,
    device: torch.device,
    progress: Progress = lambda what, share: None,
) -> ByClass:
    """Numbers of samples (`images` uint8 `[N, C, H, W]`, `features` `[N, d]`), which a class-conditional model drew for
    the labels `told` `[N]`, by the classes that have these `names` in the order of their labels.

    Classification accuracy score (Ravuri and Vinyals 2019): a classifier is trained on the samples alone, as many as
    there are, and tried on the test images; beside it stands the judge, trained on the `train` images.
    """
    judge = trained_on(train.images, train.labels, len(names), device, lambda share: progress("judge", share))
    of_samples, of_test = judged(judge, images), judged(judge, test.images)
    numbers = _Numbers(features, of_samples, of_test, train, test, names, device)
    score: dict[str, float | str | None] = {"reason": "the model is told no labels, so that its samples have none"}
    if told is not None:
        made = trained_on(images, told, len(names), device, lambda share: progress("classifier of samples", share))
        right = _accuracy(made, test)
        score = {"sample_accuracy": right, "sample_accuracy_stderr": share_stderr(right, len(test.labels))}
    by_judge = numbers.all_of(of_samples, None)
    found = by_judge if told is None else numbers.all_of(told, told)
    return ByClass(
        metric="KID" if metric == "FID" else "KD",
        assigned_by="classifier" if told is None else "label",
        classes=found,
        judged=[] if told is None else by_judge,
        dropped=[one.name for one in found if one.judged_share < DROPPED * one.real_judged_share],
        classifier_accuracy=float((of_test == test.labels).mean()),
        classifier_images=len(train.images),
        n_test=len(test.labels),
        **score,
    )


@dataclass(frozen=True)
class _Numbers:
    """What the numbers of all classes are made of."""

    features: NDArray[np.float32]
    of_samples: Labels  # as they were judged
    of_test: Labels
    train: Labelled
    test: Labelled
    names: tuple[str, ...]
    device: torch.device

    def all_of(self, assigned: Labels, told: Labels | None) -> list[ClassNumbers]:
        """By class, of the samples that are `assigned` to each."""
        return [self._of(label, assigned, told) for label in range(len(self.names))]

    def _of(self, label: int, assigned: Labels, told: Labels | None) -> ClassNumbers:
        ours = self.features[assigned == label]
        known, real = (side.features[side.labels == label] for side in (self.train, self.test))
        n = min(len(ours), len(known))
        numbers = ClassNumbers(
            name=self.names[label],
            label=label,
            n_samples=n,
            n_reference=len(real),
            judged_share=float((self.of_samples == label).mean()),
            real_judged_share=float((self.of_test == label).mean()),
            as_told=float((self.of_samples[told == label] == label).mean()) if told is not None and len(ours) else None,
        )
        if min(n, len(real)) < FEWEST_IMAGES:
            sides = f"{len(ours)} samples, {len(known)} training and {len(real)} test images"
            return numbers.model_copy(update={"reason": f"{sides} of the class; each takes {FEWEST_IMAGES}"})
        distance, floor = (self._distance(side[:n], real) for side in (ours, known))
        return numbers.model_copy(
            update={"kernel_distance": distance[0], "stderr": distance[1], "real_kernel_distance": floor[0]}
        )

    def _distance(self, ours: NDArray[np.float32], real: NDArray[np.float32]) -> tuple[float | None, float | None]:
        """The kernel distance and its error over samples; None where features leave the range of floats."""
        found, _ = compare_pairs(torch.from_numpy(ours).to(self.device), torch.from_numpy(real).to(self.device))
        finite = math.isfinite(found.value) and math.isfinite(found.stderr or 0.0)
        return (found.value, found.stderr) if finite else (None, None)


def _accuracy(model: Classifier, test: Labelled) -> float:
    return float((judged(model, test.images) == test.labels).mean())


def share_stderr(share: float, n: int) -> float:
    """Standard error of a share of n."""
    return math.sqrt(share * (1 - share) / n)
