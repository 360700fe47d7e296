"""The Frechet distance against closed forms and another implementation, with wrong twins that must fail."""

import numpy as np
import pytest
import scipy.linalg

from bench.fidelity import Statistics, frechet_distance, statistics

RNG = np.random.default_rng(0)


def sets(n=200, d=12):
    mixing = RNG.normal(size=(d, d))
    return RNG.normal(size=(n, d)) @ mixing, RNG.normal(size=(n + 50, d)) @ (mixing + 0.3) + 0.5


def test_statistics_match_numpy():
    a, _ = sets()
    found = statistics(a)
    assert found.n == len(a)
    np.testing.assert_allclose(found.mean, a.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(a, rowvar=False))


def test_float32_features_are_summed_in_float64():
    a = (1e4 + RNG.normal(size=(5000, 3))).astype(np.float32)
    np.testing.assert_allclose(statistics(a).covariance, np.cov(a.astype(np.float64), rowvar=False), rtol=1e-9)


def test_closed_form_for_diagonal_gaussians():
    mean, other = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    variance, its = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.25])
    exact = ((mean - other) ** 2).sum() + ((np.sqrt(variance) - np.sqrt(its)) ** 2).sum()
    a, b = Statistics(10, mean, np.diag(variance)), Statistics(10, other, np.diag(its))
    assert frechet_distance(a, b) == pytest.approx(exact, rel=1e-12)


def test_matches_the_general_matrix_square_root():
    a, b = (statistics(x) for x in sets())
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    exact = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(exact, rel=1e-9)


def test_zero_with_itself_symmetric_and_indifferent_to_order():
    x, y = sets()
    a, b = statistics(x), statistics(y)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * np.trace(a.covariance))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)
    assert frechet_distance(statistics(RNG.permutation(x)), b) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_singular_covariances_work():
    a, b = sets(n=6, d=12)
    assert frechet_distance(statistics(a), statistics(b)) > 0


@pytest.mark.parametrize("wrong", ["divisor n", "no means", "root of the product of traces"])
def test_wrong_twins_are_told_apart(wrong):
    x, y = sets()
    a, b = statistics(x), statistics(y)
    twin = {
        "divisor n": frechet_distance(
            Statistics(a.n, a.mean, np.cov(x, rowvar=False, bias=True)),
            Statistics(b.n, b.mean, np.cov(y, rowvar=False, bias=True)),
        ),
        "no means": frechet_distance(Statistics(a.n, b.mean, a.covariance), b),
        "root of the product of traces": float(
            ((a.mean - b.mean) ** 2).sum() + (np.sqrt(np.trace(a.covariance)) - np.sqrt(np.trace(b.covariance))) ** 2
        ),
    }[wrong]
    assert abs(frechet_distance(a, b) / twin - 1) > 1e-6


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        statistics(np.array([[1.0, np.nan], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="N >= 2"):
        statistics(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="differ"):
        frechet_distance(statistics(np.eye(3)), statistics(np.eye(4)))
