"""Numbers by class, classifiers and probes: against sets whose classes are known by how they were made."""

import numpy as np
import pytest
import torch

from equibench.measure.labels import classifier
from equibench.measure.labels.by_class import FEWEST_IMAGES, Labelled, by_class
from equibench.measure.labels.classifier import judged, trained_on
from equibench.measure.labels.probes import by_linear_map, by_neighbours, chance, probe
from equibench.measure.quality.pairwise import compare_pairs

CPU = torch.device("cpu")
NAMES = ("left", "right", "both")


def images_of(labels, seed=0):
    """8x8 images, bright on the side that their label says, with noise."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, (len(labels), 1, 8, 8), dtype=np.uint8)
    images[labels != 1, :, :, :4] += 150
    images[labels != 0, :, :, 4:] += 150
    return images


def features_of(images):
    return images.reshape(len(images), -1)[:, ::4].astype(np.float32) / 255


def side(labels, seed):
    images = images_of(labels, seed)
    return Labelled(images, features_of(images), labels)


TRAIN, TEST = side(np.arange(300) % 3, 1), side(np.arange(240) % 3, 2)


def measured(labels, told=None, metric="FD"):
    """Of samples that are what `labels` say, drawn for the labels `told`."""
    made = side(labels, 3)
    return by_class(made.images, made.features, told, TRAIN, TEST, NAMES, metric, CPU)


def test_samples_that_are_like_the_data_are_as_far_as_training_images():
    labels = np.arange(300) % 3
    found = measured(labels, labels)
    assert found.assigned_by == "label"
    assert found.metric == "KD"
    assert [one.name for one in found.classes] == list(NAMES)
    assert [one.label for one in found.classes] == [0, 1, 2]
    assert found.classifier_accuracy == found.sample_accuracy == 1.0
    assert found.sample_accuracy_stderr == 0.0
    assert found.dropped == []
    for one in found.classes:
        assert one.judged_share == pytest.approx(1 / 3)
        assert one.as_told == 1.0
        assert (one.n_samples, one.n_reference) == (100, 80)
        assert abs(one.kernel_distance) < 5 * one.stderr
        assert abs(one.real_kernel_distance) < 5 * one.stderr


def test_the_distance_is_that_of_the_class_alone():
    labels = np.arange(300) % 3
    one = measured(labels, labels).classes[1]
    ours = torch.from_numpy(side(labels, 3).features[labels == 1])
    expected, _ = compare_pairs(ours, torch.from_numpy(TEST.features[TEST.labels == 1]))
    assert one.kernel_distance == pytest.approx(expected.value)


def test_labels_that_samples_do_not_follow_are_seen():
    """Samples drawn for one class and of another: far from the class, and a classifier of them is wrong."""
    labels = np.arange(300) % 3
    found = measured((labels + 1) % 3, labels)
    assert all(one.as_told == 0.0 for one in found.classes)
    assert all(one.kernel_distance > 20 * abs(one.real_kernel_distance) for one in found.classes)
    assert found.sample_accuracy == 0.0
    assert [one.name for one in found.judged] == list(NAMES)
    assert all(abs(one.kernel_distance) < 5 * one.stderr for one in found.judged)  # as a classifier assigns them


def test_without_labels_a_classifier_assigns_the_samples():
    found = measured(np.arange(300) % 3)
    assert found.assigned_by == "classifier"
    assert found.judged == []
    assert found.sample_accuracy is None
    assert "no labels" in found.reason
    assert all(one.as_told is None for one in found.classes)
    assert all(one.n_samples == 100 for one in found.classes)


def test_a_class_that_samples_leave_out_is_named_and_has_no_distance():
    found = measured(np.arange(300) % 2, metric="FID")
    assert found.metric == "KID"
    assert found.dropped == ["both"]
    missing = found.classes[2]
    assert missing.kernel_distance is None
    assert missing.reason == f"0 samples, 100 training and 80 test images of the class; each takes {FEWEST_IMAGES}"


def test_classifiers_are_trained_alike_and_leave_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    one = trained_on(TRAIN.images, TRAIN.labels, 3, CPU)
    assert torch.equal(torch.rand(2), expected)
    other = trained_on(TRAIN.images, TRAIN.labels, 3, CPU)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert (judged(one, TEST.images) == TEST.labels).all()


def test_a_classifier_leaves_the_random_numbers_of_its_gpu_alone(monkeypatch):
    """`torch.manual_seed` seeds those of all GPUs too."""
    kept = []
    fork = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: kept.append(devices) or fork(devices=[]))
    monkeypatch.setattr(classifier.Classifier, "to", lambda self, device: self)
    monkeypatch.setattr(classifier, "EPOCHS", 0)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)
    trained_on(TEST.images, TEST.labels, 3, torch.device("cuda:1"))
    trained_on(TEST.images, TEST.labels, 3, CPU)
    assert kept == [[torch.device("cuda:1")], []]


def blobs(n, seed, apart=6.0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    return (generator.normal(size=(n, 5)) + apart * np.eye(5)[labels]).astype(np.float32), labels


def test_probes_tell_classes_that_lie_apart():
    x, y = blobs(400, 0), blobs(200, 1)
    found = probe("blobs", *x, *y, CPU)
    assert found.knn_accuracy > 0.97
    assert found.linear_accuracy > 0.97
    assert found.dims == 5
    assert found.linear_stderr == pytest.approx((found.linear_accuracy * (1 - found.linear_accuracy) / 200) ** 0.5)


def test_shuffled_labels_are_told_by_chance():
    (x, known), (y, right) = blobs(400, 0), blobs(400, 1)
    found = probe("blobs", x, np.random.default_rng(2).permutation(known), y, right, CPU)
    assert abs(found.knn_accuracy - 0.25) < 0.1
    assert abs(found.linear_accuracy - 0.25) < 0.1
    assert chance(np.array([0, 0, 1]), np.array([0, 1, 1, 1])) == 0.25


def test_numbers_of_any_scale_are_told_alike_and_constant_ones_do_not_matter():
    (x, known), (y, right) = blobs(200, 0, apart=2.0), blobs(200, 1, apart=2.0)
    scaled = [np.concatenate([side * [1, 1e4, 1e-4, 1, 7] + 3, np.full((200, 1), 9)], 1) for side in (x, y)]
    one, other = (
        probe("blobs", a.astype(np.float32), known, b.astype(np.float32), right, CPU) for a, b in ((x, y), scaled)
    )
    assert other.knn_accuracy == pytest.approx(one.knn_accuracy, abs=0.02)
    assert other.linear_accuracy == pytest.approx(one.linear_accuracy, abs=0.02)


def test_neighbours_and_linear_map_by_hand():
    """Two classes on either side of a line: a third point of class 1 lies nearer, and two of class 0 outvote it."""
    x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    y = torch.tensor([[0.5, 0.6]])
    assert by_neighbours(x, torch.tensor([0, 0, 1]), y, 2).tolist() == [0]
    line = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]], dtype=torch.float64)
    told = by_linear_map(line, torch.tensor([0, 0, 1, 1]), torch.tensor([[-5.0], [5.0]], dtype=torch.float64), 2)
    assert told.tolist() == [0, 1]
