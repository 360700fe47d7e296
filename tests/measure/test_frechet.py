"""The Frechet distance against closed forms, the general matrix root and torch-fidelity."""

import importlib
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from feature_sets import sets

from equibench.intervals import split_differences
from equibench.measure.quality import frechet
from equibench.measure.quality.frechet import Statistics, frechet_distance, statistics

RNG = np.random.default_rng(0)


def by_general_root(a, b):
    root = torch.from_numpy(scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy()).real)
    return float(((a.mean - b.mean) ** 2).sum() + (a.covariance + b.covariance - 2 * root).trace())


def test_statistics_match_numpy_in_any_number_of_parts(monkeypatch):
    a, _ = sets()
    monkeypatch.setattr(frechet, "ROWS", 64)
    found = statistics(a)
    assert found.n == len(a)
    np.testing.assert_allclose(found.mean, a.mean(0))
    np.testing.assert_allclose(found.covariance, np.cov(a, rowvar=False))
    monkeypatch.setattr(frechet, "COLUMNS", 5)  # of 12
    np.testing.assert_allclose(statistics(a).covariance, np.cov(a, rowvar=False))


def test_float32_features_are_summed_in_float64():
    a = (1e4 + RNG.normal(size=(5000, 3))).astype(np.float32)
    exact = np.cov(a.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(statistics(torch.from_numpy(a)).covariance, exact, rtol=1e-9)


def test_closed_form_for_diagonal_gaussians():
    mean, other = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.0, 1.0, 0.5]).double()
    variance, its = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([9.0, 1.0, 0.25]).double()
    exact = ((mean - other) ** 2).sum() + ((variance.sqrt() - its.sqrt()) ** 2).sum()
    a, b = Statistics(10, mean, variance.diag()), Statistics(10, other, its.diag())
    assert frechet_distance(a, b) == pytest.approx(float(exact), rel=1e-12)


def test_matches_the_general_matrix_square_root():
    a, b = (statistics(x) for x in sets())
    assert frechet_distance(a, b) == pytest.approx(by_general_root(a, b), rel=1e-9)


def test_matches_torch_fidelity_on_the_same_features():
    metric = importlib.import_module("torch_fidelity.metric_fid")
    x, y = (features.double() for features in sets(600, 40))
    theirs = metric.fid_statistics_to_metric(
        metric.fid_features_to_statistics(x), metric.fid_features_to_statistics(y), False
    )
    ours = frechet_distance(statistics(x), statistics(y))
    assert ours == pytest.approx(theirs[metric.KEY_METRIC_FID], rel=1e-6)


def test_zero_with_itself_symmetric_and_indifferent_to_order():
    x, y = sets()
    a, b = statistics(x), statistics(y)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * float(a.covariance.trace()))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)
    shuffled = statistics(x[torch.randperm(len(x))])
    assert frechet_distance(shuffled, b) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_singular_covariances_work():
    a, b = (statistics(x) for x in sets(n=6, d=12))
    assert frechet_distance(a, b) == pytest.approx(by_general_root(a, b), rel=1e-5)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-6)


@pytest.mark.parametrize("wrong", ["divisor n", "no means", "unsymmetrised", "root of the product of traces"])
def test_wrong_twins_are_told_apart(wrong):
    x, y = sets()
    a, b = statistics(x), statistics(y)
    squares = float(((a.mean - b.mean) ** 2).sum())
    traces = float(a.covariance.trace() + b.covariance.trace())
    lower = torch.linalg.eigvalsh(a.covariance @ b.covariance)  # which is not symmetric: half of it is not read
    twin = {
        "divisor n": frechet_distance(
            Statistics(a.n, a.mean, a.covariance * (a.n - 1) / a.n),
            Statistics(b.n, b.mean, b.covariance * (b.n - 1) / b.n),
        ),
        "no means": frechet_distance(Statistics(a.n, b.mean, a.covariance), b),
        "unsymmetrised": squares + traces - 2 * float(lower.clamp(min=0).sqrt().sum()),
        "root of the product of traces": squares
        + traces
        - 2 * float((a.covariance.trace() * b.covariance.trace()).sqrt()),
    }[wrong]
    assert abs(frechet_distance(a, b) / twin - 1) > 1e-6


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        statistics(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="N >= 2"):
        statistics(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="differ"):
        frechet_distance(statistics(torch.eye(3)), statistics(torch.eye(4)))


def test_resamples_are_distances_of_the_drawn_rows():
    """The shared frame against the plain way: draw the rows, then measure them."""
    x, y = sets()
    against = statistics(y)
    resampler = frechet.Resampler(x, against)
    generator = torch.Generator().manual_seed(3)
    plain = []
    for _ in range(3):
        order = torch.randperm(len(x), generator=generator)
        plain += [frechet_distance(statistics(x[part]), against) for part in (order[:100], order[100:])]
    np.testing.assert_allclose(resampler.halves(3, seed=3), plain, rtol=1e-9)
    generator = torch.Generator().manual_seed(4)
    plain = [
        frechet_distance(statistics(x[torch.randint(len(x), (len(x),), generator=generator)]), against)
        for _ in range(3)
    ]
    np.testing.assert_allclose(resampler.bootstrap(3, seed=4), plain, rtol=1e-9)
    assert resampler.whole() == pytest.approx(frechet_distance(statistics(x), against), rel=1e-9)
    with pytest.raises(ValueError, match="NaN"):
        frechet.Resampler(x.index_fill(0, torch.tensor([1]), float("nan")), against)


