"""Kernel distance, neighbours, memorization and projections against plain loops and other implementations."""

import importlib
import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from feature_sets import sets

from equibench.measure.quality import pairwise
from equibench.measure.quality.memorization import nearness_test
from equibench.measure.quality.sliced import Projections

RNG = np.random.default_rng(0)


def kernel(a, b):
    return (float(a @ b) / len(a) + 1) ** 3


@pytest.mark.parametrize("copied", [2**24, 28, 1])  # the reference centred at once, by 7 rows, and row by row
def test_kernel_distance_matches_plain_loops(monkeypatch, copied):
    monkeypatch.setattr(pairwise, "ROWS", 7)
    monkeypatch.setattr(pairwise, "COPIED", copied)
    x, y = sets(n=20, d=4)
    pairs = [np.mean([kernel(a, b) for a, b in itertools.permutations(s, 2)]) for s in (x, y)]
    exact = sum(pairs) - 2 * np.mean([kernel(a, b) for a in x for b in y])
    found = pairwise.compare_pairs(x, y)[0]
    assert found.value == pytest.approx(exact, rel=1e-10)
    assert pairwise.compare_pairs(x, y, pairwise.within(y))[0] == found


def test_kernel_distance_matches_torch_fidelity_on_one_subset_of_all():
    metric = importlib.import_module("torch_fidelity.metric_kid")
    x, y = sets(150, 16)
    y = y[:150]
    theirs = metric.kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=150, verbose=False)
    found = pairwise.compare_pairs(x, y)[0]
    assert found.value == pytest.approx(theirs[metric.KEY_METRIC_KID_MEAN], rel=1e-9)
    # their "std" is the spread over subsets: of one subset it is zero, which is no error of anything
    assert theirs[metric.KEY_METRIC_KID_STD] == 0
    assert found.stderr > 0


def test_kernel_distance_is_unbiased_and_its_error_is_true():
    """Over many draws: the mean meets the population's value, and the spread the standard error."""
    d, draws = 6, 300
    generator = torch.Generator().manual_seed(0)

    def draw(shift):
        return torch.randn(80, d, generator=generator, dtype=torch.float64) + shift

    found = [pairwise.compare_pairs(draw(0.4), draw(0.0))[0] for _ in range(draws)]
    values, errors = np.array([f.value for f in found]), np.array([f.stderr_with_reference for f in found])

    # E (x.y/d + 1)^3 of independent Gaussians with means m and n: (s + 1)^3 + 3 (s + 1) v, s = m.n / d and
    # v = var(x.y) / d^2 = (d + |m|^2 + |n|^2) / d^2; the third central moment of x.y is 6 m.n, over d^3
    def expected(m, n):
        s, v = m * n, (1 + m * m + n * n) / d
        return (s + 1) ** 3 + 3 * (s + 1) * v + 6 * m * n / d**2

    exact = expected(0.4, 0.4) + expected(0, 0) - 2 * expected(0.4, 0)
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(draws)
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    covered = np.abs(values - exact) < 1.96 * errors
    assert covered.mean() > 0.9


def test_the_kernel_distance_s_error_over_samples_knows_nothing_of_the_reference():
    """The same small reference for all draws: the spread is of the samples alone, and a fraction of that of both."""
    generator = torch.Generator().manual_seed(1)

    def draw(n, shift):
        return torch.randn(n, 6, generator=generator, dtype=torch.float64) + shift

    reference = draw(20, 0.0)
    found = [pairwise.compare_pairs(draw(200, 0.5), reference)[0] for _ in range(200)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.stderr for one in found]) == pytest.approx(spread, rel=0.15)
    assert min(one.stderr_with_reference / one.stderr for one in found) > 1.5


