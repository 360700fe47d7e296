"""What all saved generators share: noise of a declared shape goes in, values of a declared range come out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from equibench_models.contract import About, Config, LikelihoodKind, Model, Shape, Showing

WARM_UP = 3  # calls at a new batch size until the code that runs is the one that stays
# a network without a last squashing overshoots a little; half the width of the range is no overshoot
FAR, MOST_FAR = 0.5, 0.1  # widths of the declared range, share of the values


class WrongImagesError(Exception):
    """A generator gave something else than images of the range and shape that were declared."""


class GeneratorConfig(Config):
    """Where a generator lies, and what a suite declares of it. What a Config holds for training is of no use here."""

    knobs: ClassVar[tuple[str, ...]] = ()

    path: str
    noise: tuple[int, ...] = Field(min_length=1, description="shape of the noise behind one image")
    distribution: Literal["normal", "uniform"] = "normal"
    low: float = Field(-1.0, description="black in its output")
    high: float = Field(1.0, description="white in its output")
    only_batch: int | None = Field(None, ge=1, description="the only batch size that it takes")


class SavedGenerator(Model):
    """A network that maps noise `[B, *noise]` to images `[B, C, H, W]`, either floats from `low` to `high` or uint8. It
    is given nothing but the noise. Random numbers that it draws itself are seeded from the generator.
    """

    config_type: ClassVar[type[Config]] = GeneratorConfig
    likelihood: ClassVar[LikelihoodKind] = "none"
    dequantization: ClassVar[str | None] = None
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    about: ClassVar[About] = About(
        title="Saved generator",
        concept="A network of another tool that maps noise to images: how it was trained is not known here.",
        structure="unknown: its file holds a program and weights",
        differs="It was trained elsewhere, on unknown data and at an unknown cost, and is only sampled here.",
        abilities={
            "likelihood": "none: a saved generator gives samples but no density",
            "encodes": "no",
            "reconstructs": "no",
            "sampling": "one pass",
            "trained by": "unknown",
            "learns": "unknown",
            "fixes": "unknown",
            "labels": "no",
        },
    )
    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self._seen: set[int] = set()  # batch sizes that it was warmed up at

    @abstractmethod
    def network(self, noise: Tensor) -> Tensor:
        """Noise `[B, *noise]` -> what the file's program gives for it."""

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250) -> Tensor:
        """uint8 images `[n, C, H, W]`. Raises WrongImagesError where the program gives none."""
        size = (n, *self.config.noise)
        device = generator.device
        if self.config.distribution == "normal":
            noise = torch.randn(size, generator=generator, device=device)
        else:
            noise = 2 * torch.rand(size, generator=generator, device=device) - 1
        own_seed = int(torch.randint(2**62, (), generator=generator, device=device))
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(own_seed)  # of noise that the program draws itself
            return torch.cat([self.images(some) for some in noise.split(batch_size)])

    @torch.no_grad()
    def images(self, noise: Tensor) -> Tensor:
        """Noise `[B, *noise]` -> uint8 images `[B, C, H, W]`. Raises as `sample`."""
        only, many = self.config.only_batch, len(noise)
        if only is None:
            return self._pass(noise)
        missing = -many % only
        padded = torch.cat([noise, noise[:1].expand(missing, *noise.shape[1:])])
        return torch.cat([self._pass(some) for some in padded.split(only)])[:many]

    def _pass(self, noise: Tensor) -> Tensor:
        first = len(noise) not in self._seen
        if first:
            self._seen.add(len(noise))
            with torch.random.fork_rng(devices=[noise.device] if noise.is_cuda else []):
                for _ in range(WARM_UP):
                    self.network(noise)
        given = self.network(noise)
        if not isinstance(given, Tensor) or given.shape != (len(noise), *self.shape):
            what = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise WrongImagesError(f"the generator gave {what}, not {[len(noise), *self.shape]}")
        if given.dtype == torch.uint8:
            return given
        values = given.float()
        if not bool(values.isfinite().all()):
            raise WrongImagesError("the generator gave values that are not finite")
        if first:  # and no more, as calls are timed
            self._check_range(values)
        low, high = self.config.low, self.config.high
        return ((values - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)

    def _check_range(self, values: Tensor) -> None:
        """Raises WrongImagesError where another range was declared than that of these float32 values."""
        low, high = self.config.low, self.config.high
        widths = (values - low) / (high - low)
        far = float(((widths < -FAR) | (widths > 1 + FAR)).float().mean())
        if far > MOST_FAR:
            raise WrongImagesError(
                f"{far:.0%} of the generator's values are far outside the declared range from {low:g} to {high:g} "
                f"({float(values.min()):.3g} to {float(values.max()):.3g} were seen); declare low and high as they are"
            )

    def show(self, images: Tensor, generator: Generator) -> Showing:  # noqa: ARG002 (it cannot encode images)
        """How many parameters it has."""
        return Showing(numbers={"sampling_parameters": float(self.sampling_parameters())})

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return [self.config.noise]

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        raise NotImplementedError("a generator that another tool saved is not trained here")

    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError("a saved generator has no likelihood")
