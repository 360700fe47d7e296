"""What makes the distance: each image's part of it against closed forms, and images and classes that were left out."""

import numpy as np
import pytest
import scipy.linalg
import torch
from toys import extractor

from equibench.data.classes import UNLABELLED, Classes, classes_of
from equibench.data.sets import Dataset
from equibench.measure import samples
from equibench.measure.quality import pairwise
from equibench.measure.quality.distance_parts import contributions, distance_parts
from equibench.measure.quality.frechet import statistics
from equibench.measure.quality.reference import Reference
from equibench.record.anatomy import DistanceParts

CENTRES = np.array([[0, 0, 0, 0], [6, 0, 0, 0], [0, 6, 0, 0], [0, 0, 6, 0]], float)
NAMES = ("boot", "bag", "coat", "dress")
RNG = np.random.default_rng(3)


def drawn_from(classes, each):
    """Features of `each` points of every class, and their classes."""
    of = np.repeat(classes, each)
    return torch.tensor(CENTRES[of] + RNG.standard_normal((len(of), 4)), dtype=torch.float32), of


def pictures(of, base):
    """An image each, whose level tells which one it is."""
    return (base + np.arange(len(of)) % 100).astype(np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)


def reference_of(features):
    return Reference("test", statistics(features), None, (1, 2, 2), features, pairwise.within(features))


@pytest.fixture(scope="module")
def without_dresses():
    """Four classes of real images, and samples of three of them."""
    real, of_real = drawn_from([0, 1, 2, 3], 100)
    ours, of_samples = drawn_from([0, 1, 2], 120)
    parts, arrays = distance_parts(
        ours, pictures(of_samples, 100), reference_of(real), pictures(of_real, 0), Classes(NAMES, of_real)
    )
    return real, of_real, ours, parts, arrays


def test_the_class_that_is_left_out_makes_most_of_the_distance(without_dresses):
    *_, parts, _ = without_dresses
    assert list(parts.class_shares) == list(NAMES)
    assert sum(parts.class_shares.values()) == pytest.approx(1)
    assert parts.class_shares["dress"] > 0.5
    assert parts.class_shares["dress"] > 3 * max(parts.class_shares[name] for name in NAMES[:3])
    assert parts.real_shares == dict.fromkeys(NAMES, 0.25)
    assert parts.sample_shares["dress"] < 0.01
    assert sum(parts.sample_shares.values()) == pytest.approx(1)
    assert parts.sample_shares["bag"] == pytest.approx(1 / 3, abs=0.02)
    assert parts.reached_shares["dress"] < 0.05
    assert min(parts.reached_shares[name] for name in NAMES[:3]) > 0.8


def test_shares_of_the_distance_are_those_of_the_squared_ways_of_the_optimal_map(without_dresses):
    real, of_real, ours, parts, _ = without_dresses
    x, y = real.double().numpy(), ours.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(x, rowvar=False)).real
    inverse = np.linalg.inv(root)
    onward = inverse @ scipy.linalg.sqrtm(root @ np.cov(y, rowvar=False) @ root).real @ inverse
    moved = y.mean(0) + (x - x.mean(0)) @ onward.T - x
    ways = (moved**2).sum(1)
    for code, name in enumerate(NAMES):
        # but for the divisor M - 1 of covariances
        assert parts.class_shares[name] == pytest.approx(ways[of_real == code].sum() / ways.sum(), rel=0.01)


def test_parts_of_images_have_the_distance_as_their_mean(without_dresses):
    real, _, ours, *_ = without_dresses
    x, y = real.double().numpy(), ours.double().numpy()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    distance = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    found = contributions(real, statistics(real), statistics(ours))
    assert float(found.mean()) == pytest.approx(distance, rel=1e-5)
    assert float(found.min()) >= 0


def test_on_a_line_an_image_moves_by_its_quantile():
    real = torch.tensor([[-1.0], [0.0], [1.0]])  # mean 0, deviation 1
    ours = torch.tensor([[1.0], [4.0], [7.0]])  # mean 4, deviation 3
    # x goes to 4 + 3 x, so by 4 + 2 x; and of the divisor M - 1 comes (2 x)^2 / 2
    expected = [2**2 + 2, 4**2, 6**2 + 2]
    assert contributions(real, statistics(real), statistics(ours)).tolist() == pytest.approx(expected)


def test_a_direction_in_which_real_images_do_not_vary_is_no_obstacle():
    real = torch.tensor([[-1.0, 5.0], [0.0, 5.0], [1.0, 5.0]])
    ours = torch.tensor([[1.0, 5.0], [4.0, 5.0], [7.0, 5.0]])
    found = contributions(real, statistics(real), statistics(ours))
    assert found.tolist() == pytest.approx([6, 16, 38], rel=1e-4)


def test_images_that_no_sample_comes_near_are_shown_and_those_that_one_does_are_not(without_dresses):
    real, of_real, ours, parts, arrays = without_dresses
    apart = torch.cdist(real.double(), ours.double()).min(1).values
    fifth = torch.cdist(real.double(), real.double()).kthvalue(6, dim=1).values
    order = (apart - fifth).argsort(descending=True)
    levels = arrays[parts.missed][:, 0, 0, 0].tolist()
    assert levels == (order[:12] % 100).tolist()
    assert set(of_real[order[:12]]) == {3}
    same, _ = distance_parts(real, pictures(of_real, 0), reference_of(real), pictures(of_real, 0), None)
    assert same.missed is None  # each is its own sample
    assert same.class_shares == same.sample_shares == {}


