"""The invertible network of the flow, and its dequantizer."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equibench_models.contract import Shape
from equibench_models.flow.couplings import Conditioner, DenseCoupling, FlowConfig, Scale, checkerboard
from equibench_models.layers import ResBlock, conv

SCALES = 2  # 28 -> 14 -> 7 or 32 -> 16 -> 8


class Dequantizer(nn.Module):
    """q(u | x): where in its bin every pixel lies, a logistic variable squashed to (0, 1) (Ho et al. 2019, eq. 11)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(4 * channels, width), ResBlock(width), nn.SiLU())
        self.head = conv(width, 8 * channels, 1, gain=0.1)

    def forward(self, x: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """x in [-1, 1], uniform numbers of the same shape -> u in (0, 1), log q(u | x) in nats `[B]`."""
        raw = self.head(self.body(F.pixel_unshuffle(x, 2))).float()
        mean, log_scale = (F.pixel_shuffle(half, 2) for half in raw.chunk(2, dim=1))
        log_scale = log_scale.clamp(-4, 2)
        noise = logistic(uniform)
        t = mean + torch.exp(log_scale) * noise
        log_q = log_logistic(noise) - log_scale - log_logistic(t)  # du/dt = s(t) s(-t), the logistic density itself
        return torch.sigmoid(t), log_q.sum(dim=(1, 2, 3))


class FlowNetwork(nn.Module):
    """An invertible map between dequantized images y in [-1, 1] and logistic noise, and the dequantizer. With classes
    every coupling reads what is told of the label, `[B, classes]`, so that each label has a map of its own.
    """

    def __init__(self, config: FlowConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = shape
        coarse, fine = (max(1, round(share * config.width)) for share in (config.coarse_share, config.fine_share))
        widths = [fine] * (SCALES - 1) + [coarse]
        coarsest = height >> SCALES, width >> SCALES
        mixed = [None] * (SCALES - 1) + [coarsest]
        self.scales = nn.ModuleList(
            Scale(channels, w, config, n, places)
            for w, n, places in zip(widths, (config.fine_couplings, config.middle_couplings), mixed, strict=True)
        )
        # the first two couplings see pixels, later ones what those made of them
        self.coarsest = nn.ModuleList(
            Conditioner(channels + 1, channels, coarse, config, pixels=i < 2, places=coarsest)
            for i in range(config.couplings)
        )
        dims = channels * (height >> SCALES) * (width >> SCALES)
        self.dense = nn.ModuleList(
            DenseCoupling(dims, config) for _ in range(config.dense_couplings if dims > 1 else 0)
        )
        self.dequantizer = Dequantizer(channels, config.dequantization_width)
        self.board: Tensor
        self.register_buffer("board", checkerboard(height // 4, width // 4), persistent=False)

    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shapes of the noise maps, in the order of `forward`."""
        channels, height, width = self.shape
        shapes = [(channels, height >> s, width >> s) for s in range(1, SCALES + 1) for _ in range(3)]
        return [*shapes, (channels, height >> SCALES, width >> SCALES)]

    def forward(self, y: Tensor, label: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """-> noise maps (`noise_shapes`) and log |det dz/dy| in nats `[B]`."""
        log_det = torch.zeros(len(y), device=y.device)
        noise: list[Tensor] = []
        for scale in self.scales:
            y, maps, log_slopes = scale(y, label)
            noise += maps
            log_det = log_det + log_slopes
        for i, conditioner in enumerate(self.coarsest):
            known = self._known(i)
            z, log_slope = conditioner(known * y, known.expand(len(y), -1, -1, -1), label=label).to_logistic(y)
            y = torch.where(known.bool(), y, z)
            log_det = log_det + ((1 - known) * log_slope).sum(dim=(1, 2, 3))
        vector = y.flatten(1)
        for coupling in self.dense:
            vector, log_slope = coupling(vector, label)
            log_det = log_det + log_slope
        return [*noise, vector.view_as(y)], log_det

    def inverse(self, noise: list[Tensor], label: Tensor | None = None) -> Tensor:
        """Noise maps -> y `[B, C, H, W]`."""
        return self.unfold([*noise[:-1], self.unmix(noise[-1], label)], label)

    def unmix(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """The inverse of the dense couplings alone: the last noise map -> the coarsest map, both `[B, C, H, W]`."""
        vector = z.flatten(1)
        for coupling in reversed(cast(list[DenseCoupling], list(self.dense))):
            vector = coupling.inverse(vector, label)
        return vector.view_as(z)

    def unfold(self, maps: list[Tensor], label: Tensor | None = None) -> Tensor:
        """The inverse of all others: noise maps and, last, the coarsest map -> y `[B, C, H, W]`."""
        *maps, y = maps
        for i, conditioner in reversed(list(enumerate(self.coarsest))):
            known = self._known(i)
            mixture = conditioner(known * y, known.expand(len(y), -1, -1, -1), label=label)
            y = torch.where(known.bool(), y, mixture.from_logistic(y))
        for scale in reversed(cast(list[Scale], list(self.scales))):
            maps, own = maps[:-3], maps[-3:]
            y = scale.inverse(y, own, label)
        return y

    def log_density(self, y: Tensor, label: Tensor | None = None) -> Tensor:
        """log p(y) in nats `[B]`: change of variables to independent standard logistic noise."""
        noise, log_density = self.forward(y, label)
        for z in noise:
            log_density = log_density + log_logistic(z).sum(dim=(1, 2, 3))
        return log_density

    def _known(self, i: int) -> Tensor:
        """Coupling i's mask: 1 where values are given, 0 where they are transformed; the colours alternate."""
        return self.board if i % 2 == 0 else 1 - self.board


def logistic(uniform: Tensor) -> Tensor:
    """Uniform numbers -> standard logistic ones; the ends are clipped, beyond which float32 has no digits."""
    return torch.logit(uniform.clamp(1e-6, 1 - 1e-6))


def log_logistic(z: Tensor) -> Tensor:
    """log density of the standard logistic distribution."""
    return F.logsigmoid(z) + F.logsigmoid(-z)
