"""The part of a record on the data set that a cell was trained and measured on."""

from __future__ import annotations

from equibench.record.base import Strict


class DataInfo(Strict):
    """The data set that a cell was trained and measured on, identified by its hash."""

    name: str
    sha256: str  # of the pixels and labels of both splits, and the names of the classes
    shape: tuple[int, int, int]  # C, H, W
    n_train: int
    n_test: int
    entropy_bits_per_dim: float | None = None  # known for procedural data only
    split: str | None = None  # how training and test images were told apart, where their source does not say
    classes: list[str] = []  # names in the order of the labels
    labels_sha256: str | None = None  # of the labels of both splits
    lossy: str | None = None  # the compression that the images went through, where the user took them all the same
