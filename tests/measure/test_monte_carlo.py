"""The part of a likelihood's error that more draws would lessen, against simulations with known variances."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ppca import PPCA, generator

from equibench.measure.likelihood import bounds, monte_carlo
from equibench.measure.likelihood.bits import bits_per_dim, summarize
from equibench.measure.likelihood.monte_carlo import DrawNoise, draw_noise, error_parts
from equibench.measuring import BoundSetting
from equibench_models import family as load_family

IMAGES = np.random.default_rng(0).integers(0, 256, (400, 1, 4, 4), dtype=np.uint8)
DIMS = 16


def drawing(deviation, spread=False):
    """A model whose nats are the sum of an image's levels / 100 and noise of known deviation; `spread`: the noise is
    that of numbers evenly spread over the batch, as diffusion's steps are.
    """

    def nats(images, generator):
        exact = images.double().sum(dim=(1, 2, 3)) / 100
        uniform = torch.rand(len(images), generator=generator, dtype=torch.float64)
        if spread:
            uniform = (torch.randperm(len(images), generator=generator) + uniform) / len(images)
        return exact + deviation * math.sqrt(12) * (uniform - 0.5)

    return SimpleNamespace(nats=nats)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("passes", [1, 3])
def test_the_monte_carlo_part_is_the_spread_over_repeats(spread, passes):
    """The same images measured many times: what their means scatter by is that part; the rest is over images."""
    model = drawing(8.0, spread)
    means = [bounds.nats(model, IMAGES, generator(seed), passes=passes, batch_size=20).mean() for seed in range(300)]
    true = bits_per_dim(np.std(means), DIMS)
    of_images = bits_per_dim(float((IMAGES.sum(axis=(1, 2, 3)) / 100).std(ddof=1)), DIMS) / math.sqrt(400)
    found = []
    for seed in range(40):
        state = generator(seed)
        nats = bounds.nats(model, IMAGES, state, passes=passes, batch_size=20)
        noise = bounds.drawn_noise(model, IMAGES, state)  # in groups of 20, too
        found.append(error_parts(nats, noise, DIMS))
    total, part = np.mean(found, axis=0)
    assert part == pytest.approx(true, rel=0.15)
    assert total == pytest.approx(math.hypot(true, of_images), rel=0.1)
    if spread:  # what the error over images says of the mean, with each draw's noise in full, is too much
        assert summarize(nats, DIMS)[1] > (1.3 if passes == 1 else 1.05) * total


def test_what_draws_nothing_has_no_monte_carlo_noise():
    model = drawing(0.0)
    nats = bounds.nats(model, IMAGES, generator())
    stderr, part = error_parts(nats, bounds.drawn_noise(model, IMAGES, generator()), DIMS)
    assert part == 0
    assert stderr == summarize(nats, DIMS)[1]
    assert bounds.drawn_noise(model, IMAGES[:1], generator()) is None


def test_noise_by_hand():
    noise = draw_noise(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[3.0, 2.0], [2.0, 5.0]]))
    assert noise.an_image == (4 + 0 + 1 + 1) / 4 / 2
    assert noise.in_the_mean == (1 + 0) / 2 * 2 / 2
    assert error_parts(np.array([[1.0, 3.0]]), DrawNoise(0.5, 0.5), 1)[1] == pytest.approx(0.5 / math.log(2))
    assert error_parts(np.array([[1.0]]), DrawNoise(0.0, 0.0), 1) == (0, 0)


def test_weights_leave_the_noise_of_their_mean():
    """Over many sets of K weights of the same images: the scatter of the mean bound."""
    ppca = PPCA()
    x = ppca.draw(100)
    bound, parts = [], []
    for _ in range(60):
        nats = ppca.nats(x, 16, worse=0.05)
        bound.append(bounds.importance_weighted(nats)[16].mean())
        parts.append(monte_carlo.weights_noise(nats).in_the_mean / 100)
    assert math.sqrt(np.mean(parts)) == pytest.approx(np.std(bound), rel=0.35)


@pytest.mark.parametrize(
    ("family", "name", "passes", "known"),
    [
        ("vae", "importance weighting", 4, True),
        ("vae", "importance weighting", 1, False),
        ("flow", "uniform dequantization", 3, True),
        ("flow", "uniform dequantization", 1, True),
        ("diffusion", "continuous time", 1, True),
        ("diffusion", "full chain", 1, False),
    ],
)
def test_bounds_say_their_monte_carlo_noise_where_it_is_cheap(family, name, passes, known):
    torch.manual_seed(0)
    model = load_family(family).build({"width": 8} | ({"chain_steps": 10} if family == "diffusion" else {}), (1, 8, 8))
    images = np.random.default_rng(1).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    setting = BoundSetting(name=name, images=20, passes=passes, check_steps=False)
    found = bounds.measure(model, setting, images, np.zeros(20), generator())
    part = found.stderr_monte_carlo_bits_per_dim
    assert (part is not None) == known
    assert part is None or 0 < part <= found.stderr_bits_per_dim
