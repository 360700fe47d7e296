"""The GAN's two ways to an update, against autograd."""

import copy

import torch
import torch.nn.functional as F

from equibench_models import family
from equibench_models.gan_network import _critic_leaky, _leaky


def model(**config):
    torch.manual_seed(0)
    return family("gan").build({"width": 16, "batch_size": 8, "optimizer": "adam", **config}, (1, 28, 28))


def images(n=8):
    return torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_critics_leaky_relu_is_torchs_with_its_slope_and_no_second_derivative():
    x = torch.randn(50, requires_grad=True)
    assert torch.equal(_critic_leaky(x), _leaky(x))
    (slope,) = torch.autograd.grad(_critic_leaky(x).sum(), x, create_graph=True)
    (torchs,) = torch.autograd.grad(_leaky(x).sum(), x)
    assert torch.equal(slope, torchs)
    assert not slope.requires_grad  # torch's own would be differentiated, to zeros
    y = torch.randn(50, requires_grad=True)  # and it is twice differentiable by what comes from above
    (slope,) = torch.autograd.grad((_critic_leaky(x) * y).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), y)
    assert torch.equal(second, torchs)


def test_one_pass_gives_both_players_their_gradients():
    """With a critic that does not move, the generator's step of either way follows the gradient of its own loss."""
    for penalty_share in (0.125, 0.5, 1.0):
        one = model(one_stage=True, penalty_share=penalty_share)
        frozen = copy.deepcopy(one)
        torch.manual_seed(5)
        fake = frozen.generator(torch.randn(8, frozen.config.latent))
        fake = frozen.config.leak * fake + (1 - frozen.config.leak) * fake.clamp(-1, 1)
        real = images().float() / 127.5 - 1
        lead = frozen.discriminator(real) - frozen.discriminator(fake)
        expected = torch.autograd.grad(F.softplus(lead).mean(), list(frozen.generator.parameters()))
        few = max(1, round(penalty_share * 8))
        torch.manual_seed(5)
        losses = one.update(images(), 0.3)
        found = [p.grad for p in one.generator.parameters()]
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, atol=1e-5 + 1e-3 * float(b.abs().max()))
        # and the critic's, its penalties on the first few pairs included
        x = torch.cat([real[:few], fake.detach()[:few]]).requires_grad_()
        (slope,) = torch.autograd.grad(frozen.discriminator(x).sum(), x, create_graph=True)
        penalty = slope.square().sum(dim=(1, 2, 3)).chunk(2)
        gamma = 3.0 * (1 / 3.0) ** 0.3
        loss = F.softplus(-(frozen.discriminator(real) - frozen.discriminator(fake.detach()))).mean()
        total = loss + gamma / 2 * (penalty[0].mean() + penalty[1].mean())
        expected = torch.autograd.grad(total, list(frozen.discriminator.parameters()))
        for p, b in zip(one.discriminator.parameters(), expected, strict=True):
            assert torch.allclose(p.grad, b, atol=1e-5 + 1e-3 * float(b.abs().max()))
        assert torch.allclose(losses["discriminator_loss"], loss, atol=1e-5)


def test_a_critic_that_is_far_ahead_still_gives_the_generator_its_gradient():
    """Pairs that it tells apart by much have the greatest gradients of all."""
    one = model(penalty=0.0, penalty_share=0.125)
    with torch.no_grad():
        one.discriminator.out.weight.mul_(200)
    frozen = copy.deepcopy(one)
    torch.manual_seed(5)
    fake = frozen.generator(torch.randn(8, frozen.config.latent))
    fake = frozen.config.leak * fake + (1 - frozen.config.leak) * fake.clamp(-1, 1)
    lead = frozen.discriminator(images().float() / 127.5 - 1) - frozen.discriminator(fake)
    assert 35 < float(lead.detach().max()) < 60
    expected = torch.autograd.grad(F.softplus(lead).mean(), list(frozen.generator.parameters()))
    torch.manual_seed(5)
    one.update(images(), 0.3)
    for p, b in zip(one.generator.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, b, atol=1e-3 * float(b.abs().max()))


def test_in_turns_the_generator_meets_the_critic_that_has_moved():
    turns, one = model(one_stage=False), model(one_stage=True)
    for each in (turns, one):
        torch.manual_seed(5)
        each.update(images(), 0.3)
    critics = [dict(each.discriminator.named_parameters()) for each in (turns, one)]
    assert all(torch.allclose(critics[0][name], critics[1][name], atol=1e-4) for name in critics[0])
    assert not torch.allclose(turns.generator.head.weight.grad, one.generator.head.weight.grad, rtol=1e-3)
