"""The invertible network of the flow, and its dequantizer."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from equibench_models.contract import Config, Shape
from equibench_models.layers import LogisticMixture, Mixer, ResBlock, conv

SCALES = 2  # 28 -> 14 -> 7 or 32 -> 16 -> 8
KEPT, DIAGONAL, RIGHT, BELOW = 0, 3, 1, 2  # a 2x2 block in the order of pixel_unshuffle


class FlowConfig(Config):
    """Settings of the flow: couplings, dequantizer and training."""

    width: int = Field(112, ge=8, description="hidden units of the dense couplings")
    batch_size: int = Field(32, ge=1, description="images an update")
    learning_rate: float = Field(3e-3, gt=0, description="greatest step size of Adam")
    components: int = Field(6, ge=1, description="logistics in the mixture of every transformed value")
    depth: int = Field(1, ge=1, description="residual blocks a conditioning network")
    coarse_share: float = Field(0.5, gt=0, description="channels of the coarser convolutions, as a share of width")
    fine_share: float = Field(0.375, gt=0, description="and of the finer ones")
    fine_couplings: int = Field(2, description="couplings of the finer scale")
    middle_couplings: int = Field(2, description="and of the coarser one")
    couplings: int = Field(2, ge=2, description="checkerboard couplings of the coarsest map")
    dense_couplings: int = Field(4, ge=0, description="couplings of that map as a vector, after those")
    dense_components: int = Field(4, ge=1, description="logistics in their mixtures")
    mixed: int = Field(
        0, ge=0, description="channels of the coarser maps that dense layers mix over all places; 0: none"
    )
    hidden: int = Field(64, ge=1, description="hidden units of those layers")
    dequantization_width: int = Field(24, ge=1)
    average_gamma: float = Field(10.0, ge=0)


def split(y: Tensor) -> tuple[Tensor, ...]:
    """`[B, C, H, W]` -> the polyphase components kept, diagonal, right and below, each `[B, C, H/2, W/2]`."""
    n, channels, height, width = y.shape
    phases = F.pixel_unshuffle(y, 2).reshape(n, channels, 4, height // 2, width // 2)
    return tuple(phases[:, :, i] for i in (KEPT, DIAGONAL, RIGHT, BELOW))


def join(kept: Tensor, diagonal: Tensor, right: Tensor, below: Tensor) -> Tensor:
    """The inverse of `split`."""
    return F.pixel_shuffle(torch.stack([kept, right, below, diagonal], dim=2).flatten(1, 2), 2)


class Conditioner(nn.Module):
    """Known values `[B, inputs, h, w]` -> the mixtures of `channels` values at every place. With `places`, (h, w), all
    of them are mixed first.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        width: int,
        config: FlowConfig,
        *,
        pixels: bool,
        places: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.components, self.pixels = channels, config.components, pixels
        self.stem = conv(inputs, width)
        mixers = [Mixer(width, config.mixed, config.hidden, places)] if places and config.mixed else []
        self.body = nn.Sequential(*mixers, *(ResBlock(width) for _ in range(config.depth)))
        self.head = conv(width, LogisticMixture.size(channels, config.components), 1, gain=0.1)

    def forward(self, *known: Tensor) -> LogisticMixture:
        x = torch.cat(known, dim=1).contiguous(memory_format=torch.channels_last)
        raw = self.head(F.silu(self.body(self.stem(x))))
        return LogisticMixture(raw, self.channels, self.components, pixels=self.pixels)


# How the three components of a map that are not kept are taken one after the other, by the number of couplings: which
# of them (0 diagonal, 1 right, 2 below) a coupling transforms, and of its places all, or those of one colour.
STEPS: dict[int, list[tuple[tuple[int, ...], int | None]]] = {
    2: [((0,), None), ((1, 2), None)],
    3: [((0,), None), ((1,), None), ((2,), None)],
    4: [((0,), 0), ((0,), 1), ((1,), None), ((2,), None)],
    6: [((i,), colour) for i in range(3) for colour in range(2)],
}


