"""The network that estimates images from noisy ones."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from equibench_models.contract import LabelledConfig, Shape
from equibench_models.diffusion.process import signal_and_noise
from equibench_models.layers import Mixer, ResBlock, conv

FOURIER = (8, 32)  # times pi x: periods of 32 and of 8 levels, which lift noise of one level to the network's scale


class DiffusionConfig(LabelledConfig):
    """Settings of the diffusion model: network, training, noise levels and bound."""

    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden")

    learning_rate: float = Field(3e-3, gt=0, description="greatest step size of Adam")
    batch_size: int = Field(16, ge=4, description="images an update")
    fine_blocks: int = Field(1, ge=1, description="residual blocks at half the side, before and again after the others")
    coarse_blocks: int = Field(2, ge=1, description="residual blocks at a quarter of the side")
    fine_share: float = Field(0.5, gt=0, le=8, description="channels at half the side, as a share of width")
    basis: int = Field(8, ge=0, description="channels of the coarse map that dense layers mix over all places; 0: none")
    hidden: int = Field(128, ge=1, description="hidden units of those layers")
    places: bool = Field(True, description="learned maps tell the coarse blocks where they are")
    condition: int = Field(64, ge=1, description="size of the vector that tells the network the noise level")
    chain_steps: int = Field(1000, ge=2, le=100_000, description="T, steps of the chain whose bound is reported")
    greatest: float = Field(9.6, description="log signal-to-noise ratio of step 1: noise of a grey level")
    least: float = Field(-9.0, description="and of step T, where next to no signal is left")
    even_share: float = Field(0.25, ge=0, le=1, description="of a batch with noise levels drawn evenly, as the bound")
    focus_mean: float = Field(2.0, description="mean over the rest of the log signal-to-noise ratio, as samples need")
    focus_std: float = Field(2.4, gt=0)
    deviation_weight: float = Field(0.1, ge=0, description="of the bound's gradient into the learned deviations")
    bound_steps: int = Field(2, ge=1, le=1000, description="chain steps drawn an image to estimate the bound")
    average_gamma: float = Field(20.0, ge=0)

    @model_validator(mode="after")
    def _noise_rises(self) -> Self:
        if self.least >= self.greatest:
            raise ValueError(f"least ({self.least:g}) must be below greatest ({self.greatest:g})")
        return self


class Denoiser(nn.Module):
    """Noisy images `[B, C, H, W]`, log signal-to-noise ratios `[B]` -> v and deviation codes, both `[B, C, H, W]`. With
    classes a vector of the label's own is added to what the network is told of the noise level.
    """

    def __init__(self, config: DiffusionConfig, shape: Shape) -> None:
        super().__init__()
        channels, c, size = shape[0], config.width, config.condition
        fine, places = max(1, round(config.fine_share * c)), (shape[1] // 4, shape[2] // 4)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.logspace(-1, 1, 16) / 4, persistent=False)
        self.embed = nn.Sequential(nn.Linear(33, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU())
        self.stem = conv(4 * channels * (1 + 2 * len(FOURIER)), fine)
        self.before = nn.ModuleList(ResBlock(fine, size) for _ in range(config.fine_blocks))
        self.down = conv(4 * fine, c, 1)
        self.places = nn.Parameter(0.1 * torch.randn(c, *places)) if config.places else None
        self.coarse = nn.ModuleList(ResBlock(c, size) for _ in range(config.coarse_blocks))
        mixers = config.coarse_blocks if config.basis else 0
        self.mixers = nn.ModuleList(Mixer(c, config.basis, config.hidden, places, size) for _ in range(mixers))
        self.up = conv(c, 4 * fine, 1, gain=0.5)
        self.after = nn.ModuleList(ResBlock(fine, size) for _ in range(config.fine_blocks))
        self.head = conv(fine, 8 * channels, gain=0)
        self.label = nn.Linear(config.classes, size, bias=False) if config.classes else None

    def forward(self, z: Tensor, lam: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        condition = self._condition(lam, label)
        h = self._fine(z, condition)
        h = h + F.pixel_shuffle(self.up(F.silu(self._coarse(h, condition))), 2)
        for block in self.after:
            h = block(h, condition)
        with torch.autocast(z.device.type, enabled=False):
            v, code = self.head(F.silu(h.float())).chunk(2, dim=1)
        return F.pixel_shuffle(v, 2), F.pixel_shuffle(code, 2)

    def features(self, z: Tensor, lam: Tensor, label: Tensor | None = None) -> Tensor:
        """Means over all places of its coarsest maps, `[B, width]`."""
        condition = self._condition(lam, label)
        means: Tensor = self._coarse(self._fine(z, condition), condition).float().mean(dim=(2, 3))
        return means

    def _condition(self, lam: Tensor, label: Tensor | None) -> Tensor:
        """What every block is told, `[B, condition]`."""
        angles = lam[:, None] * self.frequencies
        told = torch.cat([angles.sin(), angles.cos(), lam[:, None] / 5], dim=1)
        before: Tensor = self.embed[:-1](told)  # the last is the activation
        condition: Tensor = self.embed[-1](before if self.label is None else before + self.label(label))
        return condition

    def _fine(self, z: Tensor, condition: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(z, 2)
        waves = [wave(math.pi * k * folded) for k in FOURIER for wave in (torch.sin, torch.cos)]
        with torch.autocast(z.device.type, enabled=False):  # noise of one level is below bfloat16's digits
            h: Tensor = self.stem(torch.cat([folded, *waves], dim=1).contiguous(memory_format=torch.channels_last))
        for block in self.before:
            h = block(h, condition)
        return h

    def _coarse(self, h: Tensor, condition: Tensor) -> Tensor:
        g: Tensor = self.down(F.pixel_unshuffle(h, 2))
        if self.places is not None:
            g = g + self.places
        for i, block in enumerate(self.coarse):
            g = block(g, condition)
            if self.mixers:
                g = self.mixers[i](g, condition)
        return g


def predict(network: nn.Module, z: Tensor, lam: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Noisy images z `[B, C, H, W]` at `lam` `[B]`, with classes `label` `[B, classes]` -> the estimate of the clean
    images, x = a z - s v, and the deviation codes, both of the shape of z.
    """
    a, s = signal_and_noise(lam)
    v, code = network(z, lam) if label is None else network(z, lam, label)
    return a * z - s * v, code
