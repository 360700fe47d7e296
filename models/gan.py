"""Generative adversarial network: relativistic pairing with zero-centred gradient penalties on real and fake images.

Goodfellow et al. 2014 for the family; the objective is that of Huang et al. 2024 (R3GAN), whose local convergence they
prove; residual networks without normalisation, learning rate and penalty annealed with the budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from equibench_models.about import ABOUT
from equibench_models.contract import Component, Model, Shape, Showing
from equibench_models.gan_components import components
from equibench_models.gan_network import Discriminator, GANConfig, GeneratorNetwork
from equibench_models.layers import (
    Average,
    Scalar,
    in_batches,
    learning_rate,
    rows,
    step,
    to_float,
    to_uint8,
)
from equibench_models.muon import optimizers


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
    capturable = True
    about = ABOUT["gan"]

    def __init__(self, config: GANConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.generator = GeneratorNetwork(config, shape).to(memory_format=torch.channels_last)
        self.discriminator = Discriminator(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.generator, config.average_gamma)
        if not config.classes:  # a generator of the noise alone
            self.latent_dims = config.latent
        decay, momentum = config.weight_decay, config.momentum
        self._generator_muon, self._generator_adam = optimizers(
            self.generator, config.optimizer, (0.0, 0.99), decay, edges=("start", "head"), momentum=momentum
        )
        self._discriminator_muon, self._discriminator_adam = optimizers(
            self.discriminator, config.optimizer, (0.0, 0.99), decay, edges=("stem", "out", "label"), momentum=momentum
        )

    def update(self, images: Tensor, progress: Scalar = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """A step of each player, from one pass through the critic or in turns. With classes both images of a pair have
        the label of the real one.
        """
        config = self.config
        rate = learning_rate(config.learning_rate, progress)
        gamma = config.penalty * (config.penalty_end / config.penalty) ** progress if config.penalty else 0.0
        n, part = len(images), self.part
        real, label = to_float(part.of(images)), self.one_hot(labels if labels is None else part.of(labels))
        fake = self.generator(part.of(torch.randn(n, config.latent, device=images.device)), label)
        # beyond black and white, where samples are clipped, what differs matters less, but still pulls back
        fake = config.leak * fake + (1 - config.leak) * fake.clamp(-1, 1)
        losses = (self._one_stage if config.one_stage else self._in_turns)(real, fake, label, n, gamma, rate)
        self.average.update(self.generator)
        return losses

    def _in_turns(
        self, real: Tensor, fake: Tensor, label: Tensor | None, n: int, gamma: Scalar, rate: Scalar
    ) -> dict[str, Tensor]:
        """A turn of the discriminator, then one of the generator. `n` is of the whole batch."""
        fixed, few = fake.detach(), self.part.count(self._penalized(n))
        real_value, fake_value = self.discriminator(torch.cat([real, fixed]), _twice(label)).chunk(2)
        penalties = self._penalty(torch.cat([real[:few], fixed[:few]]), _twice(label, few))
        losses = self._step_of_critic(real_value, fake_value, penalties, n, gamma, rate)

        self.discriminator.requires_grad_(False)  # no gradients for weights that this turn does not change
        generator_loss = self.part.mean(F.softplus(real_value.detach() - self.discriminator(fake, label)), n)
        step((self._generator_muon, self._generator_adam), generator_loss, rate, self.part)
        self.discriminator.requires_grad_(True)
        return {**losses, "generator_loss": generator_loss}

    def _one_stage(
        self, real: Tensor, fake: Tensor, label: Tensor | None, n: int, gamma: Scalar, rate: Scalar
    ) -> dict[str, Tensor]:
        """Both players step from one pass through the critic (Shen et al. 2021). With r and f the values of a pair, the
        generator's gradient at a sample is the discriminator's times -sigmoid(r - f) / sigmoid(f - r) = -exp(r - f).
        `n` is of the whole batch.
        """
        penalized, fixed = self.part.count(self._penalized(n)), fake.detach()
        values, slope = self._with_slope(torch.cat([real[:penalized], fixed[:penalized]]), _twice(label, penalized))
        real_value, fake_value = values.chunk(2)
        rest = fixed[penalized:].clone().requires_grad_(True)
        if len(rest):
            of_rest = _twice(None if label is None else label[penalized:])
            real_rest, fake_rest = self.discriminator(torch.cat([real[penalized:], rest]), of_rest).chunk(2)
            real_value, fake_value = torch.cat([real_value, real_rest]), torch.cat([fake_value, fake_rest])
        penalties = slope.float().square().sum(dim=(1, 2, 3))
        losses = self._step_of_critic(real_value, fake_value, penalties, n, gamma, rate)
        with torch.no_grad():
            lead = real_value - fake_value
            by_image = lead[:, None, None, None]
            at_penalized = -torch.sigmoid(by_image[:penalized]) / n * slope[penalized:].float()
            slope_of_rest = torch.zeros_like(rest) if rest.grad is None else rest.grad.float()  # or none is left
            # the critic's own slope has the factor sigmoid(f - r), which -exp(r - f) turns into the generator's; with a
            # lead beyond 60 that factor is so small that float32 might lose it
            at_rest = -by_image[penalized:].clamp(max=60).exp() * slope_of_rest
            gradient = torch.cat([at_penalized, at_rest])
            generator_loss = self.part.mean(F.softplus(lead), n)
        step((self._generator_muon, self._generator_adam), (fake * gradient).sum(), rate, self.part)
        return {**losses, "generator_loss": generator_loss}

    def _step_of_critic(
        self, real_value: Tensor, fake_value: Tensor, penalties: Tensor, n: int, gamma: Scalar, rate: Scalar
    ) -> dict[str, Tensor]:
        """Take the critic's step, and give its losses. `penalties` are of real, then of as many generated images."""
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
        """How many of n pairs the penalties are taken on."""
        return max(1, round(self.config.penalty_share * n))

    def nats(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError("a GAN has no likelihood")

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250, labels: Tensor | None = None) -> Tensor:
        label = self.sample_labels(n, generator, labels)
        z = torch.randn(n, self.config.latent, generator=generator, device=generator.device)
        inputs = [z] if label is None else [z, label]
        return in_batches(lambda *slices: to_uint8(self.average.network(*slices)), batch_size, inputs)

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.average.network(z)
        return images.clamp(-1, 1)

    @torch.no_grad()
    def show(self, images: Tensor, generator: Generator) -> Showing:
        device, frequencies = images.device, self.label_frequencies(len(images))
        fake = self.sample(len(images), generator)
        real_value, fake_value = (self.discriminator(to_float(one), frequencies) for one in (images, fake))
        ends = torch.randn(2, 4, self.config.latent, generator=generator, device=device)
        # along the great circle, where normal noise of many dimensions lies
        angle = torch.linspace(0, math.pi / 2, 12, device=device)[:, None, None]
        between = torch.cos(angle) * ends[0] + torch.sin(angle) * ends[1]
        label = self.sample_labels(4, generator, None)
        label = None if label is None else label.repeat(12, 1)
        path = to_uint8(self.average.network(between.flatten(0, 1), label)).unflatten(0, (12, 4)).transpose(0, 1)
        return Showing(
            # every test image against every sample: 0.5 is chance, 1 a discriminator that is never fooled
            numbers={
                "discriminator_accuracy_on_test": float((real_value[:, None] > fake_value).float().mean()),
            },
            pictures={"interpolation": ("From one noise vector to another, four times", rows(*path))},
        )

    @torch.no_grad()
    def represent(self, images: Tensor, _generator: Generator) -> Mapping[str, Tensor]:
        """The discriminator's last features, from which it computes its value."""
        return {"discriminator": self.discriminator.features(to_float(images)).float()}

    def components(self) -> list[Component]:
        return components(self.config, self.shape, self.discriminator, self.generator)

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return [(self.config.latent,)]

    def sampling_parameters(self) -> int:
        return sum(p.numel() for p in self.generator.parameters())

    def _penalty(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """|grad D(x)|^2 of every image `[B]`, differentiable by D's weights (Mescheder et al. 2018, R1 and R2)."""
        return self._with_slope(x, label)[1].float().square().sum(dim=(1, 2, 3))

    def _with_slope(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """D(x) `[B]` and grad D(x), both differentiable by D's weights. There may be no images."""
        if not len(x):
            return x.new_zeros(0), x
        # multiplied by one so that x is no leaf: FLOP counting hooks gradients, which it cannot do at a leaf
        x = x.detach().requires_grad_(True) * 1
        value = self.discriminator(x, label)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return value, slope


def _twice(label: Tensor | None, n: int | None = None) -> Tensor | None:
    """Labels of the first n pairs, for their real images and then for the generated ones."""
    return None if label is None else torch.cat([label[:n], label[:n]])
