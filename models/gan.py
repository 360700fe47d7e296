"""Generative adversarial network: relativistic pairing with zero-centred gradient penalties on real and fake images.

Goodfellow et al. 2014 for the family; the objective is that of Huang et al. 2024 (R3GAN), whose local convergence they
prove; residual networks without normalisation, learning rate and penalty annealed with the budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from equibench_models.about import ABOUT
from equibench_models.contract import Component, Config, Model, Shape, Showing
from equibench_models.gan_components import components
from equibench_models.layers import (
    Average,
    Mixer,
    ResBlock,
    conv,
    in_batches,
    learning_rate,
    rows,
    step,
    to_float,
    to_uint8,
)
from equibench_models.muon import optimizers


class GANConfig(Config):
    """Settings of both players and of their training."""

    knobs: ClassVar[tuple[str, ...]] = ("width", "latent")

    learning_rate: float = Field(1.5e-3, gt=0, description="greatest step size of Adam, of both players")
    batch_size: int = Field(6, ge=4, description="images an update")
    optimizer: Literal["adam", "muon"] = Field("adam", description="of the weights of layers; the rest is Adam's")
    latent: int = Field(64, ge=1, description="size of the noise vector")
    fine_share: float = Field(1.0, gt=0, le=8, description="channels at half the side, as a share of width")
    fine_blocks: int = Field(0, ge=0, description="the generator's residual blocks at half the side")
    generator_blocks: int = Field(1, ge=0, description="its residual blocks at a quarter of the side")
    discriminator_fine_blocks: int = Field(0, ge=0, description="the discriminator's, at half the side")
    discriminator_blocks: int = Field(1, ge=0, description="its residual blocks at a quarter of the side")
    penalty: float = Field(3.0, ge=0, description="weight gamma of the gradient penalties at the start")
    penalty_end: float = Field(1.0, ge=0, description="and at the end; the way between is geometric")
    penalty_share: float = Field(0.125, gt=0, le=1, description="of the batch, on which penalties are taken")
    average_gamma: float = Field(5.0, ge=0)
    leak: float = Field(0.1, ge=0, le=1, description="slope outside [-1, 1] of the images that the critic is shown")
    momentum: float = Field(0.5, ge=0, lt=1, description="of Muon, in both players; Adam's is 0")
    mixed: int = Field(0, ge=0, description="channels of the generator's coarse map that dense layers mix; 0: none")
    hidden: int = Field(96, ge=1, description="hidden units of those layers")
    one_stage: bool = Field(True, description="both players step from one pass through the critic, not in turns")


class _Leaky(torch.autograd.Function):
    """Leaky ReLU, twice differentiable. Torch's own has a second derivative of zeros, which a gradient penalty would
    carry through all layers below for nothing.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        slope = torch.where(x > 0, torch.ones((), dtype=x.dtype, device=x.device), 0.2)
        ctx.save_for_backward(slope)
        return x * slope

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        found: Tensor = gradient * slope
        return found


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _critic_leaky(x: Tensor) -> Tensor:
    out: Tensor = _Leaky.apply(x)
    return out


def _blocks(width: int, n: int, activation: Callable[[Tensor], Tensor] = _leaky) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(width, activation=activation) for _ in range(n)))


