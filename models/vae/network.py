"""The VAE's encoder, and its decoder with a hierarchy of Gaussian latents."""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from equibench_models.contract import Config, Shape
from equibench_models.layers import LogisticMixture, Mixer, ResBlock, conv

Posterior = tuple[Tensor, Tensor]  # feature maps of the encoder at half and at a quarter of the side


class VAEConfig(Config):
    """Settings of encoder, decoder and training."""

    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden")

    batch_size: int = Field(16, ge=1, description="images an update")
    vector: int = Field(32, ge=1, description="size of the top latent, a vector")
    basis: int = Field(8, ge=1, description="channels of the map that the vector is read from and written to")
    coarse_latents: int = Field(2, ge=0, description="stochastic layers at a quarter of the side")
    coarse_channels: int = Field(8, ge=1)
    fine_latents: int = Field(1, ge=0, description="stochastic layers at half the side")
    fine_channels: int = Field(4, ge=1)
    components: int = Field(5, ge=1, description="logistics in the mixture of every sub-pixel")
    prior_couplings: int = Field(4, ge=0, description="couplings of the flow that is the vector's prior; 0: normal")
    prior_hidden: int = Field(64, ge=1, description="hidden units of those")
    fine_share: float = Field(0.5, gt=0, le=8, description="channels at half the side, as a share of width")
    mixed: int = Field(
        2, ge=0, description="channels of the coarse maps that dense layers mix over all places; 0: none"
    )
    hidden: int = Field(32, ge=1, description="hidden units of those layers")
    warm_up: float = Field(0.1, ge=0, le=1, description="share of training over which the weight of the KL rises to 1")
    classes: int = Field(0, ge=0, description="0: without labels; else the number of classes to condition on")
    average_gamma: float = Field(16.0, ge=0)


class StochasticLayer(nn.Module):
    """A Gaussian latent map: prior from the maps above it, posterior from those and the encoder's (Child 2021)."""

    def __init__(self, width: int, channels: int, mixer: Mixer | None = None) -> None:
        super().__init__()
        self.mixer = mixer
        self.prior = conv(width, 2 * channels, 1, gain=0)
        self.merge = conv(2 * width, width, 1)
        self.posterior = conv(width, 2 * channels, gain=0.1)
        self.read = conv(channels, width, 1, gain=0.5)
        self.block = ResBlock(width)

    def forward(
        self, h: Tensor, noise: Tensor, encoded: Tensor | None, *, drawn: bool = False
    ) -> tuple[Tensor, Tensor]:
        """-> maps `[B, width, h, w]` and KL(posterior || prior) in nats `[B]` (0 where nothing is encoded)."""
        mean, log_std = self.prior(F.silu(h)).float().chunk(2, dim=1)
        kl = torch.zeros(len(h), device=h.device)
        if encoded is not None:
            # the posterior is given relative to the prior, so that it starts as the prior
            shift, stretch = self.posterior(F.silu(self.merge(torch.cat([h, encoded], dim=1)))).float().chunk(2, dim=1)
            kl = kl_nats(shift * torch.exp(-log_std), stretch, noise if drawn else None).sum(dim=(1, 2, 3))
            mean, log_std = mean + shift, log_std + stretch
        z = mean + torch.exp(log_std) * noise
        h = self.block(h + self.read(z))
        return h if self.mixer is None else self.mixer(h), kl


