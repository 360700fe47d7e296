"""Bounds of likelihoods against closed forms of Gaussian data."""

import itertools
import math

import numpy as np
import pytest
import torch
from ppca import LN2, PPCA, generator

from equibench.measure.likelihood import bits as likelihood
from equibench.measure.likelihood import bounds
from equibench.measuring import BoundSetting
from equibench_models import family as load_family
from equibench_models.diffusion.process import continuous_rate, flow_log_density, prior_nats, signal_and_noise, step_kl


def test_elbo_with_the_exact_posterior_is_the_likelihood():
    ppca = PPCA()
    x = ppca.draw(50)
    nats = ppca.nats(x, 16)
    assert np.allclose(nats, -ppca.log_prob(x).numpy()[None], atol=2e-4)
    for values in likelihood.importance_weighted(nats).values():
        assert np.allclose(values, -ppca.log_prob(x).numpy(), atol=2e-4)


def test_importance_weighting_falls_to_the_likelihood():
    ppca = PPCA()
    x = ppca.draw(200)
    truth = -ppca.log_prob(x).numpy()
    found = likelihood.importance_weighted(ppca.nats(x, 1024, worse=0.15))
    assert list(found) == [2**i for i in range(11)]
    for (_, looser), (_, tighter) in itertools.pairwise(found.items()):
        assert (tighter <= looser + 1e-12).all()  # on each image, not only on average
    assert found[1].mean() - truth.mean() > 0.1
    assert found[1024].mean() - truth.mean() == pytest.approx(0, abs=0.01)


def test_importance_weighting_by_hand():
    weights = np.array([[1.0], [3.0], [5.0], [7.0]])
    found = likelihood.importance_weighted(-np.log(weights))
    assert found[1][0] == pytest.approx(-np.log(weights).mean())
    assert found[2][0] == pytest.approx(-(math.log(2) + math.log(6)) / 2)
    assert found[4][0] == pytest.approx(-math.log(4))
    assert list(likelihood.importance_weighted(np.zeros((5, 2)))) == [1, 5]
    assert list(likelihood.importance_weighted(np.zeros((12, 2)))) == [1, 3, 6, 12]


def test_vae_weights_have_the_elbo_as_their_mean():
    """-log w averages to the ELBO, whose KL is in closed form: the two are worked out in different ways."""
    torch.manual_seed(0)
    model = load_family("vae").build({"width": 8}, (1, 8, 8))
    with torch.no_grad():
        for p in model.average.network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    repeated = images.repeat(4000, 1, 1, 1)
    elbo = model.nats(repeated, generator()).reshape(4000, 3)
    drawn = model.bounds["importance weighting"].way(model)(repeated, generator()).reshape(4000, 3)
    difference = (drawn - elbo).mean(dim=0)
    error = (drawn - elbo).std(dim=0) / math.sqrt(4000)
    assert error.max() < 0.2
    assert (difference.abs() < 4 * error).all()


S2 = 0.5  # variance of the data


GREATEST, LEAST = 13.3, -5.0  # log signal-to-noise ratios


def optimal(z, lam):
    """E[x | z] of x ~ N(0, S2) and the code of the least variance, that of the true posterior."""
    a, s = signal_and_noise(lam)
    return a * S2 / (a**2 * S2 + s**2) * z, torch.full_like(z, -40.0)


def corners(lam):
    """x and z at all signs of one deviation each: the mean over them of a quadratic form is its expectation."""
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    x = (math.sqrt(S2) * signs[:, 0]).reshape(4, 1, 1, 1)
    a, s = signal_and_noise(lam)
    return x, a * x + s * signs[:, 1].reshape(4, 1, 1, 1)


def closed_form():
    return 0.5 * math.log((1 + S2 * math.exp(GREATEST)) / (1 + S2 * math.exp(LEAST)))


def test_continuous_bound_of_gaussian_data():
    grid = torch.linspace(LEAST, GREATEST, 4001, dtype=torch.float64)
    rates = []
    for lam in grid:
        lam = lam.expand(4)
        x, z = corners(lam)
        rates.append(continuous_rate(x, optimal(z, lam)[0], lam).mean())
    assert float(torch.trapezoid(torch.stack(rates), grid)) == pytest.approx(closed_form(), abs=1e-4)