def test_very_many_images_need_no_copy_and_give_the_same_distances(monkeypatch):
    """Each row whitened, or the sum of their products; all rows held at once, or a few."""
    x, y = sets()
    found = []
    for many, held in ((10**6, 2**20), (0, 2**20), (10**6, 100), (0, 100)):
        monkeypatch.setattr(frechet, "MANY_IMAGES_PER_DIM", many)
        monkeypatch.setattr(frechet, "HELD", held)
        draw = frechet.Resampler(x, frechet.statistics(y))
        assert (draw._whitened is None) == (many == 0)
        found.append([draw.whole(), *draw.halves(3, seed=1), *draw.bootstrap(3, seed=2)])
    np.testing.assert_allclose(found[1:], [found[0]] * 3, rtol=1e-9)
    assert found[0][0] == pytest.approx(frechet.frechet_distance(frechet.statistics(x), frechet.statistics(y)))


@pytest.mark.parametrize("many", [10**6, 0], ids=["whitened", "products summed"])
def test_influence_is_what_leaving_an_image_out_does(many, monkeypatch):
    """Against distances of all images but one, to second order in 1 / N: what is left falls faster than 1 / N."""
    monkeypatch.setattr(frechet, "MANY_IMAGES_PER_DIM", many)
    monkeypatch.setattr(frechet, "HELD", 1000)  # a few rows at a time
    left = []
    for n in (150, 600):
        x, y = (side[:n] for side in sets(600))
        against = statistics(y)
        draw = frechet.Resampler(x, against)
        some = range(0, n, n // 30)
        exact = np.array(
            [
                (n - 1) * (draw.whole() - frechet_distance(statistics(torch.cat([x[:i], x[i + 1 :]])), against))
                for i in some
            ]
        )
        found = draw.influence()[list(some)].numpy()
        apart = (found - found.mean()) - (exact - exact.mean())
        left.append(np.abs(apart).max() / np.abs(exact).max())
    assert left[0] < 0.006  # to first order: 0.06
    assert left[1] < left[0] / 5


@pytest.mark.parametrize("dims", [1, 5])
def test_influence_is_the_closed_form_of_one_dimension(dims):
    """Independent coordinates with a diagonal reference: a sum of squares of differences of means and deviations, whose
    derivative by a share of the law is 2 c (mean - m) + (c^2 - s^2)(1 - r / s), r the reference's deviation.
    """
    x = torch.from_numpy(np.random.default_rng(dims).normal(0.5, 2.0, (40_000, dims)))
    mean, deviation = torch.linspace(0, 2, dims).double(), torch.linspace(1, 3, dims).double()
    found = frechet.Resampler(x, Statistics(10**6, mean, deviation.square().diag())).influence()
    c, s = x - x.mean(0), x.std(0)
    by_hand = (2 * c * (x.mean(0) - mean) + (c.square() - s.square()) * (1 - deviation / s)).sum(1)
    # the samples' coordinates are uncorrelated to 1 in 200
    np.testing.assert_allclose(found - found.mean(), by_hand, atol=0.05 * by_hand.std() * dims)
    assert float(found.std()) == pytest.approx(float(by_hand.std()), rel=0.01)


LAWS = {
    "normal": lambda g, n: torch.randn(n, 16, generator=g, dtype=torch.float64),
    # as heavy as exponential tails: a factor for each image
    "heavy": lambda g, n: (
        torch.randn(n, 16, generator=g, dtype=torch.float64)
        * torch.empty(n, 1, dtype=torch.float64).exponential_(generator=g).sqrt()
    ),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [64, 400])
def test_the_error_is_the_spread_of_the_distance(law, n):
    """Samples drawn anew many times: the mean of their errors against the spread of their distances, and the scatter of
    the errors, which five splits into halves have several times as large.
    """
    generator = torch.Generator().manual_seed(n)
    spectrum = torch.linspace(0.2, 2, 16, dtype=torch.float64)
    against = statistics(1.1 * LAWS[law](generator, 4000) * spectrum + 0.2)
    draws = [frechet.Resampler(LAWS[law](generator, n) * spectrum, against) for _ in range(300)]
    spread = np.std([draw.whole() for draw in draws], ddof=1)
    errors = np.array([draw.stderr() for draw in draws])
    assert 0.85 < errors.mean() / spread < (1.15 if n > 64 else 1.35)  # 300 draws know the spread to 4 %, or 8
    if law == "normal":
        halves = [math.sqrt(np.mean(np.square(split_differences(draw.halves(5, 0))))) for draw in draws]
        assert errors.std() / errors.mean() < 0.5 * np.std(halves) / np.mean(halves)


def test_an_error_at_the_limits_of_floats():
    x, y = (side.float() for side in sets())
    for factor in (1e-30, 1.0, 1e30):
        draw = frechet.Resampler(x * factor, statistics(y * factor))
        assert draw.stderr() / factor**2 == pytest.approx(frechet.Resampler(x, statistics(y)).stderr(), rel=1e-4)
    flat = frechet.Resampler(torch.ones(20, 3), statistics(torch.ones(30, 3)))
    assert flat.stderr() == 0
    few = frechet.Resampler(x[:6], statistics(y))  # fewer than dimensions: the covariance is singular
    assert math.isfinite(few.stderr())
