"""The families' likelihoods against closed forms and autograd."""

import math

import pytest
import torch
from torch import nn

from equibench_models import family as load_family
from equibench_models.diffusion.process import log_gaussian_mass, step_kl
from equibench_models.flow.couplings import DenseCoupling, FlowConfig, join, split
from equibench_models.flow.network import FlowNetwork, log_logistic


def shaken(network, size=0.05):
    """Weights moved off their zeros, so that every part of the network takes part."""
    torch.manual_seed(5)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(size * torch.randn_like(p))
    return network


@pytest.mark.parametrize("channels", [1, 3])
def test_flow_log_determinant_matches_autograd(channels):
    network = shaken(FlowNetwork(FlowConfig(width=8, components=3), (channels, 8, 8))).double()
    y = torch.rand(1, channels, 8, 8, dtype=torch.float64) * 1.8 - 0.9
    with torch.no_grad():
        _, log_det = network(y)

    def flat(y):
        return torch.cat([z.flatten() for z in network(y)[0]])

    jacobian = torch.autograd.functional.jacobian(flat, y).reshape(y.numel(), y.numel())
    sign, exact = torch.linalg.slogdet(jacobian)
    assert abs(float(sign)) == 1
    assert float(log_det) == pytest.approx(float(exact), abs=2e-3)  # mixtures are float32 throughout


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_flow_inverts(shape):
    network = shaken(FlowNetwork(FlowConfig(width=16), shape), size=0.02)
    y = torch.rand(4, *shape) * 2 - 1
    with torch.no_grad():
        noise, _ = network(y)
        assert [tuple(z.shape[1:]) for z in noise] == network.noise_shapes()
        assert sum(z[0].numel() for z in noise) == y[0].numel()
        assert float((network.inverse(noise) - y).abs().max()) < 1e-4


def test_split_takes_every_second_pixel():
    y = torch.arange(16.0).reshape(1, 1, 4, 4)
    kept, diagonal, right, below = split(y)
    assert kept.flatten().tolist() == [0, 2, 8, 10]
    assert right.flatten().tolist() == [1, 3, 9, 11]
    assert below.flatten().tolist() == [4, 6, 12, 14]
    assert diagonal.flatten().tolist() == [5, 7, 13, 15]
    assert torch.equal(join(kept, diagonal, right, below), y)


def test_flow_dequantizer_density_is_that_of_its_draws():
    """u is a function of uniform numbers, so q(u | x) must be the inverse of its slope, by autograd."""
    model = load_family("flow").build({"width": 8}, (1, 8, 8))
    dequantizer = shaken(model.network.dequantizer)
    x = torch.rand(1, 1, 8, 8) * 2 - 1
    uniform = (torch.rand(1, 1, 8, 8) * 0.98 + 0.01).requires_grad_()
    u, log_q = dequantizer(x, uniform)
    assert ((u > 0) & (u < 1)).all()
    (slope,) = torch.autograd.grad(u.sum(), uniform)  # every pixel's u depends on its own number alone
    assert torch.allclose(log_q, -slope.log().sum(), atol=1e-3)


@pytest.mark.parametrize("std", [1e-4, 3e-3, 0.05, 1.0])
@pytest.mark.parametrize("mean", [-1.3, -0.999, 0.1, 1.0])
def test_gaussian_mass_of_all_levels_is_one(mean, std):
    x = torch.arange(256.0) / 127.5 - 1
    log_mass = log_gaussian_mass(x, torch.full((256,), mean), torch.full((256,), std))
    assert not torch.isnan(log_mass).any()
    assert abs(float(log_mass.double().exp().sum()) - 1) < 1e-5


def test_step_kl_matches_torch_distributions():
    torch.manual_seed(0)
    x, clean, code = torch.randn(3, 6, 1, 4, 4)
    lam, lam_next = torch.linspace(-5, 4, 6), torch.linspace(-5, 4, 6) + 0.7
    found = step_kl(x, clean, code, lam, lam_next)
    # q(z_next | z, x) from the joint Gaussian of (z_next, z) given x, by conditioning
    a, s2 = torch.sigmoid(lam).sqrt(), torch.sigmoid(-lam)
    a_next, s2_next = torch.sigmoid(lam_next).sqrt(), torch.sigmoid(-lam_next)
    covariance = a / a_next * s2_next
    variance = (s2_next - covariance**2 / s2)[:, None, None, None]
    gain = (covariance / s2)[:, None, None, None]
    a, a_next = a[:, None, None, None], a_next[:, None, None, None]
    z = torch.randn_like(x)
    true = torch.distributions.Normal(a_next * x + gain * (z - a * x), variance.sqrt())
    greatest = (s2[:, None, None, None] / s2_next[:, None, None, None]) * variance
    model_variance = torch.exp(torch.lerp(variance.log(), greatest.log(), torch.sigmoid(code)))
    model = torch.distributions.Normal(a_next * clean + gain * (z - a * clean), model_variance.sqrt())
    assert torch.allclose(found, torch.distributions.kl_divergence(true, model), rtol=1e-3, atol=1e-5)


class OptimalDenoiser(nn.Module):
    """v of the best denoiser for data that is normal with mean 0 and variance `variance`."""

    def __init__(self, variance):
        super().__init__()
        self.variance = variance

    def forward(self, z, lam):
        a = torch.sigmoid(lam).sqrt()[:, None, None, None]
        s = torch.sigmoid(-lam).sqrt()[:, None, None, None]
        clean = a * self.variance / (a**2 * self.variance + s**2) * z
        return (a * z - clean) / s, torch.full_like(z, -30.0)  # the least variance: exact for small steps