def test_samples_far_from_all_images_are_shown(without_dresses):
    real, of_real, ours, *_ = without_dresses
    odd = torch.cat([ours[:80], torch.full((1, 4), 50.0), ours[80:90]])
    images = pictures(np.zeros(91), 100)
    parts, arrays = distance_parts(odd, images, reference_of(real), pictures(of_real, 0), None)
    far = arrays[parts.farthest][:, 0, 0, 0]
    assert far[0] == 180
    order = torch.cdist(odd.double(), real.double()).min(1).values.argsort(descending=True)
    assert far.tolist() == (order[:12] + 100).tolist()


def test_images_stand_beside_their_nearest_of_the_other_side(without_dresses):
    real, _, ours, parts, arrays = without_dresses
    apart = torch.cdist(ours.double(), real.double())
    for key, base, near in ((parts.neighbours, 100, apart), (parts.real_neighbours, 0, apart.T)):
        rows = arrays[key]
        assert rows.shape == (6, 4, 1, 2, 2)
        for row in rows[..., 0, 0, 0].astype(int):
            candidates = [i for i in range(len(near)) if i % 100 + base == row[0]]
            nearest = [(near[i].argsort()[:3] % 100 + 100 - base).tolist() for i in candidates]
            assert row[1:].tolist() in nearest


@pytest.mark.parametrize("n", [2, 4])
def test_few_images_have_pictures_and_no_share_of_a_distance(n):
    real, of_real = drawn_from([0, 1], n // 2)
    ours, of_samples = drawn_from([0, 1], n // 2)
    images = pictures(of_samples, 100), pictures(of_real, 0)
    parts, arrays = distance_parts(ours, images[0], reference_of(real), images[1], Classes(NAMES[:2], of_real))
    assert parts.class_shares == {}  # as many dimensions as images, or more
    assert parts.real_shares == {"boot": 0.5, "bag": 0.5}
    assert len(arrays[parts.farthest]) == n
    assert arrays[parts.neighbours].shape[:2] == (n, 1 + min(n, 3))


def test_features_beyond_the_range_of_floats_give_nothing(without_dresses):
    real, of_real, ours, *_ = without_dresses
    images = pictures(ours, 100), pictures(of_real, 0)
    parts, arrays = distance_parts(ours * 1e16, images[0], reference_of(real), images[1], Classes(NAMES, of_real))
    assert parts == DistanceParts()
    assert arrays == {}


def test_nearest_both_is_the_nearest_of_each_side_in_any_number_of_blocks(monkeypatch):
    x, y = torch.randn(37, 5), torch.randn(23, 5)
    apart = torch.cdist(x.double(), y.double()).square()
    for rows in (500, 10):
        monkeypatch.setattr(pairwise, "ROWS", rows)
        to_y, which, to_x = pairwise.nearest_both(x, y)
        assert torch.allclose(to_y.double(), apart.min(1).values, atol=1e-4)
        assert torch.equal(which, apart.argmin(1))
        assert torch.allclose(to_x.double(), apart.min(0).values, atol=1e-4)


def data(name="fashion-mnist-10k", **more):
    images = np.zeros((4, 1, 2, 2), np.uint8)
    return Dataset(name, images, images, **more)


@pytest.mark.parametrize(
    ("found", "labels", "names"),
    [
        (data(), [8, 0, 8, 9], ("T-shirt/top", "Bag", "Ankle boot")),
        (data("fashion-mnist-10k", split="its own"), [8, 0, 8, 9], ("0", "8", "9")),  # a folder of that name
        (data("pets", classes=("cat", "dog"), split="by hash"), [1, -1, 0, 1], (UNLABELLED, "cat", "dog")),
        (data("pets", classes=("cat", UNLABELLED), split="by hash"), [1, -1, 0, 1], ("-1", "0", "1")),
        (data("mnist"), [7, 3, 3, 1], ("1", "3", "7")),
    ],
)
def test_classes_have_the_names_that_are_known(found, labels, names):
    classes = classes_of(found, np.array(labels))
    assert classes.names == names
    there = sorted(set(labels))
    assert classes.of_images.tolist() == [there.index(label) for label in labels]


def test_images_of_one_class_or_of_none_are_not_told_apart():
    assert classes_of(data(), None) is None
    assert classes_of(data(), np.array([-1, -1])) is None


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Dark and light images with labels, split in two, and samples of the dark ones alone."""
    root = tmp_path_factory.mktemp("labelled")
    levels = RNG.integers(0, 60, (260, 1, 8, 8)) + np.repeat([20, 180, 20], [100, 100, 60])[:, None, None, None]
    images, labels = levels[:200].astype(np.uint8), np.repeat([0, 1], 100)
    splits = {"train": images[::2], "test": images[1::2]}
    np.savez(root / "data.npz", **splits, train_labels=labels[::2], test_labels=labels[1::2])
    np.savez(root / "plain.npz", **splits)
    np.save(root / "dark.npy", levels[200:].astype(np.uint8))
    return root


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_of_any_tool_are_told_apart_by_the_classes_of_the_split(labelled, split):
    found = samples.measure(labelled / "dark.npy", extractor(), dataset=str(labelled / "data.npz"), split=split)
    assert found.distance_parts.real_shares == {"0": 0.5, "1": 0.5}
    assert found.distance_parts.sample_shares == {"0": 1.0, "1": 0.0}
    assert found.distance_parts.class_shares["1"] > 0.6
    assert found.distance_parts.reached_shares["1"] == 0
    assert found.distance_parts.missed is None  # pictures are a record's


def test_without_labels_samples_have_no_classes(labelled):
    plain = samples.measure(labelled / "dark.npy", extractor(), dataset=str(labelled / "plain.npz"))
    assert plain.distance_parts is None
    whole = samples.measure(labelled / "dark.npy", extractor(), dataset=str(labelled / "data.npz"), split="all")
    assert whole.distance_parts is None
