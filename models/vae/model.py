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

from equibench_models.about import ABOUT
from equibench_models.contract import Bound, Component, Model, Options, Shape, Showing
from equibench_models.layers import (
    Average,
    LogisticMixture,
    Scalar,
    at_most_one,
    in_batches,
    learning_rate,
    rows,
    step,
    to_float,
    to_uint8,
)
from equibench_models.muon import optimizers
from equibench_models.vae.components import components
from equibench_models.vae.network import Autoencoder, VAEConfig

Decoding = Literal["sample", "mean"]


class VAEOptions(Options):
    """How pixels are taken from the decoder, and how much noise its codes have."""

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
        # other deviations than the model's own, by which it draws coarse maps too far from their means and the vector
        # too near
        "mean decoding, scaled latents": {"decoding": "mean", "temperature": 1.1, "coarse_temperature": 0.55},
    }
    ways = ("mean decoding",)
    shared = True
    capturable = True
    about = ABOUT["vae"]

    def __init__(self, config: VAEConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.network = Autoencoder(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average_gamma)
        if not config.classes:  # a decoder of the latents alone
            self.latent_dims = sum(z[0].numel() for z in self.network.noise(1, None, torch.device("cpu")))
        self._muon, self._adam = optimizers(
            self.network, config.optimizer, (0.9, 0.99), config.weight_decay, edges=("stem", "head")
        )

    def update(self, images: Tensor, progress: Scalar = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """`labels`: int64 `[B]`, needed where the config has classes."""
        part, n = self.part, len(images)
        noise = [part.of(z) for z in self.network.noise(n, None, images.device)]
        label = self.one_hot(labels if labels is None else part.of(labels))
        each, kls = self._bound(self.network, part.of(images), noise, label)
        reconstruction, kl = part.mean(each, n), part.mean(torch.stack(kls).sum(dim=0), n)
        weight = at_most_one(0.05 + progress / self.config.warm_up) if self.config.warm_up else 1.0
        dims = math.prod(self.shape)
        loss = (reconstruction + weight * kl) / dims
        step((self._muon, self._adam), loss, learning_rate(self.config.learning_rate, progress), part, clip=1.0)
        self.average.update(self.network)
        bits = 1 / (dims * math.log(2))
        return {
            "bits_per_dim": (reconstruction + kl) * bits,
            "reconstruction_bits_per_dim": reconstruction * bits,
            "kl_bits_per_dim": kl * bits,
        }

    @torch.no_grad()
    def nats(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Negative ELBO in nats, one draw of the latents."""
        label = self.one_hot(self.checked_labels(labels, len(images)))
        noise = self.network.noise(len(images), generator, images.device)
        reconstruction, kls = self._bound(self.average.network, images, noise, label)
        return reconstruction + torch.stack(kls).sum(dim=0)

    @torch.no_grad()
    def _weight(self, images: Tensor, generator: Generator, _steps: int | None, labels: Tensor | None = None) -> Tensor:
        """-log of the weight p(x, z) / q(z | x) of one draw of the latents, in nats."""
        label = self.one_hot(self.checked_labels(labels, len(images)))
        noise = self.network.noise(len(images), generator, images.device)
        reconstruction, kls = self._bound(self.average.network, images, noise, label, drawn=True)
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
        """`decoding` draws pixels from p(x | z), or takes their mean; `temperature` scales the noise of the latents.
        With classes `labels` int64 `[n]` are those of the samples; without them they are drawn.
        """
        VAEOptions(decoding=decoding, temperature=temperature, coarse_temperature=coarse_temperature)  # or it raises
        network, device = self.average.network, generator.device
        channels, height, width = self.shape
        label = self.sample_labels(n, generator, labels)
        noise = [temperature * z for z in network.noise(n, generator, device)]
        noise = [z * (coarse_temperature if 0 < i <= self.config.coarse_latents else 1.0) for i, z in enumerate(noise)]
        uniform = torch.rand(n, 2, 4 * channels, height // 2, width // 2, generator=generator, device=device)

        def decode(uniform: Tensor, *rest: Tensor) -> Tensor:
            mixture, _ = network.decode(list(rest[: len(noise)]), label=rest[-1] if label is not None else None)
            x = mixture.draw(uniform) if decoding == "sample" else mixture.expected()
            return to_uint8(F.pixel_shuffle(x, 2))

        return in_batches(decode, batch_size, [uniform, *noise, *([] if label is None else [label])])

    def decode(self, z: Tensor) -> Tensor:
        noise = self.network.noise(1, None, z.device)
        parts = z.split([part[0].numel() for part in noise], dim=1)
        mixture, _ = self.average.network.decode(
            [part.reshape(len(z), *like.shape[1:]) for part, like in zip(parts, noise, strict=True)]
        )
        return F.pixel_shuffle(mixture.expected(), 2)

    @torch.no_grad()
    def represent(self, images: Tensor, _generator: Generator) -> Mapping[str, Tensor]:
        """The mean of the vector's posterior."""
        network = self.average.network
        _, coarse = network.encode(to_float(images))
        return {"mean of z0": network.posterior_of(coarse, self.label_frequencies(len(images)))[0]}

    @torch.no_grad()
    def reconstruct(self, images: Tensor, generator: Generator) -> Tensor:
        """uint8 images decoded from a draw of their own posterior, by mean decoding."""
        network = self.average.network
        noise = network.noise(len(images), generator, images.device)
        mixture, _ = network.decode(noise, network.encode(to_float(images)), self.label_frequencies(len(images)))
        return to_uint8(F.pixel_shuffle(mixture.expected(), 2))

    def show(self, images: Tensor, generator: Generator) -> Showing:
        again = self.reconstruct(images, generator)
        noise = self.network.noise(len(images), generator, images.device)
        with torch.no_grad():
            reconstruction, kls = self._bound(self.average.network, images, noise, self.label_frequencies(len(images)))
        bits = 1 / (math.prod(self.shape) * math.log(2))
        levels = {f"kl_bits_per_dim_of_z{i}": float(kl.mean()) * bits for i, kl in enumerate(kls)}
        return Showing(
            numbers={
                "reconstruction_mean_abs_error_levels": float((again.float() - images.float()).abs().mean()),
                "reconstruction_bits_per_dim": float(reconstruction.mean()) * bits,
                "kl_bits_per_dim": float(torch.stack(kls).sum(dim=0).mean()) * bits,
                **levels,
            },
            pictures={
                "reconstructions": ("Test images (top) and their reconstructions", rows(images[:12], again[:12])),
                **self._pictures_of_noise(generator),
            },
        )

    @torch.no_grad()
    def _pictures_of_noise(self, generator: Generator) -> dict[str, tuple[str, Tensor]]:
        """What samples are made of: the ways between two, the levels of the latents, and the two ways of decoding."""
        network, n, device = self.average.network, 12, generator.device
        label = self.sample_labels(n, generator, None)

        def mixture(noise: list[Tensor], one: int | None = None) -> LogisticMixture:
            """With the labels of all samples, or with that of sample number `one` for all."""
            told = label if label is None or one is None else label[one : one + 1].expand_as(label)
            return network.decode(noise, label=told)[0]

        def images(x: Tensor) -> Tensor:
            return to_uint8(F.pixel_shuffle(x, 2))

        noise = network.noise(n, generator, device)
        uniform = torch.rand(
            n, 2, 4 * self.shape[0], self.shape[1] // 2, self.shape[2] // 2, generator=generator, device=device
        )
        drawn = mixture(noise)
        # along the great circle, where normal noise of many dimensions lies
        angle = torch.linspace(0, math.pi / 2, n, device=device)
        ways = []
        for i in range(4):
            ends = [(z[2 * i : 2 * i + 1], z[2 * i + 1 : 2 * i + 2]) for z in noise]
            turn = [angle.view(-1, *[1] * (a.ndim - 1)) for a, _ in ends]
            path = [torch.cos(t) * a + torch.sin(t) * b for t, (a, b) in zip(turn, ends, strict=True)]
            ways.append(images(mixture(path, one=2 * i).expected()))
        first = [z[:1].expand(n, *z.shape[1:]) for z in noise]
        levels = [
            images(
                mixture(
                    [z if i == level else kept for i, (z, kept) in enumerate(zip(noise, first, strict=True))], one=0
                ).expected()
            )
            for level in range(len(noise))
        ]
        return {
            "interpolation": (
                "From the noise of one sample to that of another, four times; means of the pixels",
                rows(*ways),
            ),
            "latent_levels": (
                "One sample, and beside it the same with the noise of one level of the latents drawn anew: a row a "
                "level, the vector on top, the finest maps below; means of the pixels",
                rows(*levels),
            ),
            "decodings": (
                "The mean of every pixel (top), and pixels drawn, of the same latents",
                rows(images(drawn.expected()), images(drawn.draw(uniform))),
            ),
        }

    def components(self) -> list[Component]:
        return components(self.network)

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return self.network.noise_shapes()

    def sampling_parameters(self) -> int:
        return sum(p.numel() for part in self.components() if part.samples for p in part.parameters)

    def _bound(
        self,
        network: Autoencoder,
        images: Tensor,
        noise: list[Tensor],
        label: Tensor | None,
        *,
        drawn: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """-log p(x | z) in nats `[B]`, and the KL of every latent."""
        x = to_float(images)
        mixture, kls = network.decode(noise, network.encode(x), label, drawn=drawn)
        return -mixture.log_mass(F.pixel_unshuffle(x, 2)).sum(dim=(1, 2, 3)), kls
