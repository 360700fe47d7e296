"""Variational autoencoder: a hierarchy of Gaussian latents under a discretised mixture-of-logistics likelihood.

Kingma & Welling 2014 for the family; the top-down hierarchy with a learned prior follows Sonderby et al. 2016 and
Child 2021 (VDVAE); the likelihood is that of PixelCNN++ (Salimans et al. 2017) over the sub-pixels of 2x2 blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

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
    to_uint8,
)


class VAEConfig(Config):
    batch_size: int = Field(16, ge=1, description="images an update")
    vector: int = Field(32, ge=1, description="size of the top latent, a vector")
    basis: int = Field(8, ge=1, description="channels of the map that the vector is read from and written to")
    coarse_latents: int = Field(2, ge=0, description="stochastic layers at a quarter of the side")
    coarse_channels: int = Field(8, ge=1)
    fine_latents: int = Field(1, ge=0, description="stochastic layers at half the side")
    fine_channels: int = Field(4, ge=1)
    components: int = Field(5, ge=1, description="logistics in the mixture of every sub-pixel")
    warm_up: float = Field(0.1, ge=0, le=1, description="share of training over which the weight of the KL rises to 1")
    classes: int = Field(0, ge=0, description="0: without labels; else the number of classes to condition on")
    average_gamma: float = Field(16.0, ge=0)


Posterior = tuple[Tensor, Tensor]  # feature maps of the encoder at half and at a quarter of the side


class StochasticLayer(nn.Module):
    """A Gaussian latent map: prior from the maps above it, posterior from those and the encoder's (Child 2021)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
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
            kl = _kl(shift * torch.exp(-log_std), stretch, noise if drawn else None).sum(dim=(1, 2, 3))
            mean, log_std = mean + shift, log_std + stretch
        z = mean + torch.exp(log_std) * noise
        return self.block(h + self.read(z)), kl