@pytest.mark.parametrize(("steps", "excess_bits"), [(10, 15.0), (100, 0.81), (1000, 0.077)])
def test_discrete_bound_of_gaussian_data_lies_above_by_the_known_excess(steps, excess_bits):
    levels = torch.linspace(GREATEST, LEAST, steps + 1, dtype=torch.float64)
    total = 0.0
    for lam_next, lam in itertools.pairwise(levels):
        x, z = corners(lam.expand(4))
        clean, code = optimal(z, lam.expand(4))
        total += float(step_kl(x, clean, code, lam.expand(4), lam_next.expand(4)).mean())
    # figures of a trial by other code (quadrature in numpy), to the digits that it gave
    assert (total - closed_form()) / LN2 == pytest.approx(excess_bits, rel=0.02)


def test_ode_gives_the_entropy_of_gaussian_data():
    torch.manual_seed(0)
    greatest, least, dims = 9.6, -9.0, 64
    a, s = (float(v) for v in signal_and_noise(torch.tensor([greatest], dtype=torch.float64)))
    variance = a**2 * S2 + s**2
    z = math.sqrt(variance) * torch.randn(20, 1, 8, 8, dtype=torch.float64)
    truth = -0.5 * (z**2 / variance + math.log(2 * math.pi * variance)).sum(dim=(1, 2, 3))
    errors = []
    for steps in (50, 100, 200):
        found = flow_log_density(z, optimal, greatest, least, steps, generator())
        errors.append(float((found - truth).abs().mean()) / dims / LN2)
    assert errors[2] < 1e-3
    assert errors[0] > errors[1] > errors[2]  # second order, down to what z at `least` is not normal by
    wrong = flow_log_density(z, lambda z, lam: (0.9 * optimal(z, lam)[0], z), greatest, least, 200, generator())
    assert float((wrong - truth).abs().mean()) / dims / LN2 > 0.05


def test_prior_term_of_data_without_signal_is_zero():
    x = torch.zeros(2, 1, 4, 4)
    assert prior_nats(x, torch.full((2,), -30.0)).abs().max() < 1e-5


@pytest.fixture(scope="module")
def diffusion():
    torch.manual_seed(0)
    model = load_family("diffusion").build({"width": 8, "chain_steps": 40}, (1, 8, 8))
    with torch.no_grad():
        for p in model.average.network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model, np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8), dtype=np.uint8)


def test_sampled_steps_estimate_the_full_chain(diffusion):
    model, images = diffusion
    sampled = bounds.nats(model, images, generator(), passes=60)
    full = bounds.nats(model, images, generator(), passes=3, way=model.bounds["full chain"].way(model, 40))
    error = math.hypot(sampled.mean(axis=1).std() / math.sqrt(60), full.mean(axis=1).std() / math.sqrt(3))
    assert sampled.mean() == pytest.approx(full.mean(), abs=5 * error + 1)


def test_longer_chains_approach_continuous_time_from_above(diffusion):
    """Of the reverse process with the true posterior's variances; learned ones have no limit to approach."""
    model, images = diffusion
    continuous = bounds.nats(
        model, images, generator(), passes=40, way=model.bounds["continuous time"].way(model)
    ).mean()
    chains = [
        bounds.nats(model, images, generator(), way=model.bounds["full chain"].way(model, n)).mean() for n in (50, 400)
    ]
    assert chains[0] > chains[1]
    assert chains[1] == pytest.approx(continuous, rel=0.1)


def test_flow_is_bounded_by_and_converges_to_the_probability_of_its_bins():
    """8x8 images: importance-weighted bounds fall with K, and both dequantizations approach the same value."""
    torch.manual_seed(0)
    model = load_family("flow").build({"width": 8}, (1, 8, 8))
    with torch.no_grad():
        for p in model.average.network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    images = np.random.default_rng(1).integers(100, 156, (4, 1, 8, 8), dtype=np.uint8)
    variational = bounds.nats(
        model, images, generator(), passes=512, way=model.bounds["importance weighting"].way(model)
    )
    uniform = bounds.nats(
        model, images, generator(1), passes=512, way=model.bounds["uniform dequantization"].way(model)
    )
    curves = [likelihood.importance_weighted(nats) for nats in (variational, uniform)]
    for curve in curves:
        assert (curve[512] < curve[64]).all()
        assert (curve[64] < curve[1]).all()
    assert (curves[0][1] > curves[1][512] + 0.1).all()  # the dequantizer of this untrained model is poor, yet
    assert np.allclose(curves[0][512], curves[1][512], atol=0.1)


