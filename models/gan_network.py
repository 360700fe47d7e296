"""The GAN's config and its two players: generator and discriminator, residual networks without normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from equibench_models.contract import LabelledConfig, Shape
from equibench_models.layers import Mixer, ResBlock, conv


class GANConfig(LabelledConfig):
    """Settings of both players and of their training."""

    knobs: ClassVar[tuple[str, ...]] = ("width", "latent")

    learning_rate: float = Field(1.5e-3, gt=0, description="greatest step size of Adam, of both players")
    batch_size: int = Field(6, ge=4, description="images an update")
    optimizer: Literal["adam", "muon"] = Field("adam", description="of the weights of layers; the rest is Adam's")
    weight_decay: float = Field(
        0.0, ge=0, description="each update subtracts this times the step size times the weight"
    )
    latent: int = Field(64, ge=1, description="size of the noise vector")
    fine_share: float = Field(1.0, gt=0, le=8, description="channels at half the side, as a share of width")
    fine_blocks: int = Field(0, ge=0, description="the generator's residual blocks at half the side")
    generator_blocks: int = Field(1, ge=0, description="its residual blocks at a quarter of the side")
    discriminator_fine_blocks: int = Field(0, ge=0, description="the discriminator's, at half the side")
    discriminator_blocks: int = Field(1, ge=0, description="its residual blocks at a quarter of the side")
    penalty: float = Field(3.0, ge=0, description="weight gamma of the gradient penalties at the start")
    penalty_end: float = Field(1.0, gt=0, description="and at the end; the way between is geometric")
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
    """Noise `[B, latent]` -> images `[B, C, H, W]`, about in [-1, 1] once trained. Nothing squashes the output: a
    squashing function saturates at black, which would leave an all-black generator nothing to learn from. With classes
    the label's vector `[B, classes]` is joined to the noise, scaled to the length that noise has on average.
    """

    def __init__(self, config: GANConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        self.start_shape = (config.width, height // 4, width // 4)
        self.label_length = math.sqrt(config.latent)
        # many parameters, next to no FLOPs
        self.start = nn.Linear(config.latent + config.classes, math.prod(self.start_shape))
        places = height // 4, width // 4
        self.mixer = Mixer(config.width, config.mixed, config.hidden, places) if config.mixed else nn.Identity()
        self.coarse = _blocks(config.width, config.generator_blocks)
        fine = max(1, round(config.fine_share * config.width))
        self.up = conv(config.width, 4 * fine, 1)
        self.fine = _blocks(fine, config.fine_blocks)
        self.head = conv(fine, 4 * channels, gain=0.5)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if label is not None:
            z = torch.cat([z, self.label_length * label], dim=1)
        start = self.start(z).unflatten(1, self.start_shape)
        h = self.coarse(self.mixer(start.contiguous(memory_format=torch.channels_last)))
        h = self.fine(F.pixel_shuffle(self.up(h), 2))
        with torch.autocast(z.device.type, enabled=False):  # bfloat16 would round images to seven bits
            return F.pixel_shuffle(self.head(_leaky(h.float())), 2)


class Discriminator(nn.Module):
    """Images in [-1, 1] -> one critic value each `[B]`, greater for more real. With classes it gains the product of
    what the value is read from and a vector of the label's own (Miyato and Koyama 2018, eq. 4).
    """

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
        self.label = nn.Linear(config.classes, config.width, bias=False) if config.classes else None

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        features = self.features(x)
        value: Tensor = self.out(features)
        if self.label is not None:
            value = value + (self.label(label) * features).sum(dim=1, keepdim=True)
        return value.float()[:, 0]

    def features(self, x: Tensor) -> Tensor:
        """What the value is read from, `[B, width]`."""
        h = self.body(self.down(F.pixel_unshuffle(self.fine(self.stem(F.pixel_unshuffle(x, 2))), 2)))
        return _critic_leaky((self.pool * _critic_leaky(h)).sum(dim=(2, 3)))  # each map by weights of its own