class Autoencoder(nn.Module):
    def __init__(self, config: VAEConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape
        c = config.width
        self.config, self.shape = config, shape
        self.basis_shape = (config.basis, height // 4, width // 4)
        basis = math.prod(self.basis_shape)
        # encoder
        self.stem = conv(4 * channels, c)
        self.encode_fine = ResBlock(c)
        self.down = conv(4 * c, c, 1)
        self.encode_coarse = ResBlock(c)
        self.squeeze = conv(c, config.basis, 1)
        self.posterior = nn.Linear(basis + config.classes, 2 * config.vector)
        nn.init.normal_(self.posterior.weight, std=0.1 / math.sqrt(basis))
        # decoder
        self.start = nn.Linear(config.vector + config.classes, basis)
        self.widen = conv(config.basis, c, 1)
        self.begin = ResBlock(c)
        self.coarse = nn.ModuleList(StochasticLayer(c, config.coarse_channels) for _ in range(config.coarse_latents))
        self.up = conv(c, 4 * c, 1)
        self.fine = nn.ModuleList(StochasticLayer(c, config.fine_channels) for _ in range(config.fine_latents))
        self.head = conv(c, LogisticMixture.size(4 * channels, config.components), gain=0.1)

    def noise(self, n: int, generator: Generator | None, device: torch.device) -> list[Tensor]:
        """Standard normal noise for every latent of n images, the vector first."""
        _, height, width = self.shape
        config = self.config
        shapes: list[tuple[int, ...]] = [(config.vector,)]
        shapes += [(config.coarse_channels, height // 4, width // 4)] * config.coarse_latents
        shapes += [(config.fine_channels, height // 2, width // 2)] * config.fine_latents
        return [torch.randn(n, *s, generator=generator, device=device) for s in shapes]

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
        """Noise (`noise()`), and with `encoded` the posterior -> p(x | z), and the KL of every latent in nats `[B]`:
        in closed form, or as `drawn`, log q(z | x) - log p(z) of the very latents that the noise gives.
        """
        fine, coarse = encoded if encoded is not None else (None, None)
        z, extra = noise[0], [] if label is None else [label]
        kls = []
        if coarse is not None:
            read = torch.cat([self.squeeze(F.silu(coarse)).flatten(1), *extra], dim=1)
            mean, log_std = self.posterior(read).float().chunk(2, dim=1)
            z = mean + torch.exp(log_std) * noise[0]
            kls.append(_kl(mean, log_std, noise[0] if drawn else None).sum(dim=1))
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


class VAE(Model):
    """Maximises the evidence lower bound E_q[log p(x | z)] - KL(q(z | x) || p(z)) (Kingma & Welling 2014, eq. 3)."""

    config_type = VAEConfig
    config: VAEConfig
    likelihood = "upper bound"
    dequantization = "none"
    nats_detail: Mapping[str, int] = {"importance_weights": 1}
    bounds: ClassVar[Mapping[str, Bound]] = {
        "importance weighting": Bound(
            "upper bound", "none", "-log of the mean of K weights p(x, z) / q(z | x) (Burda et al. 2016)", weight=True
        )
    }
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mean decoding": {"decoding": "mean"}}
    about = About(
        title="Variational autoencoder",
        concept="An encoder maps an image to the mean and variance of latent variables, a decoder maps latents back to "
        "a distribution over images. Both learn together by maximising a lower bound of the likelihood: reconstruct "
        "well, and keep the latents close to their prior.",
        structure="Encoder and top-down decoder with a vector and maps as latents, each with a learned Gaussian prior; "
        "every 2x2 block of pixels follows a discretised mixture of logistics over the 256 levels.",
        differs="The only family that encodes and generates at once by design: it gives a compressed description of an "
        "image, a bound of its likelihood, and a sample in one pass. Pixels are independent given the latents beyond "
        "their block, which shows as grain.",
        abilities={
            "likelihood": "upper bound of bits per dimension (ELBO), discrete",
            "encodes": "yes, to a distribution over latents",
            "reconstructs": "approximately",
            "sampling": "one pass",
            "trained by": "one loss, one network",
            "labels": "optional",
        },
    )

    def __init__(self, config: VAEConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.network = Autoencoder(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average_gamma)
        if not config.classes:  # a decoder of the latents alone
            self.latent_dims = sum(z[0].numel() for z in self.network.noise(1, None, torch.device("cpu")))
        self._optimizer = torch.optim.AdamW(self.network.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def update(self, images: Tensor, progress: float = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """`labels`: int64 `[B]`, needed where the config has classes."""
        noise = self.network.noise(len(images), None, images.device)
        reconstruction, kls = self._bound(self.network, images, noise, labels)
        kl = torch.stack(kls).sum(dim=0).mean()
        weight = min(1.0, 0.05 + progress / self.config.warm_up) if self.config.warm_up else 1.0
        dims = math.prod(self.shape)
        loss = (reconstruction.mean() + weight * kl) / dims
        step(self._optimizer, loss, learning_rate(self.config.learning_rate, progress), clip=1.0)
        self.average.update(self.network)
        bits = 1 / (dims * math.log(2))
        return {
            "bits_per_dim": (reconstruction.mean() + kl) * bits,
            "reconstruction_bits_per_dim": reconstruction.mean() * bits,
            "kl_bits_per_dim": kl * bits,
        }

    @torch.no_grad()
    def nats(
        self,
        images: Tensor,
        generator: Generator,
        bound: str = "",
        steps: int | None = None,  # noqa: ARG002 (for families with steps)
        labels: Tensor | None = None,
    ) -> Tensor:
        """Negative ELBO in nats, one draw of the latents; for importance weighting, -log of that draw's weight."""
        noise = self.network.noise(len(images), generator, images.device)
        reconstruction, kls = self._bound(self.average.network, images, noise, labels, drawn=bool(bound))
        return reconstruction + torch.stack(kls).sum(dim=0)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator,
        *,
        batch_size: int = 250,
        decoding: Literal["sample", "mean"] = "sample",
        temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """`decoding` draws pixels from p(x | z), or takes their mean; `temperature` scales the noise of the latents."""
        network, device = self.average.network, generator.device
        channels, height, width = self.shape
        noise = [temperature * z for z in network.noise(n, generator, device)]
        uniform = torch.rand(n, 2, 4 * channels, height // 2, width // 2, generator=generator, device=device)
        given = [] if labels is None else [labels]

        def decode(uniform: Tensor, *rest: Tensor) -> Tensor:
            *noise, label = rest if labels is not None else (*rest, None)
            mixture, _ = network.decode([z for z in noise if z is not None], label=self._one_hot(label))
            x = mixture.draw(uniform) if decoding == "sample" else mixture.expected()
            return to_uint8(F.pixel_shuffle(x, 2))

        return in_batches(decode, batch_size, [uniform, *noise, *given])

    def decode(self, z: Tensor) -> Tensor:
        noise = self.network.noise(1, None, z.device)
        parts = z.split([part[0].numel() for part in noise], dim=1)
        mixture, _ = self.average.network.decode(
            [part.reshape(len(z), *like.shape[1:]) for part, like in zip(parts, noise, strict=True)]
        )
        return F.pixel_shuffle(mixture.expected(), 2)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """uint8 images decoded from a draw of their own posterior, by mean decoding."""
        network = self.average.network
        noise = network.noise(len(images), generator, images.device)
        mixture, _ = network.decode(noise, network.encode(to_float(images)), self._one_hot(labels))
        return to_uint8(F.pixel_shuffle(mixture.expected(), 2))

    def show(self, images: Tensor, generator: Generator) -> Showing:
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device) if self.config.classes else None
        again = self.reconstruct(images, generator, labels)
        noise = self.network.noise(len(images), generator, images.device)
        with torch.no_grad():
            reconstruction, kls = self._bound(self.average.network, images, noise, labels)
        bits = 1 / (math.prod(self.shape) * math.log(2))
        return Showing(
            numbers={
                "reconstruction_mean_abs_error_levels": float((again.float() - images.float()).abs().mean()),
                "reconstruction_bits_per_dim": float(reconstruction.mean()) * bits,
                "kl_bits_per_dim": float(torch.stack(kls).sum(dim=0).mean()) * bits,
            },
            pictures={
                "reconstructions": ("Test images (top) and their reconstructions", rows(images[:12], again[:12]))
            },
        )

    def sampling_parameters(self) -> int:
        encoder = ("stem", "encode_fine", "down", "encode_coarse", "squeeze", "posterior", "merge")
        named = self.average.network.named_parameters()
        return sum(p.numel() for name, p in named if not set(name.split(".")) & set(encoder))

    def _bound(
        self,
        network: Autoencoder,
        images: Tensor,
        noise: list[Tensor],
        labels: Tensor | None,
        *,
        drawn: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """-log p(x | z) in nats `[B]`, and the KL of every latent."""
        x = to_float(images)
        mixture, kls = network.decode(noise, network.encode(x), self._one_hot(labels), drawn=drawn)
        return -mixture.log_mass(F.pixel_unshuffle(x, 2)).sum(dim=(1, 2, 3)), kls

    def _one_hot(self, labels: Tensor | None) -> Tensor | None:
        if (labels is None) != (self.config.classes == 0):
            raise ValueError("labels are needed exactly where the config has classes")
        return None if labels is None else F.one_hot(labels, self.config.classes).float()


def _kl(shift: Tensor, stretch: Tensor, noise: Tensor | None) -> Tensor:
    """KL(q || p) in nats of Gaussians q whose mean lies `shift` of p's deviations from p's and whose log deviation is
    greater by `stretch`; with `noise`, log q - log p of the draw that it gives, whose mean that is.
    """
    if noise is None:
        return 0.5 * (torch.exp(2 * stretch) + shift**2 - 1) - stretch
    return 0.5 * ((shift + torch.exp(stretch) * noise) ** 2 - noise**2) - stretch
