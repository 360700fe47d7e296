"""Variational autoencoder: a hierarchy of Gaussian latents under a discretised mixture-of-logistics likelihood.

Kingma & Welling 2014 for the family; the top-down hierarchy with a learned prior follows Sonderby et al. 2016 and
Child 2021 (VDVAE); a flow as the prior of its top vector is that of Chen et al. 2017 (variational lossy autoencoder);
the likelihood is that of PixelCNN++ (Salimans et al. 2017) over the sub-pixels of 2x2 blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from equibench_models.contract import About, Bound, Model, Options, Shape, Showing
from equibench_models.layers import Average, in_batches, learning_rate, rows, step, to_float, to_uint8
from equibench_models.muon import optimizers
from equibench_models.vae.network import Autoencoder, VAEConfig

Decoding = Literal["sample", "mean"]


class VAEOptions(Options):
    decoding: Decoding = Field("sample", description="of p(x | z): pixels drawn from it, or their mean")
    temperature: float = Field(1.0, ge=0, le=100, description="times the noise of the latents")
    coarse_temperature: float = Field(1.0, ge=0, le=100, description="times that of the coarse maps, too")


class VAE(Model):
    """Maximises the evidence lower bound E_q[log p(x | z)] - KL(q(z | x) || p(z)) (Kingma & Welling 2014, eq. 3)."""

    config_type = VAEConfig
    options_type = VAEOptions
    config: VAEConfig
    likelihood = "upper bound"
    dequantization = "none"
    nats_detail: Mapping[str, int] = {"importance_weights": 1}
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mean decoding": {"decoding": "mean"},
        # noise that the model does not name: its coarse maps are drawn too far from their means, the vector too near
        "mean decoding, scaled latents": {"decoding": "mean", "temperature": 1.1, "coarse_temperature": 0.55},
    }
    ways = ("mean decoding",)
    about = About(
        title="Variational autoencoder",
        concept="An encoder maps an image to the mean and variance of latent variables, a decoder maps latents back to "
        "a distribution over images. Both learn together by maximising a lower bound of the likelihood: reconstruct "
        "well, and keep the latents close to their prior.",
        structure="Encoder and top-down decoder with a vector and maps as latents: a flow is the vector's prior, each "
        "map has a learned Gaussian one. Every 2x2 block of pixels follows a discretised mixture of logistics over the "
        "256 levels.",
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
        self._muon, self._adam = optimizers(self.network, config.optimizer, (0.9, 0.99), 0.01, edges=("stem", "head"))

    def update(self, images: Tensor, progress: float = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """`labels`: int64 `[B]`, needed where the config has classes."""
        noise = self.network.noise(len(images), None, images.device)
        reconstruction, kls = self._bound(self.network, images, noise, labels)
        kl = torch.stack(kls).sum(dim=0).mean()
        weight = min(1.0, 0.05 + progress / self.config.warm_up) if self.config.warm_up else 1.0
        dims = math.prod(self.shape)
        loss = (reconstruction.mean() + weight * kl) / dims
        step((self._muon, self._adam), loss, learning_rate(self.config.learning_rate, progress), clip=1.0)
        self.average.update(self.network)
        bits = 1 / (dims * math.log(2))
        return {
            "bits_per_dim": (reconstruction.mean() + kl) * bits,
            "reconstruction_bits_per_dim": reconstruction.mean() * bits,
            "kl_bits_per_dim": kl * bits,
        }

    @torch.no_grad()
    def nats(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Negative ELBO in nats, one draw of the latents."""
        noise = self.network.noise(len(images), generator, images.device)
        reconstruction, kls = self._bound(self.average.network, images, noise, labels)
        return reconstruction + torch.stack(kls).sum(dim=0)

    @torch.no_grad()
    def _weight(self, images: Tensor, generator: Generator, _steps: int | None) -> Tensor:
        """-log of the weight p(x, z) / q(z | x) of one draw of the latents, in nats."""
        noise = self.network.noise(len(images), generator, images.device)
        reconstruction, kls = self._bound(self.average.network, images, noise, None, drawn=True)
        return reconstruction + torch.stack(kls).sum(dim=0)

    bounds: Mapping[str, Bound] = {
        "importance weighting": Bound(
            "upper bound",
            "none",
            "-log of the mean of K weights p(x, z) / q(z | x) (Burda et al. 2016)",
            _weight,
            weight=True,
        )
    }

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator,
        *,
        batch_size: int = 250,
        decoding: Decoding = "sample",
        temperature: float = 1.0,
        coarse_temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """`decoding` draws pixels from p(x | z), or takes their mean; `temperature` scales the noise of the latents."""
        VAEOptions(decoding=decoding, temperature=temperature)  # raises for a decoding that is none
        network, device = self.average.network, generator.device
        channels, height, width = self.shape
        noise = [temperature * z for z in network.noise(n, generator, device)]
        noise = [z * (coarse_temperature if 0 < i <= self.config.coarse_latents else 1.0) for i, z in enumerate(noise)]
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
