"""Stages that take labels of the data: numbers by class, and probes. Data without labels has none of their parts."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.data.classes import names_of
from equibench.data.parts import drawn_of
from equibench.machine.device import autocast
from equibench.measure.labels.by_class import Labelled, by_class
from equibench.measure.labels.probes import NEIGHBOURS, chance, probe
from equibench.measure.quality.reference import features_of
from equibench.record.labels import Probes
from equibench.run.labels import has_classes, number_of_classes
from equibench.run.work import Found, Work, needed

BATCH = 250


def numbers_by_class(work: Work, found: Found) -> Found:
    """The headline's samples by class, against the reference's images."""
    session, data = work.session, work.session.data
    setting = session.suite.measure.by_class
    if setting is None or not has_classes(data):
        return found
    images, features = needed(found.images), needed(found.features)
    assert data.train_labels is not None
    assert data.test_labels is not None
    chosen = drawn_of(data.train, setting.train_images)
    with work.clock.part("features"):
        known = data.train[chosen]
        train = Labelled(known, features_of(known, session.extractor, session.cache), data.train_labels[chosen])
        test = Labelled(session.reference_images, session.reference_features, needed(session.reference_labels))
    with work.clock.part("classes"):
        measured = by_class(
            images,
            features,
            work.sample_labels(len(images)),
            train,
            test,
            names_of(data, range(number_of_classes(data))),
            session.extractor.metric,
            session.device,
            lambda what, share: work.tell(f"by class: {what}", share),
        )
    return found.plus(by_class=measured)


def probes(work: Work, found: Found) -> Found:
    """What the model makes of images, and their pixels, as far as classes can be told from it."""
    data, setting = work.session.data, work.session.suite.measure.probes
    if setting is None or not has_classes(data):
        return found
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = (
        drawn_of(images, n) for images, n in ((data.train, setting.train_images), (data.test, setting.test_images))
    )
    labels = data.train_labels[train], data.test_labels[test]
    with work.clock.part("classes"):
        generator = work.generator("probes")
        read, held_out = (
            _represented(partial(work.tell, "features of the model"), work, images, generator)
            for images in (data.train[train], data.test[test])
        )
        if len(read) < 2:  # pixels alone
            return found
        results = []
        for i, name in enumerate(read):
            work.tell(f"probe: {name}", i / len(read))
            results.append(probe(name, read[name], labels[0], held_out[name], labels[1], work.session.device))
    return found.plus(
        probes=Probes(
            probes=results,
            chance_accuracy=chance(*labels),
            neighbours=min(NEIGHBOURS, len(labels[0])),
            n_train=len(labels[0]),
            n_test=len(labels[1]),
            n_classes=number_of_classes(data),
        )
    )


def _represented(
    tell: partial[None], work: Work, images: NDArray[np.uint8], generator: torch.Generator
) -> dict[str, NDArray[np.float32]]:
    """By name, one vector an image `[N, d]`: pixels, and what the model makes of them."""
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(images[start : start + BATCH]).to(work.session.device)
        with torch.no_grad(), autocast(work.session.device):
            made = {"pixels": batch.flatten(1), **work.model.represent(batch, generator)}
        for name, vectors in made.items():
            parts.setdefault(name, []).append(vectors.float().cpu().numpy())
        tell(start / len(images))
    return {name: np.concatenate(vectors) for name, vectors in parts.items()}
