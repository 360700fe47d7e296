"""Class-conditional entrants: how many classes the data has, what is told of them, and whether they fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equibench.data.parts import Labels
from equibench.data.sets import Dataset
from equibench.entrant import CLASSES
from equibench.errors import UserError
from equibench.suite import Entrant, Suite

if TYPE_CHECKING:
    from equibench_models.contract import Model


def number_of_classes(data: Dataset) -> int:
    """The number of classes, where every image has a label, 0 and up. Raises UserError for other data."""
    known = [data.train_labels, data.test_labels]
    if any(labels is None for labels in known):
        raise UserError(f"{data.name} has no labels; give data with classes, or take `labels` and `classes` away")
    there = np.concatenate([labels for labels in known if labels is not None])
    if len(there) and there.min() < 0:
        raise UserError(
            f"{np.count_nonzero(there < 0):,} images of {data.name} have no label; leave them out, or take `labels` "
            "and `classes` away"
        )
    classes = max(int(there.max(initial=-1)) + 1, len(data.classes))
    if classes < 2:
        raise UserError(f"{data.name} has one class, which tells nothing; take `labels` and `classes` away")
    return classes


def has_classes(data: Dataset) -> bool:
    """Whether every image has a label, of two classes or more."""
    try:
        return number_of_classes(data) > 1
    except UserError:
        return False


def labelled(suite: Suite, data: Dataset) -> Suite:
    """The suite with the number of classes in the config of each entrant that is to be told labels. Raises UserError
    where the data has none, or another number than a config says.
    """
    if not any(entrant.labels or entrant.config.get(CLASSES) for entrant in suite.entrant):
        return suite
    return suite.model_copy(update={"entrant": [_labelled(entrant, data) for entrant in suite.entrant]})


def _labelled(entrant: Entrant, data: Dataset) -> Entrant:
    said = entrant.config.get(CLASSES)
    if not entrant.labels and not said:
        return entrant
    classes = number_of_classes(data)
    if said is not None and said != classes:
        raise UserError(f"entrant {entrant.name!r}: classes = {said}, and {data.name} has {classes}; give that number")
    return entrant.with_classes(classes)


def check_labels(entrant: Entrant, fields: dict[str, object]) -> None:
    """Raises UserError for an entrant that asks for labels and would be trained without them: of a family whose config
    has none of these `fields`, or before the data was looked at.
    """
    if not entrant.labels:
        return
    if CLASSES not in fields:
        raise UserError(
            f"entrant {entrant.name!r}: the family {entrant.family} has no field `classes` in its config, so that it "
            "cannot be told labels; take `labels` away"
        )
    if not entrant.config.get(CLASSES):
        raise UserError(f"entrant {entrant.name!r}: the number of classes is not known; give it as classes in config")


def tell_shares(model: Model, data: Dataset) -> None:
    """How frequent each class is among the training images, by which a class-conditional model draws labels. Raises
    UserError where the data has other classes than the model.
    """
    if not model.classes:
        return
    check_fits(model, data)
    assert data.train_labels is not None
    counts = np.bincount(data.train_labels, minlength=model.classes)
    model.label_shares.copy_(model.label_shares.new_tensor(counts / counts.sum()))


def check_fits(model: Model, data: Dataset) -> None:
    """Raises UserError where the data has other classes than a class-conditional model."""
    if model.classes and (there := number_of_classes(data)) != model.classes:
        raise UserError(f"the model was trained on {model.classes} classes, and {data.name} has {there}; give its data")


def labels_for(model: Model, labels: Labels | None) -> NDArray[np.int64] | None:
    """The labels that a model is to be told: none where it has no classes."""
    return labels if model.classes else None
