"""The flow that is the vector's prior, and the temperatures of the latents."""

import math

import pytest
import torch

from equibench_models import family
from equibench_models.vae.network import Coupling, kl_nats


def couplings(dims, n=3):
    torch.manual_seed(0)
    found = [Coupling(dims, 8, classes=0) for _ in range(n)]
    for coupling in found:
        torch.nn.init.normal_(coupling.head.weight, std=0.7)
    return found


def through(found, noise):
    for coupling in found:
        noise = coupling(noise)
    return noise


def back(found, z):
    log_det = torch.zeros(len(z))
    for coupling in reversed(found):
        z, one = coupling.inverse(z)
        log_det = log_det + one
    return z, log_det


@pytest.mark.parametrize("dims", [2, 5, 32])
def test_couplings_invert_with_the_determinant_of_autograd(dims):
    found, noise = couplings(dims), torch.randn(4, dims)
    again, log_det = back(found, through(found, noise))
    assert torch.allclose(again, noise, atol=1e-4)
    jacobian = torch.autograd.functional.jacobian(lambda one: through(found, one[None])[0], noise[0])
    assert float(log_det[0].detach()) == pytest.approx(-float(torch.linalg.slogdet(jacobian)[1]), abs=1e-4)


def test_kl_to_the_flow_is_that_of_quadrature():
    """Two dimensions: the mean over draws of the nats of a draw, against the KL by a grid of q log(q / p)."""
    torch.manual_seed(1)
    model = family("vae").build({"width": 16, "vector": 2, "prior_couplings": 3, "prior_hidden": 8}, (1, 28, 28))
    network = model.network
    for coupling, like in zip(network.prior, couplings(2), strict=True):
        coupling.load_state_dict(like.state_dict())
    mean, log_std = torch.tensor([[0.4, -0.3]]), torch.tensor([[-0.5, 0.2]])
    side = torch.linspace(-6, 6, 600)
    z = torch.cartesian_prod(side, side)
    log_q = torch.distributions.Normal(mean, log_std.exp()).log_prob(z).sum(dim=1)
    with torch.no_grad():
        noise, log_det = back(list(network.prior), z)
    log_p = torch.distributions.Normal(0, 1).log_prob(noise).sum(dim=1) + log_det
    exact = float((log_q.exp() * (log_q - log_p)).sum() * (side[1] - side[0]) ** 2)
    draws = torch.randn(200_000, 2)
    with torch.no_grad():
        nats = network._vector_kl(mean + log_std.exp() * draws, mean, log_std, draws, None, drawn=False)
    assert float(nats.mean()) == pytest.approx(exact, abs=4 * float(nats.std()) / math.sqrt(len(draws)) + 1e-3)
    assert abs(exact - float(kl_nats(mean, log_std, None).sum())) > 0.1  # what a normal prior would cost is another


def test_the_prior_starts_as_the_normal_one():
    torch.manual_seed(0)
    model = family("vae").build({"width": 16, "prior_couplings": 4}, (1, 28, 28))
    noise, mean, log_std = torch.randn(50, 32), torch.randn(50, 32), 0.3 * torch.randn(50, 32)
    z = mean + log_std.exp() * noise
    nats = model.network._vector_kl(z, mean, log_std, noise, None, drawn=False)
    assert torch.allclose(nats, kl_nats(mean, log_std, noise).sum(dim=1), atol=1e-3)


def test_temperatures_reach_their_latents_alone():
    torch.manual_seed(0)
    model = family("vae").build({"width": 16, "coarse_latents": 1}, (1, 28, 28))
    for i in range(20):
        model.update(torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8), 0.3 + i / 100)

    def sample(**options):
        return model.sample(4, torch.Generator().manual_seed(0), decoding="mean", **options)

    assert torch.equal(sample(), sample(coarse_temperature=1.0))
    assert not torch.equal(sample(), sample(coarse_temperature=0.2))
    # all noise is nothing at temperature 0, whatever comes on top
    assert torch.equal(sample(temperature=0.0), sample(temperature=0.0, coarse_temperature=3.0))