@pytest.mark.parametrize("copied", [2**24, 51])
def test_manifold_matches_plain_loops(monkeypatch, copied):
    monkeypatch.setattr(pairwise, "ROWS", 16)
    monkeypatch.setattr(pairwise, "COPIED", copied)
    x, y = sets(n=40, d=3)
    x, y = x + 1.0, y + 1.0

    def distance(a, b):
        return float((a - b).norm())

    def radius(points, i, k):
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real3, real5 = ([radius(y, i, k) for i in range(len(y))] for k in (3, 5))
    fake3 = [radius(x, i, 3) for i in range(len(x))]
    precise = [any(distance(a, b) <= r for b, r in zip(y, real3, strict=True)) for a in x]
    recalled = [any(distance(a, b) <= r for a, r in zip(x, fake3, strict=True)) for b in y]
    dense = [sum(distance(a, b) <= r for b, r in zip(y, real5, strict=True)) / 5 for a in x]
    covered = [any(distance(a, b) <= r for a in x) for b, r in zip(y, real5, strict=True)]
    found = pairwise.compare_pairs(x, y)[1]
    plain = [np.mean(values) for values in (precise, recalled, dense, covered)]
    estimates = (found.precision, found.recall, found.density, found.coverage)
    assert [estimate.value for estimate in estimates] == pytest.approx(plain)
    assert found.density.stderr == pytest.approx(np.std(dense, ddof=1) / np.sqrt(len(dense)))


def test_precision_and_recall_match_torch_fidelity():
    metric = importlib.import_module("torch_fidelity.metric_prc")
    x, y = sets(300, 8)
    theirs = metric.prc_features_to_metric(
        x, y, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False
    )
    found = pairwise.compare_pairs(x, y)[1]
    assert found.precision.value == pytest.approx(theirs[metric.KEY_METRIC_PRECISION], abs=1e-6)
    assert found.recall.value == pytest.approx(theirs[metric.KEY_METRIC_RECALL], abs=1e-6)


def test_a_set_is_on_its_own_manifold_and_density_of_the_same_law_is_one():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2000, 3, generator=generator) for _ in range(2))
    found = pairwise.compare_pairs(x, y)[1]
    assert found.density.value == pytest.approx(1, abs=4 * found.density.stderr + 0.05)
    assert found.coverage.value == pytest.approx(1 - 0.5**5, abs=0.02)  # Naeem et al. 2020, lemma 2, equal counts
    twin = pairwise.compare_pairs(y, y)[1]
    assert (twin.precision.value, twin.recall.value, twin.coverage.value) == (1, 1, 1)


def test_equal_points_are_neighbours_at_distance_zero():
    points = torch.tensor([[0.0], [0.0], [1.0], [3.0], [7.0], [13.0]])  # their mean is whole: nothing is rounded
    np.testing.assert_array_equal(pairwise.within(points).radii, [[9, 9, 4, 9, 36, 144], [169, 169, 144, 100, 49, 169]])
    pairs = torch.tensor([[0.0], [5.0]]).repeat(4, 1)
    np.testing.assert_array_equal(pairwise.within(pairs).radii, [[0] * 8, [25] * 8])


def test_sets_too_small_for_their_neighbours_have_a_kernel_distance_alone():
    x, y = sets(n=5, d=3)
    distance, balls = pairwise.compare_pairs(x, y)
    assert distance.stderr > 0
    assert balls is None


def test_memorization_is_found_where_planted_and_not_elsewhere():
    generator = torch.Generator().manual_seed(0)
    train, held_out, fresh = (torch.randn(400, 5, generator=generator) for _ in range(3))
    honest = nearness_test(fresh, train, held_out)
    assert abs(honest.share - 0.5) < 3 * honest.stderr
    copies = torch.cat([fresh[:320], train[:80] + 0.01])
    assert nearness_test(copies, train, held_out).p < 0.001
    with pytest.raises(ValueError, match="as many"):
        nearness_test(fresh, train, held_out[:10])


