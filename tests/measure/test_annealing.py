"""Annealed importance sampling against probabilistic PCA, whose likelihood is known."""

import numpy as np
import pytest
import torch
from ppca import CPU, PPCA, generator

from equibench.measure.likelihood import annealing
from equibench.measuring import Annealing
from equibench_models import FAMILIES
from equibench_models import family as load_family


@pytest.fixture(scope="module")
def annealed():
    ppca = PPCA()
    x = ppca.draw(20)
    how = {"sigma": ppca.sigma, "temperatures": 500, "leapfrog_steps": 5}
    forwards = annealing.anneal(ppca.decode, x, torch.randn(16, 20, 2), generator(), **how)
    backwards = annealing.anneal(ppca.decode, x, ppca.posterior(x).sample((16,)), generator(), **how, backwards=True)
    return ppca.log_prob(x), forwards, backwards


def test_annealing_finds_the_likelihood_of_ppca(annealed):
    truth, forwards, _ = annealed
    assert float((annealing.lower_bound(forwards) - truth).mean()) == pytest.approx(0, abs=0.1)
    assert 0.4 < forwards.acceptance < 0.95


def test_annealing_brackets_the_likelihood_of_ppca(annealed):
    truth, forwards, backwards = annealed
    # single chains: their log weights lie below and above by Jensen's inequality
    assert forwards.log_weights.mean() <= truth.mean() + 0.02
    assert backwards.log_weights.mean() >= truth.mean() - 0.02
    assert float((annealing.upper_bound(backwards) - truth).mean()) == pytest.approx(0, abs=0.3)


def test_annealing_with_few_temperatures_is_loose():
    ppca = PPCA(sigma=0.1)
    x = ppca.draw(20)
    loose = annealing.anneal(
        ppca.decode, x, torch.randn(1, 20, 2), generator(), sigma=0.1, temperatures=5, leapfrog_steps=2
    )
    assert annealing.lower_bound(loose).mean() < ppca.log_prob(x).mean() - 1


@pytest.mark.parametrize("family", ["gan", "vae"])
def test_decoders_are_measured(family):
    torch.manual_seed(0)
    model = load_family(family).build({"width": 8}, (1, 8, 8))
    setting = Annealing(images=3, chains=2, temperatures=30, leapfrog_steps=2, sigma=0.2)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    found = annealing.measure(model, setting, images, CPU, seed=1)
    assert found.simulated_lower_nats <= found.simulated_upper_nats + 0.05  # each is a bound in expectation
    assert found == annealing.measure(model, setting, images, CPU, seed=1)
    more = setting.model_copy(update={"images": 9})  # than there are
    assert annealing.measure(model, more, images, CPU, seed=1) == found


@pytest.mark.parametrize("family", FAMILIES)
def test_decoders_are_declared(family):
    model = load_family(family).build({"width": 8}, (1, 8, 8))
    if model.latent_dims:
        z = torch.randn(2, model.latent_dims, requires_grad=True)
        images = model.decode(z)
        assert images.shape == (2, 1, 8, 8)
        assert images.abs().max() <= 1
        (gradient,) = torch.autograd.grad(images.sum(), z)
        assert gradient.isfinite().all()
    else:
        with pytest.raises(NotImplementedError):
            model.decode(torch.zeros(1, 1))