class Scale(nn.Module):
    """Couplings that turn all components of a map but the one kept into noise, each given what comes before it."""

    def __init__(
        self, channels: int, width: int, config: FlowConfig, couplings: int, places: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.steps = STEPS[couplings]
        coloured = any(colour is not None for _, colour in self.steps)
        self.conditioners = nn.ModuleList(
            Conditioner(self._inputs(i, channels, coloured), len(which) * channels, width, config, pixels=True, places=places)
            for i, (which, _) in enumerate(self.steps)
        )

    def _inputs(self, i, channels, coloured):
        if coloured:
            return 4 * channels + 1
        return channels * (1 + sum(len(which) for which, _ in self.steps[:i]))

    def _masks(self, y):
        h, w = y.shape[2:]
        board = ((torch.arange(h, device=y.device)[:, None] + torch.arange(w, device=y.device)) % 2).float()
        return board[None, None]

    def _mixture(self, i, kept, parts, board):
        which, colour = self.steps[i]
        if all(c is None for _, c in self.steps):
            known = [parts[j] for w, _ in self.steps[:i] for j in w]
            return self.conditioners[i](kept, *known)
        done = {0: [], 1: [], 2: []}
        for w, c in self.steps[:i]:
            for j in w:
                done[j].append(c)
        maps = []
        for j in range(3):
            if not done[j]:
                maps.append(torch.zeros_like(kept))
            elif None in done[j] or len(done[j]) == 2:
                maps.append(parts[j])
            else:
                maps.append(parts[j] * (board if done[j][0] == 1 else 1 - board))
        return self.conditioners[i](kept, *maps, board.expand(len(kept), 1, -1, -1))

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """-> the component kept, the noise maps of the diagonal, right and below ones, and log |det| in nats `[B]`."""
        kept, *parts = split(y)
        board = self._masks(kept)
        noise = [torch.zeros_like(kept) for _ in range(3)]
        log_det = torch.zeros(len(y), device=y.device)
        for i, (which, colour) in enumerate(self.steps):
            z, log_slope = self._mixture(i, kept, parts, board).to_logistic(torch.cat([parts[j] for j in which], dim=1))
            if colour is not None:
                mask = board if colour else 1 - board
                log_det = log_det + (log_slope * mask).sum(dim=(1, 2, 3))
                noise[which[0]] = torch.where(mask.bool(), z, noise[which[0]])
            else:
                log_det = log_det + log_slope.sum(dim=(1, 2, 3))
                for j, one in zip(which, z.chunk(len(which), dim=1), strict=True):
                    noise[j] = one
        return kept, noise, log_det

    def inverse(self, kept: Tensor, noise: list[Tensor]) -> Tensor:
        board = self._masks(kept)
        parts = [torch.zeros_like(kept) for _ in range(3)]
        for i, (which, colour) in enumerate(self.steps):
            y = self._mixture(i, kept, parts, board).from_logistic(torch.cat([noise[j] for j in which], dim=1))
            if colour is not None:
                mask = (board if colour else 1 - board).bool()
                parts[which[0]] = torch.where(mask, y, parts[which[0]])
            else:
                for j, one in zip(which, y.chunk(len(which), dim=1), strict=True):
                    parts[j] = one
        return join(kept, *parts)


class DenseCoupling(nn.Module):
    """Vectors `[B, D]`: every second entry passes the distribution function of a mixture of logistics given the
    others; then all move by one place, so that the next coupling has them change roles. In float32.
    """

    def __init__(self, dims: int, config: FlowConfig) -> None:
        super().__init__()
        self.components, hidden = config.dense_components, config.width
        self.network = nn.Sequential(
            nn.Linear((dims + 1) // 2, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.head = nn.Linear(hidden, LogisticMixture.size(1, self.components) * (dims // 2))

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """-> z `[B, D]` and log |det| in nats `[B]`."""
        with torch.autocast(y.device.type, enabled=False):
            changed, log_slope = self._mixture(y).to_logistic(y[:, None, None, 1::2])
            return _with_odd_entries(y, changed[:, 0, 0]).roll(1, dims=1), log_slope.sum(dim=(1, 2, 3))

    def inverse(self, z: Tensor) -> Tensor:
        y = z.roll(-1, dims=1)
        changed = self._mixture(y).from_logistic(y[:, None, None, 1::2])
        return _with_odd_entries(y, changed[:, 0, 0])

    def _mixture(self, y: Tensor) -> LogisticMixture:
        """The mixtures of the odd entries, given the even ones."""
        raw = self.head(self.network(y[:, 0::2])).unflatten(1, (LogisticMixture.size(1, self.components), 1, -1))
        return LogisticMixture(raw, 1, self.components, pixels=False)


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
    """An invertible map between dequantized images y in [-1, 1] and logistic noise, and the dequantizer."""

    def __init__(self, config: FlowConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = shape
        coarse, fine = (max(1, round(share * config.width)) for share in (config.coarse_share, config.fine_share))
        widths = [fine] * (SCALES - 1) + [coarse]
        coarsest = height >> SCALES, width >> SCALES
        mixed = [None] * (SCALES - 1) + [coarsest]
        self.scales = nn.ModuleList(Scale(channels, w, config, n, places) for w, n, places in zip(widths, (config.fine_couplings, config.middle_couplings), mixed, strict=True))
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
        board = (torch.arange(height // 4)[:, None] + torch.arange(width // 4)) % 2
        self.board: Tensor
        self.register_buffer("board", board.float()[None, None], persistent=False)

    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shapes of the noise maps, in the order of `forward`."""
        channels, height, width = self.shape
        shapes = [(channels, height >> s, width >> s) for s in range(1, SCALES + 1) for _ in range(3)]
        return [*shapes, (channels, height >> SCALES, width >> SCALES)]

    def forward(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """-> noise maps (`noise_shapes`) and log |det dz/dy| in nats `[B]`."""
        log_det = torch.zeros(len(y), device=y.device)
        noise: list[Tensor] = []
        for scale in self.scales:
            y, maps, log_slopes = scale(y)
            noise += maps
            log_det = log_det + log_slopes
        for i, conditioner in enumerate(self.coarsest):
            known = self._known(i)
            z, log_slope = conditioner(known * y, known.expand(len(y), -1, -1, -1)).to_logistic(y)
            y = torch.where(known.bool(), y, z)
            log_det = log_det + ((1 - known) * log_slope).sum(dim=(1, 2, 3))
        vector = y.flatten(1)
        for coupling in self.dense:
            vector, log_slope = coupling(vector)
            log_det = log_det + log_slope
        return [*noise, vector.view_as(y)], log_det

    def inverse(self, noise: list[Tensor]) -> Tensor:
        """Noise maps -> y `[B, C, H, W]`."""
        return self.unfold([*noise[:-1], self.unmix(noise[-1])])

    def unmix(self, z: Tensor) -> Tensor:
        """The inverse of the dense couplings alone: the last noise map -> the coarsest map."""
        vector = z.flatten(1)
        for coupling in reversed(cast(list[DenseCoupling], list(self.dense))):
            vector = coupling.inverse(vector)
        return vector.view_as(z)

    def unfold(self, maps: list[Tensor]) -> Tensor:
        """The inverse of all others: noise maps and, last, the coarsest map -> y `[B, C, H, W]`."""
        *maps, y = maps
        for i, conditioner in reversed(list(enumerate(self.coarsest))):
            known = self._known(i)
            mixture = conditioner(known * y, known.expand(len(y), -1, -1, -1))
            y = torch.where(known.bool(), y, mixture.from_logistic(y))
        for scale in reversed(cast(list[Scale], list(self.scales))):
            maps, own = maps[:-3], maps[-3:]
            y = scale.inverse(y, own)
        return y

    def log_density(self, y: Tensor) -> Tensor:
        """log p(y) in nats `[B]`: change of variables to independent standard logistic noise."""
        noise, log_density = self.forward(y)
        for z in noise:
            log_density = log_density + log_logistic(z).sum(dim=(1, 2, 3))
        return log_density

    def _known(self, i: int) -> Tensor:
        """Coupling i's mask: 1 where values are given, 0 where they are transformed; the colours alternate."""
        return self.board if i % 2 == 0 else 1 - self.board


def _with_odd_entries(y: Tensor, odd: Tensor) -> Tensor:
    """y `[B, D]` with the entries 1, 3, ... replaced."""
    out = y.clone()
    out[:, 1::2] = odd
    return out


def logistic(uniform: Tensor) -> Tensor:
    """Uniform numbers -> standard logistic ones; the ends are clipped, beyond which float32 has no digits."""
    return torch.logit(uniform.clamp(1e-6, 1 - 1e-6))


def log_logistic(z: Tensor) -> Tensor:
    """log density of the standard logistic distribution."""
    return F.logsigmoid(z) + F.logsigmoid(-z)
