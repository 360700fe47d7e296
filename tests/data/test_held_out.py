"""Images that are held out to tune by: of the training data, the same in whatever order that lies, never of test."""

import numpy as np

from equibench.data import held_out as module
from equibench.data.held_out import held_out
from equibench.data.sets import Dataset

RNG = np.random.default_rng(0)
TRAIN, TEST = (RNG.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8) for n in (100, 30))
LABELS = np.arange(100)


def dataset(order=None, labels=LABELS):
    order = np.arange(100) if order is None else order
    return Dataset("some", TRAIN[order], TEST, None if labels is None else labels[order], np.arange(30))


def pixels(images):
    return sorted(image.tobytes() for image in images)


def test_the_training_images_are_divided_and_no_test_image_is_there():
    found = held_out(dataset(), 0.2)
    assert len(found.test) == 20
    assert pixels([*found.train, *found.test]) == pixels(TRAIN)
    assert not {*pixels(TEST)} & {*pixels(found.train), *pixels(found.test)}
    assert found.sha256 != dataset().sha256


def test_labels_go_with_their_images():
    found = held_out(dataset(), 0.2)
    assert np.array_equal(TRAIN[found.train_labels], found.train)
    assert np.array_equal(TRAIN[found.test_labels], found.test)
    assert held_out(dataset(labels=None), 0.2).test_labels is None


def test_it_is_the_same_in_any_order_and_no_start_of_the_data():
    found, turned = held_out(dataset(), 0.2), held_out(dataset(np.arange(100)[::-1]), 0.2)
    assert pixels(found.test) == pixels(turned.test)
    assert set(found.test_labels) not in ({*range(20)}, {*range(80, 100)})


def test_an_image_that_is_there_twice_is_on_one_side():
    twice = np.concatenate([TRAIN, TRAIN])
    found = held_out(Dataset("twice", twice, TEST), 0.25)
    assert not {*pixels(found.train)} & {*pixels(found.test)}
    assert 50 <= len(found.test) <= 51


def test_there_are_never_more_than_tell_enough(monkeypatch):
    monkeypatch.setattr(module, "MOST_IMAGES", 7)
    assert len(held_out(dataset(), 0.5).test) == 7