class Coupling(nn.Module):
    """Vectors `[B, D]`: the second half is scaled and shifted by what a network reads from the first (Dinh et al. 2017,
    eq. 7); then the halves change places. It starts as that exchange alone. With `classes` the network reads the label
    too.
    """

    def __init__(self, dims: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.kept = dims // 2
        self.network = nn.Sequential(
            nn.Linear(self.kept + classes, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.head = nn.Linear(hidden, 2 * (dims - self.kept))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        kept, rest = noise[:, : self.kept], noise[:, self.kept :]
        log_scale, shift = self._read(kept, label)
        return torch.cat([rest * torch.exp(log_scale) + shift, kept], dim=1)

    def inverse(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """-> noise, and log |det dnoise/dz| in nats `[B]`."""
        dims = z.shape[1]
        rest, kept = z[:, : dims - self.kept], z[:, dims - self.kept :]
        log_scale, shift = self._read(kept, label)
        return torch.cat([kept, (rest - shift) * torch.exp(-log_scale)], dim=1), -log_scale.sum(dim=1)

    def _read(self, kept: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.autocast(kept.device.type, enabled=False):
            read = kept.float() if label is None else torch.cat([kept.float(), label], dim=1)
            log_scale, shift = self.head(self.network(read)).chunk(2, dim=1)
        return 2 * torch.tanh(log_scale / 2), shift


class Autoencoder(nn.Module):
    """Encoder and top-down decoder over a vector and maps of latents, each with a learned Gaussian prior."""

    def __init__(self, config: VAEConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        c, fine = config.width, max(1, round(config.fine_share * config.width))
        self.config, self.shape = config, shape
        self.basis_shape = (config.basis, height // 4, width // 4)
        basis = math.prod(self.basis_shape)
        # encoder
        self.stem = conv(4 * channels, fine)
        self.encode_fine = ResBlock(fine)
        self.down = conv(4 * fine, c, 1)
        self.encode_coarse = ResBlock(c)
        self.squeeze = conv(c, config.basis, 1)
        self.posterior = nn.Linear(basis + config.classes, 2 * config.vector)
        nn.init.normal_(self.posterior.weight, std=0.1 / math.sqrt(basis))
        # decoder
        sizes = config.vector, config.prior_hidden, config.classes
        self.prior = nn.Sequential(*(Coupling(*sizes) for _ in range(config.prior_couplings)))
        self.start = nn.Linear(config.vector + config.classes, basis)
        self.widen = conv(config.basis, c, 1)
        self.begin = ResBlock(c)
        self.coarse = nn.ModuleList(
            StochasticLayer(c, config.coarse_channels, self._mixer()) for _ in range(config.coarse_latents)
        )
        self.up = conv(c, 4 * fine, 1)
        self.fine = nn.ModuleList(StochasticLayer(fine, config.fine_channels) for _ in range(config.fine_latents))
        self.head = conv(fine, LogisticMixture.size(4 * channels, config.components), gain=0.1)

    def _mixer(self) -> Mixer | None:
        config = self.config
        return Mixer(config.width, config.mixed, config.hidden, self.basis_shape[1:]) if config.mixed else None

    def noise(self, n: int, generator: Generator | None, device: torch.device) -> list[Tensor]:
        """Standard normal noise for every latent of n images, the vector first."""
        return [torch.randn(n, *shape, generator=generator, device=device) for shape in self.noise_shapes()]

    def noise_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the latents, in the order of `noise`."""
        _, height, width = self.shape
        config = self.config
        shapes: list[tuple[int, ...]] = [(config.vector,)]
        shapes += [(config.coarse_channels, height // 4, width // 4)] * config.coarse_latents
        shapes += [(config.fine_channels, height // 2, width // 2)] * config.fine_latents
        return shapes

    def encode(self, x: Tensor) -> Posterior:
        fine: Tensor = self.encode_fine(self.stem(F.pixel_unshuffle(x, 2)))
        return fine, self.encode_coarse(self.down(F.pixel_unshuffle(fine, 2)))

    def decode(
        self,
        noise: list[Tensor],
        encoded: Posterior | None = None,
        label: Tensor | None = None,
        *,
        drawn: bool = False,
    ) -> tuple[LogisticMixture, list[Tensor]]:
        """Noise (`noise()`), with `encoded` the posterior, and with classes what is told of the label `[B, classes]` ->
        p(x | z), and the KL of every latent in nats `[B]`: in closed form, or as `drawn`, log q(z | x) - log p(z) of
        the very latents that the noise gives.
        """
        fine, coarse = encoded if encoded is not None else (None, None)
        z, extra = noise[0], [] if label is None else [label]
        kls = []
        if coarse is not None:
            mean, log_std = self.posterior_of(coarse, label)
            z = mean + torch.exp(log_std) * noise[0]
            kls.append(self._vector_kl(z, mean, log_std, noise[0], label, drawn=drawn))
        else:
            for coupling in self.prior:
                z = coupling(z, label)
        written = self.start(torch.cat([z, *extra], dim=1)).unflatten(1, self.basis_shape)
        h = self.begin(self.widen(written.contiguous(memory_format=torch.channels_last)))
        rest = iter(noise[1:])
        for layer in self.coarse:
            h, kl = layer(h, next(rest), coarse, drawn=drawn)
            kls.append(kl)
        h = F.pixel_shuffle(self.up(h), 2)
        for layer in self.fine:
            h, kl = layer(h, next(rest), fine, drawn=drawn)
            kls.append(kl)
        return LogisticMixture(self.head(F.silu(h)), 4 * self.shape[0], self.config.components), kls

    def posterior_of(self, coarse: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of the vector, both `[B, vector]`, given the encoder's coarse maps and the label."""
        read = self.squeeze(F.silu(coarse)).flatten(1)
        both = self.posterior(read if label is None else torch.cat([read, label], dim=1)).float()
        mean, log_std = both.chunk(2, dim=1)
        return mean, log_std

    def _vector_kl(
        self, z: Tensor, mean: Tensor, log_std: Tensor, noise: Tensor, label: Tensor | None, *, drawn: bool
    ) -> Tensor:
        """KL of the vector's posterior and its prior, nats `[B]`; with a flow as the prior always of the draw z."""
        if not self.prior:
            return kl_nats(mean, log_std, noise if drawn else None).sum(dim=1)
        nats = -log_std.sum(dim=1)
        before = z
        for coupling in reversed(cast(list[Coupling], list(self.prior))):
            before, log_det = coupling.inverse(before, label)
            nats = nats - log_det
        return nats + 0.5 * (before**2 - noise**2).sum(dim=1)


def kl_nats(shift: Tensor, stretch: Tensor, noise: Tensor | None) -> Tensor:
    """KL(q || p) in nats of Gaussians: the mean of q is `shift` deviations of p away from that of p, and its log
    deviation is greater by `stretch`. With `noise`, log q - log p at the draw which the noise gives: an estimate of
    the KL without bias.
    """
    if noise is None:
        return 0.5 * (torch.exp(2 * stretch) + shift**2 - 1) - stretch
    return 0.5 * ((shift + torch.exp(stretch) * noise) ** 2 - noise**2) - stretch
