"""Logistic mixtures against sums, samples and autograd; ranges; weight averages."""

import math

import pytest
import torch

from equibench_models.layers import Average, LogisticMixture, Mixer, learning_rate, to_float, to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8)


def mixture(channels=1, components=3, n=4, seed=0, spread=1.0, pixels=True):
    torch.manual_seed(seed)
    raw = spread * torch.randn(n, LogisticMixture.size(channels, components), 1, 1)
    return LogisticMixture(raw, channels, components, pixels=pixels)


def test_levels_survive_the_round_trip():
    images = LEVELS.reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(images)), images)
    assert to_uint8(torch.tensor([-5.0, 5.0])).tolist() == [0, 255]


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_mass_of_all_levels_is_one(spread):
    x = to_float(LEVELS.reshape(256, 1, 1, 1))
    for seed in range(5):
        one = mixture(n=1, seed=seed, spread=spread)
        assert abs(float(one.log_mass(x).double().exp().sum()) - 1) < 1e-5


def test_mass_needs_256_bins():
    """The twin that a common slip gives, bins of 1/255 of the range instead of 2/255, is caught by the sum."""
    x = to_float(LEVELS.reshape(256, 1, 1, 1))
    one = mixture(n=1)
    one.log_scales = one.log_scales.clamp(min=-3)
    centred, scale = one._centred(x), torch.exp(-one.log_scales)
    half = 0.5 / 255
    narrow = one.log_weights.exp() * (torch.sigmoid((centred + half) * scale) - torch.sigmoid((centred - half) * scale))
    assert abs(float(narrow.sum()) - 1) > 0.1


def test_tails_match_float64():
    x = to_float(LEVELS.reshape(256, 1, 1, 1))
    one = mixture(n=1, components=1)
    one.log_scales = torch.full_like(one.log_scales, -5.0)
    mean, scale = one.means.double().flatten(), math.exp(-5.0)
    upper = torch.sigmoid((x.double().flatten() - mean + 1 / 255) / scale)
    lower = torch.sigmoid((x.double().flatten() - mean - 1 / 255) / scale)
    upper[-1], lower[0] = 1, 0
    exact = torch.log(upper - lower)
    known = exact > -30  # beyond, float64's difference of probabilities has lost its own digits
    assert torch.allclose(one.log_mass(x).double().flatten()[known], exact[known], rtol=1e-4, atol=1e-4)
    assert torch.isfinite(one.log_mass(x)).all()


def test_draws_follow_the_mass():
    """Chi-square of 100,000 draws against the probabilities of the 256 levels, on 2x2 blocks' second channel too."""
    n = 100_000
    torch.manual_seed(0)
    raw = 0.5 * torch.randn(1, LogisticMixture.size(2, 3), 1, 1)
    few, many = (LogisticMixture(raw.expand(k, -1, -1, -1), 2, 3) for k in (256, n))
    drawn = many.draw(torch.rand(n, 2, 2, 1, 1, generator=torch.Generator().manual_seed(0)))
    first = to_uint8(drawn[:, 0]).flatten()
    x = to_float(LEVELS.reshape(256, 1, 1, 1)).expand(-1, 2, -1, -1)
    assert _chi_square(first, few.log_mass(x)[:, 0].exp().flatten()) < 5
    # the second channel given one value of the first
    value = first.mode().values
    given = drawn[first == value]
    pairs = torch.stack([given[:1, 0].expand(256, 1, 1), x[:, 1]], dim=1)
    assert _chi_square(to_uint8(given[:, 1]).flatten(), few.log_mass(pairs)[:, 1].exp().flatten()) < 5


def _chi_square(levels, probability):
    """Standard deviations by which Pearson's statistic exceeds its mean, over levels expected at least 5 times."""
    counts = torch.bincount(levels.long(), minlength=256).double()
    expected = probability.double() * len(levels)
    often = expected >= 5
    rest_counts, rest_expected = counts[~often].sum(), expected[~often].sum()
    statistic = ((counts - expected)[often] ** 2 / expected[often]).sum() + (rest_counts - rest_expected) ** 2 / max(
        float(rest_expected), 1.0
    )
    freedom = int(often.sum())
    return float((statistic - freedom) / math.sqrt(2 * freedom))


def test_to_logistic_matches_autograd_and_inverts():
    one = mixture(channels=3, n=5, spread=0.5, pixels=False)
    x = (torch.rand(5, 3, 1, 1) * 2 - 1).requires_grad_()
    z, log_slope = one.to_logistic(x)
    for d in range(3):
        (gradient,) = torch.autograd.grad(z[:, d].sum(), x, retain_graph=True)
        assert torch.allclose(gradient[:, d].log(), log_slope[:, d], atol=1e-4)
        assert (gradient[:, d + 1 :] == 0).all()  # triangular, so the slopes alone make the determinant
    assert torch.allclose(one.from_logistic(z.detach()), x, atol=1e-5)


def test_noise_survives_the_way_to_pixels_and_back():
    """With narrow components the distribution function is flat between them, so x is not asked for, but its noise."""
    one = mixture(channels=3, n=50, spread=0.5)
    z = torch.logit(torch.rand(50, 3, 1, 1, generator=torch.Generator().manual_seed(0)).clamp(1e-4, 1 - 1e-4))
    again, _ = one.to_logistic(one.from_logistic(z))
    assert torch.allclose(again, z, atol=2e-3)


def test_density_has_mass_one():
    one = mixture(n=1, spread=1.0, pixels=False)
    x = torch.linspace(-60, 60, 400_001)
    z, log_slope = one.to_logistic(x[:, None, None, None])
    density = torch.exp(log_slope + torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z)).flatten()
    assert abs(float(torch.trapezoid(density, x)) - 1) < 1e-3


def test_average_weighs_recent_weights_by_the_power_law():
    network = torch.nn.Linear(1, 1)
    average = Average(network, gamma=3.0)
    weights = [0.5, -1.0, 2.0, 4.0]
    expected = 0.0
    for t, weight in enumerate(weights, start=1):
        torch.nn.init.constant_(network.weight, weight)
        average.update(network)
        keep = (1 - 1 / t) ** 4
        expected = keep * expected + (1 - keep) * weight
    assert float(average.network.weight) == pytest.approx(expected)
    assert not any(p.requires_grad for p in average.parameters())


def test_learning_rate_warms_up_and_ends_at_zero():
    assert learning_rate(2.0, 0.0) < 0.1
    assert learning_rate(2.0, 0.3) == 2.0
    assert learning_rate(2.0, 0.75) == pytest.approx(1.0)
    assert learning_rate(2.0, 1.0) == 0.0


@pytest.mark.parametrize("condition", [0, 5])
def test_mixer_starts_silent_and_shows_every_place_to_every_other(condition):
    torch.manual_seed(0)
    mixer = Mixer(6, 2, 7, (3, 4), condition)
    h = torch.randn(2, 6, 3, 4, requires_grad=True)
    given = torch.randn(2, condition) if condition else None
    assert torch.equal(mixer(h, given), h)
    torch.nn.init.normal_(mixer.widen.weight)
    (seen,) = torch.autograd.grad(mixer(h, given)[0, :, 0, 0].sum(), h)
    assert (seen[0].abs().sum(dim=0) > 0).all()
    assert not seen[1].any()  # of the other image nothing
    if condition:
        assert not torch.equal(mixer(h, given), mixer(h, given + 1))
