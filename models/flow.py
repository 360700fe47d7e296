"""Normalizing flow: multi-scale coupling layers with mixture-of-logistics transformations.

Dinh et al. 2017 (RealNVP) for coupling and the multi-scale factoring-out, Ho et al. 2019 (Flow++) for the mixture
transformation and variational dequantisation.

A scale splits the image into its four polyphase components (every second pixel of every second row) and keeps one, a
quarter of the pixels, for the next scale. Two couplings transform the others to noise, each given the components that
the sampler will know before it: first the diagonal neighbour, then the two between. Every pixel but those of the
coarsest map is thus interpolated from known neighbours. That map, which holds what the image is of, is small enough
for its pixels to see all others: after checkerboard couplings it goes as one vector through dense ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from equibench_models.contract import About, Bound, Config, Model, Shape, Showing
from equibench_models.layers import (
    Average,
    LogisticMixture,
    ResBlock,
    conv,
    in_batches,
    learning_rate,
    rows,
    step,
    to_float,
)


class FlowConfig(Config):
    width: int = Field(112, ge=8, description="hidden units of the dense couplings")
    batch_size: int = Field(32, ge=1, description="images an update")
    learning_rate: float = Field(3e-3, gt=0, description="greatest step size of Adam")
    components: int = Field(6, ge=1, description="logistics in the mixture of every transformed value")
    depth: int = Field(1, ge=1, description="residual blocks a conditioning network")
    coarse_share: float = Field(0.5, gt=0, description="channels of the coarser convolutions, as a share of width")
    fine_share: float = Field(0.375, gt=0, description="and of the finer ones")
    couplings: int = Field(2, ge=2, description="checkerboard couplings of the coarsest map")
    dense_couplings: int = Field(4, ge=0, description="couplings of that map as a vector, after those")
    dense_components: int = Field(4, ge=1, description="logistics in their mixtures")
    dequantization_width: int = Field(24, ge=1)
    average_gamma: float = Field(10.0, ge=0)


SCALES = 2  # 28 -> 14 -> 7 or 32 -> 16 -> 8
KEPT, DIAGONAL, RIGHT, BELOW = 0, 3, 1, 2  # a 2x2 block in the order of pixel_unshuffle


def split(y: Tensor) -> tuple[Tensor, ...]:
    """`[B, C, H, W]` -> the polyphase components kept, diagonal, right and below, each `[B, C, H/2, W/2]`."""
    n, channels, height, width = y.shape
    phases = F.pixel_unshuffle(y, 2).reshape(n, channels, 4, height // 2, width // 2)
    return tuple(phases[:, :, i] for i in (KEPT, DIAGONAL, RIGHT, BELOW))


def join(kept: Tensor, diagonal: Tensor, right: Tensor, below: Tensor) -> Tensor:
    """The inverse of `split`."""
    return F.pixel_shuffle(torch.stack([kept, right, below, diagonal], dim=2).flatten(1, 2), 2)


class Conditioner(nn.Module):
    """Known values `[B, inputs, h, w]` -> the mixtures of `channels` values at every place."""

    def __init__(self, inputs: int, channels: int, width: int, config: FlowConfig, *, pixels: bool) -> None:
        super().__init__()
        self.channels, self.components, self.pixels = channels, config.components, pixels
        self.stem = conv(inputs, width)
        self.body = nn.Sequential(*(ResBlock(width) for _ in range(config.depth)))
        self.head = conv(width, LogisticMixture.size(channels, config.components), 1, gain=0.1)

    def forward(self, *known: Tensor) -> LogisticMixture:
        x = torch.cat(known, dim=1).contiguous(memory_format=torch.channels_last)
        raw = self.head(F.silu(self.body(self.stem(x))))
        return LogisticMixture(raw, self.channels, self.components, pixels=self.pixels)


class Scale(nn.Module):
    """Two couplings that turn all components of a map but the one kept into noise."""

    def __init__(self, channels: int, width: int, config: FlowConfig) -> None:
        super().__init__()
        self.diagonal = Conditioner(channels, channels, width, config, pixels=True)
        self.sides = Conditioner(2 * channels, 2 * channels, width, config, pixels=True)

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """-> the component kept, the noise maps of the diagonal, right and below ones, and log |det| in nats `[B]`."""
        kept, diagonal, right, below = split(y)
        noise, log_slope = self.diagonal(kept).to_logistic(diagonal)
        sides_noise, sides_slope = self.sides(kept, diagonal).to_logistic(torch.cat([right, below], dim=1))
        log_det = log_slope.sum(dim=(1, 2, 3)) + sides_slope.sum(dim=(1, 2, 3))
        return kept, [noise, *sides_noise.chunk(2, dim=1)], log_det

    def inverse(self, kept: Tensor, noise: list[Tensor]) -> Tensor:
        diagonal = self.diagonal(kept).from_logistic(noise[0])
        sides = self.sides(kept, diagonal).from_logistic(torch.cat(noise[1:], dim=1))
        return join(kept, diagonal, *sides.chunk(2, dim=1))


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
            nn.Linear(hidden, LogisticMixture.size(1, self.components) * (dims // 2)),
        )

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
        raw = self.network(y[:, 0::2]).unflatten(1, (LogisticMixture.size(1, self.components), 1, -1))
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
        noise = _logistic(uniform)
        t = mean + torch.exp(log_scale) * noise
        log_q = log_logistic(noise) - log_scale - log_logistic(t)  # du/dt = s(t) s(-t), the logistic density itself
        return torch.sigmoid(t), log_q.sum(dim=(1, 2, 3))


class FlowNetwork(nn.Module):
    """An invertible map between dequantised images y in [-1, 1] and logistic noise, and the dequantiser."""

    def __init__(self, config: FlowConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = shape
        coarse, fine = (max(1, round(share * config.width)) for share in (config.coarse_share, config.fine_share))
        widths = [fine] * (SCALES - 1) + [coarse]
        self.scales = nn.ModuleList(Scale(channels, width, config) for width in widths)
        # the first two couplings see pixels, later ones what those made of them
        self.coarsest = nn.ModuleList(
            Conditioner(channels + 1, channels, coarse, config, pixels=i < 2) for i in range(config.couplings)
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


class Flow(Model):
    """Maximises E_q[log p(x + u) - log q(u | x)] <= log P(x) (Ho et al. 2019, eq. 9) over dequantised images."""

    config_type = FlowConfig
    config: FlowConfig
    likelihood = "upper bound"
    dequantization = "variational"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "uniform dequantization": Bound("upper bound", "uniform", "-log p(x + u), u uniform (Theis et al. 2016)"),
        "importance weighting": Bound(
            "upper bound", "variational", "-log of the mean of K weights p(x + u) / q(u | x)", weight=True
        ),
    }
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {"temperature 0.75": {"temperature": 0.75}}
    about = About(
        title="Normalizing flow",
        concept="An invertible network maps images to noise of a known density. The change-of-variables formula gives "
        "the exact density of every dequantised image, and maximising it is all of the training; running the network "
        "backwards turns noise into images.",
        structure="Two scales of two coupling layers, then checkerboard and dense couplings of the coarsest map; every "
        "coupling passes some values through the distribution function of a mixture of logistics that depends on the "
        "others.",
        differs="The only family with an exact density and an exact inverse: no information is lost, and the latent "
        "has as many dimensions as the image. The price is a constrained network whose capacity goes into every pixel.",
        abilities={
            "likelihood": "exact density; a bound of bits per dimension after dequantisation",
            "encodes": "yes, one to one",
            "reconstructs": "exactly, up to rounding",
            "sampling": "one pass",
            "trained by": "one loss, one network",
            "labels": "no",
        },
    )

    def __init__(self, config: FlowConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.network = FlowNetwork(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average_gamma)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        dims = math.prod(self.shape)
        nats, log_q = self._bound(self.network, images, torch.rand(images.shape, device=images.device))
        rate = learning_rate(self.config.learning_rate, progress)
        norm = step(self._optimizer, nats.mean() / dims, rate, clip=1.0)
        self.average.update(self.network)
        bits = 1 / (dims * math.log(2))
        return {
            "bits_per_dim": nats.mean() * bits,
            "dequantization_bits_per_dim": log_q.mean() * bits,
            "gradient_norm": norm,
        }

    @torch.no_grad()
    def nats(
        self,
        images: Tensor,
        generator: Generator,
        bound: str = "",
        steps: int | None = None,  # noqa: ARG002 (for families with steps)
    ) -> Tensor:
        """Bound of the negative log-likelihood in nats, one draw of the dequantisation noise; the same draw is -log of
        a weight for importance weighting. In float32: the density is that of the very map that `sample` inverts.
        """
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        with torch.autocast(images.device.type, enabled=False):
            if bound == "uniform dequantization":
                return self._nats(self.average.network, images, uniform)
            return self._bound(self.average.network, images, uniform)[0]

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250, temperature: float = 1.0) -> Tensor:
        """`temperature` multiplies the noise; 1 samples the model's own distribution. Always in float32."""
        network, device = self.average.network, generator.device
        uniform = [torch.rand(n, *shape, generator=generator, device=device) for shape in network.noise_shapes()]

        noise = [temperature * _logistic(u) for u in uniform]

        def invert(*maps: Tensor) -> Tensor:
            return ((network.unfold(list(maps)) + 1) * 128).floor().clamp(0, 255).to(torch.uint8)

        with torch.autocast(device.type, enabled=False):
            # products with matrices round by how many rows they have: in batches of a size that nobody chooses
            coarsest = in_batches(network.unmix, 1000, noise[-1:])
            return in_batches(invert, batch_size, [*noise[:-1], coarsest])

    def show(self, images: Tensor, generator: Generator) -> Showing:
        network = self.average.network
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        y = (images.float() + uniform) / 128 - 1
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            noise, _ = network(y)
            again = network.inverse(list(noise))
        picture = _noise_picture(noise)
        return Showing(
            numbers={
                "inverse_max_abs_error": float((again - y).abs().max()),
                "noise_mean": float(torch.cat([z.flatten() for z in noise]).mean()),
                "noise_std_of_logistic": float(torch.cat([z.flatten() for z in noise]).std()) * math.sqrt(3) / math.pi,
            },
            pictures={
                "inverse": (
                    "Test images (top), the noise that the flow maps them to (middle), and its inverse (bottom)",
                    rows(images[:12], picture[:12], again[:12]),
                )
            },
        )

    def sampling_parameters(self) -> int:
        network = self.average.network
        return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("dequantizer"))

    def _bound(self, network: FlowNetwork, images: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """-(log p(x + u) - log q(u | x)) and log q in nats `[B]`, u drawn from q by `uniform`."""
        u, log_q = network.dequantizer(to_float(images), uniform)
        return self._nats(network, images, u) + log_q, log_q

    def _nats(self, network: FlowNetwork, images: Tensor, u: Tensor) -> Tensor:
        """-log p(x + u) in nats `[B]`. The network's density is over y = (x + u) / 128 - 1: over x + u it is p(y) / 128
        in every dimension.
        """
        y = (images.float() + u) / 128 - 1
        return math.prod(self.shape) * math.log(128) - network.log_density(y)


def _with_odd_entries(y: Tensor, odd: Tensor) -> Tensor:
    """y `[B, D]` with the entries 1, 3, ... replaced."""
    out = y.clone()
    out[:, 1::2] = odd
    return out


def _logistic(uniform: Tensor) -> Tensor:
    """Uniform numbers -> standard logistic ones; the ends are clipped, beyond which float32 has no digits."""
    return torch.logit(uniform.clamp(1e-6, 1 - 1e-6))


def log_logistic(z: Tensor) -> Tensor:
    """log density of the standard logistic distribution."""
    return F.logsigmoid(z) + F.logsigmoid(-z)


def _noise_picture(noise: list[Tensor]) -> Tensor:
    """Noise maps put where their pixels are, as images in [-1, 1] (one standard deviation is a third)."""
    *maps, y = noise
    while maps:
        below, right, diagonal = maps.pop(), maps.pop(), maps.pop()
        y = join(y, diagonal, right, below)
    return y / (3 * math.pi / math.sqrt(3))
