"""Speed of the metrics beside that of the tools people use, on the same numbers: `make benchmark`.

A group is one job; the fastest has a factor of 1.0 in the table, the others how many times as long they take. Results
are held equal here too: a faster way to another number is none.
"""

import importlib
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from inception import write_weights

from equibench.measure.features.load import load_extractor
from equibench.measure.quality import frechet, pairwise
from equibench.measure.quality.frechet import Statistics, frechet_distance, statistics
from equibench.measure.quality.reference import reference_of_images
from equibench.measure.quality.sliced import Projections

CPU = torch.device("cpu")
DIMS = 2048  # of Inception-v3


def spectrum(n, seed, dims=DIMS):
    """Features whose variances fall by a power law, as those of networks do."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, dims + 1, dtype=torch.float64) ** -0.5
    return torch.randn(n, dims, generator=generator, dtype=torch.float64) * scales + 0.1 * seed


@pytest.fixture(scope="module")
def moments():
    return statistics(spectrum(5000, 1)), statistics(spectrum(5000, 2))


@pytest.fixture(scope="module")
def exact(moments):
    """Of diagonal blocks nothing is assumed: LAPACK's generalised symmetric problem, which no entrant uses."""
    a, b = moments
    values = scipy.linalg.eigh(
        a.covariance.numpy(), np.linalg.inv(b.covariance.numpy()), eigvals_only=True, check_finite=False
    )
    apart = float((a.mean - b.mean).square().sum())
    return apart + float(a.covariance.trace() + b.covariance.trace()) - 2 * float(np.sqrt(values).sum())


def fresh(statistics):
    """Without what an earlier call may have kept."""
    return Statistics(statistics.n, statistics.mean, statistics.covariance)


@pytest.mark.benchmark(group="Frechet distance from moments, d = 2048")
class TestFrechetStep:
    def test_equibench(self, benchmark, moments, exact):
        a, b = moments
        value = benchmark.pedantic(frechet_distance, setup=lambda: ((fresh(a), fresh(b)), {}), rounds=5)
        assert value == pytest.approx(exact, rel=1e-9)

    def test_equibench_second_entrant(self, benchmark, moments, exact):
        """The reference's factorisation is there already."""
        a, b = moments
        frechet_distance(a, b)
        value = benchmark.pedantic(frechet_distance, setup=lambda: ((fresh(a), b), {}), rounds=5)
        assert value == pytest.approx(exact, rel=1e-9)

    def test_torch_fidelity(self, benchmark, moments, exact):
        metric = importlib.import_module("torch_fidelity.metric_fid")
        a, b = ({"mu": s.mean.numpy(), "sigma": s.covariance.numpy()} for s in moments)
        found = benchmark.pedantic(metric.fid_statistics_to_metric, args=(a, b, False), rounds=3)
        assert found[metric.KEY_METRIC_FID] == pytest.approx(exact, rel=1e-9)

    def test_scipy_sqrtm(self, benchmark, moments, exact):
        """As pytorch-fid and clean-fid do it."""
        a, b = moments
        ours, theirs = a.covariance.numpy(), b.covariance.numpy()
        root = benchmark.pedantic(lambda: scipy.linalg.sqrtm(ours.dot(theirs)), rounds=2)
        apart = float((a.mean - b.mean).square().sum())
        value = apart + np.trace(ours) + np.trace(theirs) - 2 * np.trace(root).real
        assert value == pytest.approx(exact, rel=1e-9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


SMALL = np.random.default_rng(0).integers(0, 256, (40, 3, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def theirs(weights):
    extractor = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = extractor.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
        )
    return network.eval()


@pytest.fixture(scope="module")
def expected(theirs):
    with torch.no_grad():
        return theirs(torch.from_numpy(SMALL))[0].numpy()


@pytest.mark.benchmark(group="Inception-v3 features of 40 images")
class TestInception:
    def test_torch_fidelity(self, benchmark, theirs):
        batches = torch.from_numpy(SMALL)
        with torch.no_grad():
            benchmark.pedantic(theirs, args=(batches,), rounds=3, warmup_rounds=1)

    def test_equibench_float32(self, benchmark, weights, expected):
        ours = load_extractor("inception-v3", CPU, weights)
        found = benchmark.pedantic(ours, args=(SMALL,), rounds=3, warmup_rounds=1)
        assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)

    def test_equibench_bfloat16(self, benchmark, weights, expected):
        """Another feature space by name: near, not equal."""
        ours = load_extractor("inception-v3+bf16", CPU, weights)
        found = benchmark.pedantic(ours, args=(SMALL,), rounds=3, warmup_rounds=1)
        assert 1e-4 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.05


@pytest.mark.benchmark(group="EfficientNet-Lite0 features of 200 images")
class TestEfficientNet:
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 28, 28), dtype=np.uint8)

    def test_equibench(self, benchmark):
        ours = load_extractor("efficientnet-lite0", CPU)
        benchmark.pedantic(ours, args=(self.images,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="other metrics, 2,000 against 2,000 of d = 1280")
class TestOthers:
    x, y = (spectrum(2000, seed, 1280).float() for seed in (1, 2))

    def test_kernel_distance_precision_recall_density_coverage(self, benchmark):
        benchmark.pedantic(pairwise.compare_pairs, args=(self.x, self.y), rounds=3)

    def test_sliced_wasserstein(self, benchmark):
        benchmark.pedantic(lambda: Projections(self.y, 1000, seed=0).distance(self.x), rounds=3)

    def test_intervals_of_the_frechet_distance(self, benchmark):
        against = statistics(self.y)

        def intervals():
            resampler = frechet.Resampler(self.x, against)
            return resampler.halves(5, 0), resampler.bootstrap(10, 0)

        benchmark.pedantic(intervals, rounds=2)


@pytest.mark.benchmark(group="reference of 500 images")
class TestReference:
    images = np.random.default_rng(0).integers(0, 256, (500, 1, 28, 28), dtype=np.uint8)

    def test_first_entrant(self, benchmark, tmp_path):
        lite = load_extractor("efficientnet-lite0", CPU)
        folders = iter(range(100))
        benchmark.pedantic(
            lambda: reference_of_images("test", self.images, lite, tmp_path / str(next(folders))), rounds=2
        )

    def test_second_entrant(self, benchmark, tmp_path):
        lite = load_extractor("efficientnet-lite0", CPU)
        reference_of_images("test", self.images, lite, tmp_path)
        benchmark.pedantic(lambda: reference_of_images("test", self.images, lite, tmp_path), rounds=5)