def test_diffusion_bound_approaches_the_gaussian_closed_form_from_above():
    """Sum of the chain's KLs for Gaussian data and its best denoiser: 1/2 ln[(1 + s2 e^g) / (1 + s2 e^l)] a dimension
    as T grows (research note 4.5, test 6).
    """
    variance, greatest, least = 0.04, 9.6, -9.0
    exact = 0.5 * math.log((1 + variance * math.exp(greatest)) / (1 + variance * math.exp(least)))
    torch.manual_seed(0)
    x = math.sqrt(variance) * torch.randn(64, 1, 16, 16)
    found = []
    for steps in (50, 500):
        total = 0.0
        grid = torch.linspace(greatest, least, steps)
        for i in range(1, steps):
            lam, lam_next = grid[i].expand(64), grid[i - 1].expand(64)
            a, s = torch.sigmoid(grid[i]).sqrt(), torch.sigmoid(-grid[i]).sqrt()
            z = a * x + s * torch.randn_like(x)
            v, code = OptimalDenoiser(variance)(z, lam)
            total += float(step_kl(x, a * z - s * v, code, lam, lam_next).mean())
        found.append(total)
    assert found[0] > found[1] > exact - 0.01
    assert found[1] == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("family", ["vae", "flow", "diffusion"])
def test_untrained_models_cost_about_eight_bits_on_noise(family):
    """No model beats 8 bits on uniform noise: one that seems to has an offset wrong (127.5 for 128, 255 for 256)."""
    torch.manual_seed(0)
    model = load_family(family).build({"width": 16}, (1, 28, 28))
    images = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8)
    for _ in range(5):
        model.update(images, 0.3)
    fresh = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8)
    bits = model.nats(fresh, torch.Generator().manual_seed(0)) / (784 * math.log(2))
    assert float(bits.mean()) > 8 - 3 * float(bits.std()) / 8


# Samplers against the probabilities that they sample ---------------------------------------------------------------


def chi_square(counts, masses):
    """Standard deviations by which Pearson's statistic of `counts` exceeds its mean, over cells expected 5 times."""
    expected = masses.double() / masses.double().sum() * counts.sum()
    often = expected >= 5
    statistic = ((counts - expected)[often] ** 2 / expected[often]).sum()
    return float((statistic - often.sum()) / math.sqrt(2 * float(often.sum())))


def test_flow_draws_follow_its_density():
    """A dense coupling over two values: draws by its inverse in the cells of a grid, against its density's mass."""
    torch.manual_seed(0)
    coupling = shaken(DenseCoupling(2, FlowConfig(width=8)), size=0.2)
    z = torch.logit(torch.rand(40_000, 2).clamp(1e-6, 1 - 1e-6))
    edges = torch.linspace(-4, 4, 17)
    fine = torch.linspace(-4, 4, 16 * 20 + 1)[:-1] + 4 / 320
    with torch.no_grad():
        drawn = coupling.inverse(z)
        noise, log_det = coupling(torch.cartesian_prod(fine, fine))
    density = (log_logistic(noise).sum(dim=1) + log_det).exp().reshape(16, 20, 16, 20)
    masses = density.sum(dim=(1, 3)).flatten() * (8 / 320) ** 2
    counts = torch.histogramdd(drawn, [edges, edges]).hist.flatten()
    expected = torch.cat([masses, 1 - masses.sum()[None]])  # and all outside
    counts = torch.cat([counts, len(z) - counts.sum()[None]])
    assert chi_square(counts, expected) < 5
    assert chi_square(counts, expected.roll(1)) > 50


def test_diffusion_chain_draws_the_data_of_its_best_denoiser():
    """Gaussian data: levels drawn by the chain's learned reverse steps, against the Gaussian's mass in 256 bins."""
    variance = 0.04
    model = load_family("diffusion").build({"width": 8}, (1, 16, 16))
    model.average.network = OptimalDenoiser(variance)
    drawn = model.sample(600, torch.Generator().manual_seed(0), sampler="ancestral", steps=1000)
    levels = torch.arange(256.0) / 127.5 - 1
    mass = log_gaussian_mass(levels, torch.zeros(256), torch.full((256,), math.sqrt(variance))).exp()
    counts = torch.bincount(drawn.flatten().long(), minlength=256).double()
    assert chi_square(counts, mass) < 5
    wrong = log_gaussian_mass(levels, torch.zeros(256), torch.full((256,), 0.95 * math.sqrt(variance))).exp()
    assert chi_square(counts, wrong) > 5


@pytest.mark.parametrize("sampler", ["sde-dpm-solver++", "dpm-solver++"])
def test_diffusion_solvers_draw_the_data_of_its_best_denoiser(sampler):
    """Gaussian data: the spread of draws meets the Gaussian's, and sooner than by the chain's first-order steps."""
    std = 0.2
    model = load_family("diffusion").build({"width": 8}, (1, 16, 16))
    model.average.network = OptimalDenoiser(std**2)

    def off(sampler, steps):
        drawn = model.sample(600, torch.Generator().manual_seed(0), sampler=sampler, steps=steps)
        return abs(float((drawn.double() / 127.5 - 1).std()) / std - 1)

    assert off(sampler, 100) < 0.005
    assert off(sampler, 40) < 0.5 * off("ancestral", 40)
