"""Quantiles of mixtures of logistics against bisection in float64, and closed forms."""

import pytest
import torch
from torch.nn.functional import logsigmoid

from equibench_models.quantiles import quantiles

N = 3000


def logit_of_mass(x, log_weights, means, log_scales):
    """logit(F(x)) in float64, by logarithms throughout."""
    scaled = (x.double() - means.double()) * torch.exp(-log_scales.double())
    below = torch.logsumexp(log_weights.double() + logsigmoid(scaled), 0)
    return below - torch.logsumexp(log_weights.double() + logsigmoid(-scaled), 0)


def bisected(z, log_weights, means, log_scales):
    ends = means.double() + log_scales.double().exp() * z.double()
    low, high = ends.amin(0), ends.amax(0)
    for _ in range(80):
        middle = (low + high) / 2
        under = logit_of_mass(middle, log_weights, means, log_scales) < z.double()
        low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return (low + high) / 2


def mixtures(components, seed=0):
    """Of all kinds: near and far components, some of no weight, scales from one bound to the other."""
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(components, N, generator=generator)

    spread = torch.tensor([0.1, 1.0, 10.0])[torch.randint(3, (N,), generator=generator)]
    return (3 * normal()).log_softmax(0), normal() * spread, (3 * normal() - 3).clamp(-9, 3)


def noise(temperature, seed=0):
    uniform = torch.rand(N, generator=torch.Generator().manual_seed(seed))
    return temperature * torch.logit(uniform.clamp(1e-6, 1 - 1e-6))


def byte(x):
    return ((x.double() + 1) * 128).floor().clamp(0, 255)


def assert_found(x, z, mixture):
    """Each x is that of bisection or, on the flat between components, has the noise that is asked for; to rounding. A
    byte is another one only where the value lies on the edge of its level.
    """
    exact = bisected(z, *mixture)
    assert x.isfinite().all()
    off = (x - exact).abs() / exact.abs().clamp(min=1)
    noise_off = (logit_of_mass(x, *mixture) - z).abs() / z.abs().clamp(min=1)
    assert float(torch.minimum(off, noise_off).max()) < 2e-6
    other = byte(x) != byte(exact)
    assert int(other.sum()) <= N // 1000
    on_the_scale = (exact[other] + 1) * 128
    assert ((on_the_scale - on_the_scale.round()).abs() < 0.01).all()


@pytest.mark.parametrize("components", [1, 2, 6])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0, 100.0])
def test_quantiles_are_those_of_bisection_in_float64(components, temperature):
    mixture, z = mixtures(components), noise(temperature)
    assert_found(quantiles(z, *mixture), z, mixture)


def test_without_shapes_of_its_own_it_finds_the_same(monkeypatch):
    """As it runs in a compiled graph and a captured one."""
    mixture, z = mixtures(6), noise(1.0)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert_found(quantiles(z, *mixture), z, mixture)


def test_equal_components_are_one():
    z = noise(1.0)
    mean, log_scale = torch.tensor(0.3), torch.tensor(-2.0)
    equal = (torch.full((3, N), 1 / 3).log(), mean.expand(3, N), log_scale.expand(3, N))
    assert torch.allclose(quantiles(z, *equal), mean + log_scale.exp() * z, atol=1e-6)


def test_a_step_of_two_narrow_components_is_found_on_its_side():
    """Half of the mass at -1 and half at 1, each as narrow as scales become: the median is anywhere between."""
    z = torch.tensor([-3.0, -1e-3, 0.0, 1e-3, 3.0])
    narrow = (torch.full((2, 5), 0.5).log(), torch.tensor([[-1.0], [1.0]]).expand(2, 5), torch.full((2, 5), -9.0))
    x = quantiles(z, *narrow)
    assert (x[:2] < -0.99).all()
    assert abs(float(x[2])) <= 1.01
    assert (x[3:] > 0.99).all()


def test_each_value_stands_alone():
    mixture, z = mixtures(6), noise(1.0)
    some = torch.arange(7, N, 10)
    alone = quantiles(z[some], *(one[:, some] for one in mixture))
    together = quantiles(z, *mixture)[some]
    assert float(((alone - together).abs() / together.abs().clamp(min=1)).max()) < 2e-6 or torch.equal(
        byte(alone), byte(together)
    )


@pytest.mark.parametrize("z", [20.0, 40.0, 90.0, -20.0, -90.0])
def test_where_the_mass_rounds_to_one_the_far_component_decides(z):
    """A component of almost no weight lies before the one that matters; Newton's step is 0/0 at the start."""
    noise = torch.full((N,), z)
    weights = torch.tensor([[1e-9], [1.0]]).expand(2, N)
    for ends in ([-1.0, 1.0], [1.0, -1.0]):
        mixture = (weights.log(), torch.tensor(ends)[:, None].expand(2, N), torch.full((2, N), -6.0))
        assert_found(quantiles(noise, *mixture), noise, mixture)
