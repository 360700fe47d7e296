"""A family of one's own: a mixture of pictures of independent pixels, with an exact likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from equibench_models.contract import About, Config, LikelihoodKind, Model, Shape, Showing


class MixtureConfig(Config):
    """`width`, of Config, is turned to meet the parameter cap of a suite."""

    components: int = Field(16, ge=1, le=256, description="pictures that are mixed")


class Mixture(Model):
    """p(x) = sum over k of w_k * product over pixels d of p_kd(x_d), where p_kd falls with the distance from a mean."""

    config_type: ClassVar[type[Config]] = MixtureConfig
    about: ClassVar[About] = About(
        title="Mixture",
        concept="An image is one of a few pictures, each pixel blurred on its own.",
        structure="A network maps a code for each picture to the mean and the blur of every pixel.",
        differs="Its likelihood is exact, and it knows no more of shapes than its pictures show.",
        abilities={
            "likelihood": "exact",
            "encodes": "no",
            "reconstructs": "no",
            "sampling": "one pass",
            "trained by": "maximum likelihood",
            "learns": "the pictures and their weights",
            "fixes": "the shape of the blur",
            "labels": "no",
        },
    )
    likelihood: ClassVar[LikelihoodKind] = "exact"
    dequantization: ClassVar[str | None] = "none"
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, config: MixtureConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.codes = nn.Parameter(torch.randn(config.components, config.width))
        layers = nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, 2 * math.prod(shape))
        self.network = nn.Sequential(*layers)
        self.weights = nn.Parameter(torch.zeros(config.components))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * (1 - progress)
        loss = self._nats(images).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"nats": loss.detach()}

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250) -> Tensor:
        chosen = torch.multinomial(self.weights.softmax(0), n, replacement=True, generator=generator)
        noise = torch.rand(n, math.prod(self.shape), 1, generator=generator, device=generator.device)
        below = self._log_levels().exp().cumsum(-1)  # [K, d, 256]
        pairs = zip(chosen.split(batch_size), noise.split(batch_size), strict=True)
        found = [(below[k] < u).sum(-1).clamp(max=255) for k, u in pairs]
        return torch.cat(found).to(torch.uint8).reshape(n, *self.shape)

    @torch.no_grad()
    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        return self._nats(images)

    def show(self, images: Tensor, generator: Generator) -> Showing:
        means = (255 * self._pictures()[0]).round().to(torch.uint8).reshape(1, -1, *self.shape)
        spread = float(-(self.weights.softmax(0) * self.weights.log_softmax(0)).sum().detach().exp())
        return Showing({"pictures_used": spread}, {"means": ("The pictures that are mixed.", means[:, :8])})

    def sampling_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def _pictures(self) -> tuple[Tensor, Tensor]:
        """Mean in [0, 1] and blur of every pixel of every picture: `[K, d]` each."""
        means, blurs = self.network(self.codes).float().chunk(2, dim=1)
        return means.sigmoid(), 0.02 + 0.2 * blurs.sigmoid()

    def _log_levels(self) -> Tensor:
        """log p_kd of all levels: `[K, d, 256]`."""
        means, blurs = self._pictures()
        levels = torch.linspace(0, 1, 256, device=means.device)
        return (-(levels - means[..., None]).abs() / blurs[..., None]).log_softmax(-1)

    def _nats(self, images: Tensor) -> Tensor:
        x = images.flatten(1).long().T  # [d, B]
        each = self._log_levels().gather(2, x.expand(len(self.codes), *x.shape)).sum(1)  # [K, B]
        return -(each + self.weights.log_softmax(0)[:, None]).logsumexp(0)
