"""The parts of a record on classes: numbers by class, and what a model's features know of classes (measure/labels)."""

from __future__ import annotations

from typing import Literal

from equibench.record.base import Strict


class ClassNumbers(Strict):
    """One class: its samples against its test images, beside as many training images of it."""

    name: str
    label: int
    n_samples: int  # of each side but the test images, which are all of the class
    n_reference: int
    kernel_distance: float | None = None  # KD, or KID, of samples
    stderr: float | None = None  # over samples
    real_kernel_distance: float | None = None  # of as many training images of the class: what to hold it against
    judged_share: float  # of all samples that a classifier takes for this class
    real_judged_share: float  # of the test images
    as_told: float | None = None  # share of the samples with this label that it takes for the class
    reason: str | None = None  # why there is no distance


class ByClass(Strict):
    """Numbers by class of the headline's samples, in the order of the labels. A class's samples are those drawn for its
    label; of a model that is told no labels, and in `judged`, those that a classifier takes for it.
    """

    metric: Literal["KD", "KID"]
    assigned_by: Literal["label", "classifier"]
    classes: list[ClassNumbers]
    judged: list[ClassNumbers] = []  # of a class-conditional model too: what compares with others
    dropped: list[str] = []  # classes of which a classifier finds less than a tenth of their share
    classifier_accuracy: float  # of the judge, trained on real images: the share of test images that it takes right
    classifier_images: int  # that it was trained on
    sample_accuracy: float | None = None  # the same of one trained on samples: classification accuracy score
    sample_accuracy_stderr: float | None = None  # over test images
    reason: str | None = None  # why there is none
    n_test: int


class Probe(Strict):
    """How well classes are told from one vector an image."""

    name: str  # of what the vector is, e.g. "pixels" or "mean of z0"
    dims: int
    knn_accuracy: float
    knn_stderr: float  # over test images
    linear_accuracy: float
    linear_stderr: float


class Probes(Strict):
    """Classes told from what a model makes of images, beside pixels and the most frequent class. The model is told no
    label.
    """

    probes: list[Probe]
    chance_accuracy: float  # of always saying the most frequent class
    neighbours: int
    n_train: int
    n_test: int
    n_classes: int