def test_memorization_error_is_that_over_all_labellings():
    """All ways to call two of four images training ones, counted by hand."""
    samples, images = torch.tensor([[0.1], [0.2], [0.3], [3.1], [9.0]]), torch.tensor([[0.0], [1.0], [3.0], [8.0]])
    shares = []
    for chosen in itertools.combinations(range(4), 2):
        others = [i for i in range(4) if i not in chosen]
        found = nearness_test(samples, images[list(chosen)], images[others])
        shares.append(found.share)
        # the nearest image of all decides, whichever half it is in: the error is the same for every labelling
    weights = np.array([3, 0, 1, 1]) / 5
    assert np.mean(shares) == pytest.approx(0.5)
    exact = np.sqrt(2 / (2 * 3) * ((weights - weights.mean()) ** 2).sum())
    assert np.std(shares) == pytest.approx(exact)


def test_memorization_p_is_uniform_or_larger_without_memorization():
    generator = torch.Generator().manual_seed(1)
    p = []
    for _ in range(200):
        train, held_out, fresh = (torch.randn(100, 3, generator=generator) for _ in range(3))
        p.append(nearness_test(fresh, train, held_out).p)
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_sliced_wasserstein_of_a_shift_is_known():
    """A shift by v moves every projection by v.theta, whose mean square over directions is |v|^2 / d."""
    x, _ = sets(300, 8)
    v = torch.linspace(-1, 1, 8).double()
    found = Projections(x + v, 4000, seed=0).distance(x)
    assert abs(found.value - float(v.norm() / np.sqrt(8))) < 4 * found.stderr
    assert Projections(x, 100, seed=0).distance(x).value == 0


def test_sliced_wasserstein_s_error_is_over_samples():
    """Draws of samples against one reference on one set of directions: their spread is what the error says, and not
    what it would be by the directions, which are the same for all.
    """
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.3, 2, 12)

    def draw(shift):
        return torch.randn(300, 12, generator=generator) * spread + shift

    against = Projections(draw(0.0), 100, seed=1)
    for shift, tolerance in ((0.5, 0.12), (0.1, 0.3)):  # near the reference, what is left is of second order
        found = [against.distance(draw(shift)) for _ in range(200)]
        values = np.array([one.value for one in found])
        assert np.mean([one.stderr for one in found]) == pytest.approx(values.std(ddof=1), rel=tolerance)


def test_sliced_wasserstein_s_error_in_one_dimension_by_weights():
    """The influence of one sample, by the squared distance of laws with one more copy of it, in 1000 copies of all."""
    x = np.sort(RNG.normal(size=30))
    y = np.sort(RNG.normal(0.7, 1.3, size=30))
    many = 2000
    moved = []
    for i in range(30):
        weights = np.full(30, many)
        weights[i] += 30
        shares = np.concatenate([np.repeat(x, weights)])
        # the reference as many times as the samples: 30 * 2000 + 30 points, 2001 of each
        moved.append(np.square(shares - np.repeat(y, many + 1)).mean())
    before = np.square(x - y).mean()
    influence = (np.array(moved) - before) * (many + 1)
    found = Projections(torch.from_numpy(y)[:, None], 10, seed=0).distance(torch.from_numpy(x)[:, None])
    by_hand = influence.std(ddof=1) / math.sqrt(30) / (2 * math.sqrt(before))
    assert found.stderr == pytest.approx(by_hand, rel=0.02)


def test_sliced_wasserstein_in_one_dimension_matches_scipy():
    x, y = RNG.normal(size=500), RNG.normal(1, 2, size=500)
    quantiles = np.sqrt(np.mean((np.sort(x) - np.sort(y)) ** 2))
    found = Projections(torch.from_numpy(y)[:, None], 100, seed=0).distance(torch.from_numpy(x)[:, None])
    assert found.value == pytest.approx(quantiles)
    assert found.value >= scipy.stats.wasserstein_distance(x, y)  # the 1-Wasserstein distance is never larger
    with pytest.raises(ValueError, match="same size"):
        Projections(torch.zeros(4, 2), 5, seed=0).distance(torch.zeros(3, 2))