class GeneratorNetwork(nn.Module):
    """Noise `[B, latent]` -> images `[B, C, H, W]` in [-1, 1] once trained: no squashing, whose
    saturation at black would leave an all-black generator nothing to learn from.
    """

    def __init__(self, config: GANConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        self.start_shape = (config.width, height // 4, width // 4)
        self.start = nn.Linear(config.latent, math.prod(self.start_shape))  # many parameters, next to no FLOPs
        places = height // 4, width // 4
        self.mixer = Mixer(config.width, config.mixed, config.hidden, places) if config.mixed else nn.Identity()
        self.coarse = _blocks(config.width, config.generator_blocks)
        fine = max(1, round(config.fine_share * config.width))
        self.up = conv(config.width, 4 * fine, 1)
        self.fine = _blocks(fine, config.fine_blocks)
        self.head = conv(fine, 4 * channels, gain=0.5)

    def forward(self, z: Tensor) -> Tensor:
        start = self.start(z).unflatten(1, self.start_shape)
        h = self.coarse(self.mixer(start.contiguous(memory_format=torch.channels_last)))
        h = self.fine(F.pixel_shuffle(self.up(h), 2))
        with torch.autocast(z.device.type, enabled=False):  # bfloat16 would round images to seven bits
            return F.pixel_shuffle(self.head(_leaky(h.float())), 2)


class Discriminator(nn.Module):
    """Images in [-1, 1] -> one critic value each `[B]`, greater for more real."""

    def __init__(self, config: GANConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        fine = max(1, round(config.fine_share * config.width))
        self.stem = conv(4 * channels, fine)
        self.fine = _blocks(fine, config.discriminator_fine_blocks, _critic_leaky)
        self.down = conv(4 * fine, config.width, 1)
        self.body = _blocks(config.width, config.discriminator_blocks, _critic_leaky)
        self.pool = nn.Parameter(torch.randn(config.width, height // 4, width // 4) / math.sqrt(height * width / 16))
        self.out = nn.Linear(config.width, 1, bias=False)  # the pairing would cancel a bias

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(self.down(F.pixel_unshuffle(self.fine(self.stem(F.pixel_unshuffle(x, 2))), 2)))
        pooled = (self.pool * _critic_leaky(h)).sum(dim=(2, 3))  # each map by weights of its own
        value: Tensor = self.out(_critic_leaky(pooled))
        return value.float()[:, 0]


class GAN(Model):
    """Two players, each image paired with a sample (Huang et al. 2024, eqs. 2 and 9):

    D minimises softplus(D(G(z)) - D(x)) + gamma/2 (|grad D(x)|^2 + |grad D(G(z))|^2), G softplus(D(x) - D(G(z))).
    """

    config_type = GANConfig
    config: GANConfig
    likelihood = "none"
    dequantization = None
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    differentiated_twice = ("discriminator",)  # by the gradient penalties
    shared = True
    about = ABOUT["gan"]

    def __init__(self, config: GANConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.generator = GeneratorNetwork(config, shape).to(memory_format=torch.channels_last)
        self.discriminator = Discriminator(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.generator, config.average_gamma)
        self.latent_dims = config.latent
        players = (
            optimizers(player, config.optimizer, (0.0, 0.99), 0.0, edges=edges, momentum=config.momentum)
            for player, edges in ((self.generator, ("start", "head")), (self.discriminator, ("stem", "out")))
        )
        (self._generator_muon, self._generator_adam), (self._discriminator_muon, self._discriminator_adam) = players

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        """A step of each player, from one pass through the critic or in turns."""
        config = self.config
        rate = learning_rate(config.learning_rate, progress)
        gamma = config.penalty * (config.penalty_end / config.penalty) ** progress if config.penalty else 0.0
        n, part = len(images), self.part
        real = to_float(part.of(images))
        fake = self.generator(part.of(torch.randn(n, config.latent, device=images.device)))
        # beyond black and white, where samples are clipped, what differs matters less, but still pulls back
        fake = config.leak * fake + (1 - config.leak) * fake.clamp(-1, 1)
        losses = (self._one_stage if config.one_stage else self._in_turns)(real, fake, n, gamma, rate)
        self.average.update(self.generator)
        return losses

    def _in_turns(self, real: Tensor, fake: Tensor, n: int, gamma: float, rate: float) -> dict[str, Tensor]:
        """A turn of the discriminator, then one of the generator. `n` is of the whole batch."""
        fixed, few = fake.detach(), self.part.count(self._penalized(n))
        real_value, fake_value = self.discriminator(torch.cat([real, fixed])).chunk(2)
        penalties = self._penalty(torch.cat([real[:few], fixed[:few]]))
        losses = self._step_of_critic(real_value, fake_value, penalties, n, gamma, rate)

        self.discriminator.requires_grad_(False)  # no gradients for weights that this turn does not change
        generator_loss = self.part.mean(F.softplus(real_value.detach() - self.discriminator(fake)), n)
        step((self._generator_muon, self._generator_adam), generator_loss, rate, self.part)
        self.discriminator.requires_grad_(True)
        return {**losses, "generator_loss": generator_loss}

    def _one_stage(self, real: Tensor, fake: Tensor, n: int, gamma: float, rate: float) -> dict[str, Tensor]:
        """Both players step from one pass through the critic (Shen et al. 2021). With r and f the values of a pair, the
        generator's gradient at a sample is the discriminator's times -sigmoid(r - f) / sigmoid(f - r) = -exp(r - f).
        `n` is of the whole batch.
        """
        here, few = len(real), self.part.count(self._penalized(n))
        fixed = fake.detach()
        first, slope = self._with_slope(torch.cat([real[:few], fixed[:few]]))
        rest = fixed[few:].clone().requires_grad_(True)
        others = self.discriminator(torch.cat([real[few:], rest])) if few < here else first[:0]
        real_value = torch.cat([first[:few], others[: here - few]])
        fake_value = torch.cat([first[few:], others[here - few :]])
        penalties = slope.float().square().sum(dim=(1, 2, 3))
        losses = self._step_of_critic(real_value, fake_value, penalties, n, gamma, rate)
        with torch.no_grad():
            lead = real_value - fake_value
            each = lead[:, None, None, None]
            at_first = -torch.sigmoid(each[:few]) / n * slope[few:].float()
            slope_of_rest = rest if rest.grad is None else rest.grad.float()  # none is left where all had a penalty
            at_rest = -each[few:].clamp(max=30).exp() * slope_of_rest
            gradient = torch.cat([at_first, at_rest])
            generator_loss = self.part.mean(F.softplus(lead), n)
        step((self._generator_muon, self._generator_adam), (fake * gradient).sum(), rate, self.part)
        return {**losses, "generator_loss": generator_loss}

    def _step_of_critic(
        self, real_value: Tensor, fake_value: Tensor, penalties: Tensor, n: int, gamma: float, rate: float
    ) -> dict[str, Tensor]:
        """Its step on the values of pairs and the penalties of real, then as many generated images; its losses."""
        part, few = self.part, self._penalized(n)
        here = len(penalties) // 2
        real_penalty, fake_penalty = (part.mean(half, few) for half in (penalties[:here], penalties[here:]))
        loss = part.mean(F.softplus(fake_value - real_value), n)
        penalty = real_penalty + fake_penalty
        step((self._discriminator_muon, self._discriminator_adam), loss + gamma / 2 * penalty, rate, part)
        return {
            "discriminator_loss": loss,
            "discriminator_accuracy": part.mean((real_value > fake_value).float(), n),
            "real_gradient_penalty": real_penalty,
            "fake_gradient_penalty": fake_penalty,
        }

    def _penalized(self, n: int) -> int:
        """Of n pairs, those that penalties are taken on."""
        return max(1, round(self.config.penalty_share * n))

    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError("a GAN has no likelihood")

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250) -> Tensor:
        z = torch.randn(n, self.config.latent, generator=generator, device=generator.device)
        return in_batches(lambda z: to_uint8(self.average.network(z)), batch_size, [z])

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.average.network(z)
        return images.clamp(-1, 1)

    @torch.no_grad()
    def show(self, images: Tensor, generator: Generator) -> Showing:
        device = images.device
        fake = self.sample(len(images), generator)
        real_value, fake_value = self.discriminator(to_float(images)), self.discriminator(to_float(fake))
        ends = torch.randn(2, 4, self.config.latent, generator=generator, device=device)
        # along the great circle, where normal noise of many dimensions lies
        angle = torch.linspace(0, math.pi / 2, 12, device=device)[:, None, None]
        between = torch.cos(angle) * ends[0] + torch.sin(angle) * ends[1]
        path = to_uint8(self.average.network(between.flatten(0, 1))).unflatten(0, (12, 4)).transpose(0, 1)
        return Showing(
            # every test image against every sample: 0.5 is chance, 1 a discriminator that is never fooled
            numbers={
                "discriminator_accuracy_on_test": float((real_value[:, None] > fake_value).float().mean()),
            },
            pictures={"interpolation": ("From one noise vector to another, four times", rows(*path))},
        )

    def components(self) -> list[Component]:
        return components(self.config, self.shape, self.discriminator, self.generator)

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return [(self.config.latent,)]

    def sampling_parameters(self) -> int:
        return sum(p.numel() for p in self.generator.parameters())

    def _penalty(self, x: Tensor) -> Tensor:
        """|grad D(x)|^2 of every image `[B]`, differentiable by D's weights (Mescheder et al. 2018, R1 and R2)."""
        return self._with_slope(x)[1].float().square().sum(dim=(1, 2, 3))

    def _with_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D(x) `[B]` and grad D(x), both differentiable by D's weights. There may be no images."""
        if not len(x):
            return x.new_zeros(0), x
        # times one: FLOP counting hooks gradients, and cannot where x is a leaf
        x = x.detach().requires_grad_(True) * 1
        value = self.discriminator(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return value, slope
