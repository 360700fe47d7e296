"""Of data that lie sorted by class, every n of N images that are measured are a fair draw of all classes."""

import numpy as np
import pytest
import torch
from toys import extractor

from equibench import suite
from equibench.data.sets import Dataset
from equibench.run import cell, floors, stages
from equibench.run.session import Session
from equibench.suite import Cell

CPU = torch.device("cpu")
CLASSES, EACH = 8, 40


def data():
    """Images of class k have levels about 30 k, so that their mean tells their class."""
    rng = np.random.default_rng(0)
    train, test = (
        (30 * np.repeat(np.arange(CLASSES), EACH)[:, None, None, None] + rng.integers(0, 8, (CLASSES * EACH, 1, 8, 8)))
        .clip(0, 255)
        .astype(np.uint8)
        for _ in range(2)
    )
    return Dataset("sorted", train, test)


def classes_of(images):
    return np.bincount((images.reshape(len(images), -1).mean(axis=1) // 30).astype(int), minlength=CLASSES)


def fair(images):
    """With n of N drawn, each class has its share but for chance."""
    counts = classes_of(images)
    return counts.min() >= 1 and counts.max() <= 3 * len(images) / CLASSES


@pytest.fixture
def session(tmp_path):
    small = suite.load("smoke")
    few = {"samples": 64, "reference_images": 64, "likelihood_images": 64, "memorization_images": 64}
    chosen = suite.changed(small, measure={**small.measure.model_dump(), **few})
    return Session(chosen, data(), CPU, extractor(), tmp_path)


def test_reference_and_likelihood_images_are_drawn(session):
    assert fair(session.reference_images)
    assert fair(session.likelihood_images)
    assert fair(session.likelihood_images[:32])  # bounds are of the first of these
    assert fair(session.drawn_test[:64])  # pictures, annealing and images from elsewhere
    assert len(session.reference_images) == len(session.likelihood_images) == 64


def test_real_data_are_drawn(session, monkeypatch):
    seen = []
    monkeypatch.setattr(floors, "features_of", lambda images, *_: seen.append(images) or extractor()(images))
    ending = cell._floor(Cell(session.suite, "real data", 0), session, cell.Clock())
    assert fair(seen[0])
    # near the test images: the first 64, of two classes, are as far from all as one class is from another
    first = session.quality(extractor()(session.data.train[:64]), {})
    assert ending.found.results.quality.value < 0.1 * first.value


def test_floors_of_likelihood_are_of_drawn_images(session, monkeypatch):
    seen = []
    monkeypatch.setattr(floors, "floor", lambda _name, _train, test: seen.append(test))
    cell._floor(Cell(session.suite, "global histogram", 0), session, cell.Clock())
    assert fair(seen[0])


def test_memorization_is_of_drawn_training_images(session, monkeypatch):
    seen = []

    def test(_features, _images, known, *_):
        seen.append(known)
        return None, known[:1]

    monkeypatch.setattr(stages, "memorization_test", test)
    features = extractor()(session.data.test)
    found = cell.Found(images=session.data.test, features=features).plus(quality=session.quality(features, {}))
    stages.memorization(cell.Work(session, None, "vae", {}, {}, 0, cell.Clock(), lambda *_: None), found)
    assert fair(seen[0])