def test_flow_coupling_has_mass_one_and_its_bins_their_mass():
    """A dense coupling over two values: the density integrates to 1, the bound lies above -log of a bin's mass, and
    weights over uniform noise converge to it.
    """
    from equibench_models.flow.couplings import DenseCoupling, FlowConfig
    from equibench_models.flow.network import log_logistic

    torch.manual_seed(0)
    coupling = DenseCoupling(2, FlowConfig(width=8)).double()
    with torch.no_grad():
        for p in coupling.parameters():
            p.add_(0.2 * torch.randn_like(p))

    def log_density(y):
        with torch.no_grad():
            z, log_det = coupling(y)
            return log_logistic(z).sum(dim=1) + log_det

    side = 1601
    axis = torch.linspace(-20, 20, side, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = float(log_density(grid).exp().sum()) * (40 / (side - 1)) ** 2
    assert mass == pytest.approx(1, abs=2e-3)

    low, width = torch.tensor([-0.5, 0.25], dtype=torch.float64), 0.5  # a bin
    inner = (torch.arange(200, dtype=torch.float64) + 0.5) / 200 * width
    fine = torch.cartesian_prod(low[0] + inner, low[1] + inner)
    truth = -float((log_density(fine).exp().mean() * width**2).log())
    u = torch.rand(4096, 2, dtype=torch.float64, generator=generator())
    nats = -(log_density(low + width * u) + 2 * math.log(width))[:, None].numpy()
    found = likelihood.importance_weighted(nats)
    assert found[1][0] > truth + 1e-4
    assert found[4096][0] == pytest.approx(truth, abs=0.01)


class Uniform:
    """Every image has probability 256^-D."""

    def nats(self, images, *_):
        return torch.full((len(images),), images[0].numel() * math.log(256))


def test_a_uniform_model_has_eight_bits():
    images = np.zeros((7, 1, 28, 28), np.uint8)
    bits, stderr = likelihood.summarize(bounds.nats(Uniform(), images, generator(), passes=3), 784)
    assert bits == pytest.approx(8, abs=1e-6)  # nats cross the boundary as float32
    assert stderr == 0


@pytest.mark.parametrize(
    ("family", "name", "steps"),
    [
        ("vae", "importance weighting", [1, 2, 4]),
        ("flow", "importance weighting", [1, 2, 4]),
        ("flow", "uniform dequantization", []),
        ("diffusion", "continuous time", []),
        ("diffusion", "probability-flow ODE", [50, 100]),
    ],
)
def test_bounds_are_measured_beside_the_usual_one(family, name, steps):
    torch.manual_seed(0)
    model = load_family(family).build({"width": 8}, (1, 8, 8))
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
    usual = bounds.nats(model, images, generator())[0]
    setting = BoundSetting(name=name, images=5, passes=4)
    found = bounds.measure(model, setting, images, usual, generator())
    assert found.kind == model.bounds[name].kind
    assert found.n_images == 5
    assert list(found.curve) == steps
    assert found.usual_bits_per_dim == pytest.approx(usual[:5].mean() / 64 / LN2)
    assert found == bounds.measure(model, setting, images, usual, generator())


def test_the_full_chain_is_that_of_the_config_checked_or_not():
    """With check_steps it was one of 1000 steps, whatever the config."""
    torch.manual_seed(0)
    model = load_family("diffusion").build({"width": 8, "chain_steps": 10}, (1, 8, 8))
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    usual = bounds.nats(model, images, generator())[0]
    checked, alone = (
        bounds.measure(model, BoundSetting(name="full chain", images=3, check_steps=check), images, usual, generator())
        for check in (True, False)
    )
    assert list(checked.curve) == [10, 20]
    assert checked.bits_per_dim == alone.bits_per_dim == checked.curve[10]
    assert checked.detail == alone.detail == {"steps": 10}
    assert load_family("diffusion").bounds["full chain"].steps == 1000  # of the family, by default


def test_likelihoods_that_are_not_finite_are_refused():
    class Broken(Uniform):
        def nats(self, images, *_):
            return super().nats(images) * math.nan

    with pytest.raises(bounds.NotFiniteError, match="2 likelihoods were not finite"):
        bounds.nats(Broken(), np.zeros((2, 1, 4, 4), np.uint8), generator())


@pytest.mark.parametrize("kind", ["inverted", "constant", "noise", "shuffled pixels"])
def test_strange_images(kind):
    images = np.random.default_rng(0).integers(0, 100, (5, 3, 8, 8), dtype=np.uint8)
    found = bounds.out_of_distribution(kind, images, 1)
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    assert (found != images).mean() > 0.5
    assert np.array_equal(found, bounds.out_of_distribution(kind, images, 1))
    if kind == "constant":
        assert (found.min(axis=(2, 3)) == found.max(axis=(2, 3))).all()
    if kind == "shuffled pixels":
        assert np.array_equal(np.sort(found.reshape(5, 3, -1)), np.sort(images.reshape(5, 3, -1)))
