"""Models held against data of known entropy: none may go below it, the true model reaches it, and slips of the usual
kinds (127.5 for 128, 255 bins for 256) are found out.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from equibench.data import oracle
from equibench.measure.likelihood import bits as likelihood
from equibench.measure.likelihood import bounds
from equibench_models import family as load_family
from equibench_models import layers
from equibench_models.flow.model import Flow

LN2 = math.log(2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def excess(nats, entropy_bits_per_dim, dims):
    """Bits per dimension above the entropy, and the standard error of that over images."""
    bits, stderr = likelihood.summarize(nats, dims)
    return bits - entropy_bits_per_dim, stderr


@pytest.fixture(scope="module")
def images():
    return oracle.images(1000, seed=11)


class TrueDensity(nn.Module):
    """The oracle's own distribution as the density that dequantization asks for: each level's mass spread evenly over
    its bin of [-1, 1].
    """

    def log_density(self, y, told=None):  # noqa: ARG002 (it is told no label)
        levels = ((y.double() + 1) * 128).floor()
        density = math.log(128) * oracle.DIMS - oracle.nats(levels.numpy().astype(np.uint8))
        return torch.from_numpy(density)


def excess_of_true_density(cls, images):
    model = cls.build({"width": 8}, oracle.SHAPE)
    u = 0.01 + 0.98 * torch.rand(images.shape, generator=generator())  # off the edges, where float32 may round over
    nats = model._nats(TrueDensity(), torch.from_numpy(images), u, None)
    return excess(nats.numpy()[None], oracle.entropy_bits_per_dim(), oracle.DIMS)


def test_the_true_model_reaches_the_entropy_of_the_oracle(images):
    above, stderr = excess_of_true_density(Flow, images)
    assert abs(above) < 4 * stderr
    assert stderr < 1e-3


def test_an_offset_slip_goes_below_the_entropy_of_the_oracle(images):
    class Slipped(Flow):
        def _nats(self, network, images, u, told):
            return super()._nats(network, images, u, told) - math.prod(self.shape) * math.log(128 / 127.5)

    above, stderr = excess_of_true_density(Slipped, images)
    assert above < -4 * stderr


def true_vae():
    """A decoder that says the same mixture everywhere, and posteriors that are the priors: all outputs are zeros."""
    model = load_family("vae").build({"width": 8}, (1, 28, 28))
    with torch.no_grad():
        for name, p in model.average.network.named_parameters():
            if name.split(".")[-2] in ("head", "posterior", "prior"):
                p.zero_()
    return model


def masses_of_start():
    """The 256 probabilities of that decoder in float64, from the starting values that LogisticMixture names."""
    components = true_vae().config.components
    means = np.linspace(-1, 1, 2 * components + 1)[1::2]
    scales = np.full(components, math.exp(-2))
    means[0], means[-1] = -254 / 255, 254 / 255
    scales[0] = scales[-1] = math.exp(-6)
    edges = np.concatenate([[-np.inf], (np.arange(1, 256) * 2 - 1) / 255 - 1, [np.inf]])
    cdf = 0.5 * (1 + np.tanh((edges[:, None] - means) / scales / 2))
    return np.diff(cdf.mean(axis=1))


def excess_of_true_vae():
    """Above what the images themselves cost: less scattered than above the entropy, its mean over images."""
    masses = masses_of_start()
    assert masses.sum() == pytest.approx(1, abs=1e-12)
    drawn = np.random.default_rng(3).choice(256, size=(40, 1, 28, 28), p=masses).astype(np.uint8)
    truth = -np.log(masses)[drawn].sum(axis=(1, 2, 3))
    return excess(bounds.nats(true_vae(), drawn, generator()) - truth, 0.0, 784)


def test_a_true_decoder_reaches_the_entropy():
    above, stderr = excess_of_true_vae()
    assert abs(above) < 1e-4
    assert stderr < 1e-4


def test_255_bins_go_below_the_entropy(monkeypatch):
    monkeypatch.setattr(layers, "HALF_BIN", 1 / 254)
    above, _ = excess_of_true_vae()
    assert above < -4e-3


@pytest.mark.parametrize("family", ["vae", "flow", "diffusion"])
def test_no_trained_model_goes_below_the_entropy_of_the_oracle(family, images):
    torch.manual_seed(0)
    model = load_family(family).build({"width": 16, "batch_size": 16}, oracle.SHAPE)
    training = oracle.images(512, seed=1)
    start = bounds.nats(model, images[:100], generator()).mean()
    for i in range(40):
        model.update(torch.from_numpy(training[16 * i % 512 :][:16]), i / 40)
    nats = bounds.nats(model, images[:100], generator())
    above, stderr = excess(nats, oracle.entropy_bits_per_dim(), oracle.DIMS)
    assert above > -4 * stderr
    assert nats.mean() < start  # it has learned something
