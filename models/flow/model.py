"""Normalizing flow: multi-scale coupling layers with mixture-of-logistics transformations.

Dinh et al. 2017 (RealNVP) for coupling and the multi-scale factoring-out, Ho et al. 2019 (Flow++) for the mixture
transformation and variational dequantization.

A scale splits the image into its four polyphase components (every second pixel of every second row) and keeps one, a
quarter of the pixels, for the next scale. Couplings transform the others to noise, each given what the sampler will
know before it: first the diagonal neighbour, one colour of a checkerboard after the other, then the two between. Each
pixel but those of the coarsest map is thus interpolated from known neighbours, and the more couplings there are, the
fewer neighbours have noise that knows nothing of each other. That map, which holds what the image is of, is small
enough for its pixels to see all others: after checkerboard couplings it goes as one vector through dense ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Generator, Tensor

from equibench_models.about import ABOUT
from equibench_models.contract import Bound, Component, Model, Options, Shape, Showing
from equibench_models.flow.couplings import FlowConfig, Scale, join
from equibench_models.flow.network import FlowNetwork, logistic
from equibench_models.layers import Average, Scalar, in_batches, learning_rate, rows, step, to_float
from equibench_models.muon import optimizers

TEMPERATURES = (1.0, 0.75, 0.5, 0.25)  # that are shown
EDGES = ("stem", "head", "label")


class FlowOptions(Options):
    """By what the noise is multiplied before it is turned into an image."""

    temperature: float = Field(1.0, ge=0, le=100, description="times the noise; 1 samples the model's own distribution")
    middle_temperature: float = Field(1.0, ge=0, le=100, description="times that of the coarser scale's couplings, too")
    fine_temperature: float = Field(1.0, ge=0, le=100, description="times that of the finest couplings, too")


class Flow(Model):
    """Maximises E_q[log p(x + u) - log q(u | x)] <= log P(x) (Ho et al. 2019, eq. 9) over dequantized images."""

    config_type = FlowConfig
    options_type = FlowOptions
    config: FlowConfig
    likelihood = "upper bound"
    dequantization = "variational"
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "temperature 0.75": {"temperature": 0.75},
        "lowered noise": {"temperature": 1.1, "middle_temperature": 0.45, "fine_temperature": 0.0},
    }
    ways = ("lowered noise",)
    shared = True
    capturable = True
    about = ABOUT["flow"]

    def __init__(self, config: FlowConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.network = FlowNetwork(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average_gamma)
        self._muon, self._adam = optimizers(
            self.network, config.optimizer, (0.9, 0.99), config.weight_decay, edges=EDGES
        )

    def update(self, images: Tensor, progress: Scalar = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        dims, part, n = math.prod(self.shape), self.part, len(images)
        uniform = torch.rand(images.shape, device=images.device)
        label = self.one_hot(labels if labels is None else part.of(labels))
        each, each_log_q = self._bound(self.network, part.of(images), part.of(uniform), label)
        nats, log_q = part.mean(each, n), part.mean(each_log_q, n)
        rate = learning_rate(self.config.learning_rate, progress)
        norm = step((self._muon, self._adam), nats / dims, rate, part, clip=1.0)
        self.average.update(self.network)
        bits = 1 / (dims * math.log(2))
        return {
            "bits_per_dim": nats * bits,
            "dequantization_bits_per_dim": log_q * bits,
            "gradient_norm": part.share(norm),
        }

    @torch.no_grad()
    def nats(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Bound of the negative log-likelihood in nats, one draw of the dequantization noise; the same draw is -log of
        a weight for importance weighting. In float32: the density is that of the very map that `sample` inverts.
        """
        label = self.one_hot(self.checked_labels(labels, len(images)))
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        with torch.autocast(images.device.type, enabled=False):
            return self._bound(self.average.network, images, uniform, label)[0]

    def _weight(self, images: Tensor, generator: Generator, _steps: int | None, labels: Tensor | None = None) -> Tensor:
        return self.nats(images, generator, labels)

    @torch.no_grad()
    def _uniformly_dequantized(
        self, images: Tensor, generator: Generator, _steps: int | None, labels: Tensor | None = None
    ) -> Tensor:
        label = self.one_hot(self.checked_labels(labels, len(images)))
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        with torch.autocast(images.device.type, enabled=False):
            return self._nats(self.average.network, images, uniform, label)

    bounds: Mapping[str, Bound] = {
        "uniform dequantization": Bound(
            "upper bound", "uniform", "-log p(x + u), u uniform (Theis et al. 2016)", _uniformly_dequantized
        ),
        "importance weighting": Bound(
            "upper bound", "variational", "-log of the mean of K weights p(x + u) / q(u | x)", _weight, weight=True
        ),
    }

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator,
        *,
        batch_size: int = 250,
        temperature: float = 1.0,
        middle_temperature: float = 1.0,
        fine_temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """`temperature` multiplies the noise; 1 samples the model's own distribution. Always in float32."""
        FlowOptions(  # raises for a temperature that is none
            temperature=temperature, middle_temperature=middle_temperature, fine_temperature=fine_temperature
        )
        network, device = self.average.network, generator.device
        label = self.sample_labels(n, generator, labels)
        also = [] if label is None else [label]
        uniform = [torch.rand(n, *shape, generator=generator, device=device) for shape in network.noise_shapes()]

        noise = [temperature * logistic(u) for u in uniform]
        noise = [z * (fine_temperature, middle_temperature, 1.0)[min(i // 3, 2)] for i, z in enumerate(noise)]

        def invert(*inputs: Tensor) -> Tensor:
            maps, label = inputs[: len(noise)], inputs[-1] if also else None
            return ((network.unfold(list(maps), label) + 1) * 128).floor().clamp(0, 255).to(torch.uint8)

        with torch.autocast(device.type, enabled=False):
            # matrix products round differently for another number of rows: hence a batch size that no caller chooses
            coarsest = in_batches(network.unmix, 1000, [noise[-1], *also])
            return in_batches(invert, batch_size, [*noise[:-1], coarsest, *also])

    def show(self, images: Tensor, generator: Generator) -> Showing:
        network = self.average.network
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        y = (images.float() + uniform) / 128 - 1
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            frequencies = self.label_frequencies(len(y))
            noise, _ = network(y, frequencies)
            again = network.inverse(list(noise), frequencies)
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
                ),
                "temperatures": (
                    "Samples from the same noise, multiplied by "
                    + ", ".join(f"{temperature:g}" for temperature in TEMPERATURES)
                    + " from top to bottom",
                    self._at_temperatures(generator),
                ),
            },
        )

    def _at_temperatures(self, generator: Generator) -> Tensor:
        """uint8 `[temperatures, 12, C, H, W]`, a column from the same noise."""
        state = generator.get_state()
        found = []
        for temperature in TEMPERATURES:
            generator.set_state(state)
            found.append(self.sample(12, generator, temperature=temperature))
        return rows(*found)

    @torch.no_grad()
    def represent(self, images: Tensor, _generator: Generator) -> Mapping[str, Tensor]:
        """The noise to which the flow maps an image whose values lie in the middle of their levels' bins."""
        with torch.autocast(images.device.type, enabled=False):
            noise, _ = self.average.network((images.float() + 0.5) / 128 - 1, self.label_frequencies(len(images)))
        return {"noise": torch.cat([z.flatten(1) for z in noise], dim=1)}

    def components(self) -> list[Component]:
        network, (channels, height, width) = self.network, self.shape
        found = [
            Component(
                "dequantizer",
                "fills the gaps between levels",
                [network.dequantizer],
                [self.shape],
                [self.shape],
                ("image",),
                samples=False,
            )
        ]
        for i, scale in enumerate(network.scales):
            whole, part = (channels, height >> i, width >> i), (channels, height >> i + 1, width >> i + 1)
            outputs = [part] * 4  # the first is kept, three are noise
            before, n = found[-1].name, len(cast(Scale, scale).conditioners)
            found.append(Component(f"scale {i + 1}", "coupling", [scale], [whole], outputs, (before,), n))
        last = found[-1].outputs[0]
        for name, kind, couplings in (
            ("checkerboard", "checkerboard coupling", network.coarsest),
            ("dense", "dense coupling", network.dense),
        ):
            if len(couplings):
                before = found[-1].name
                found.append(Component(name, kind, [couplings], [last], [last], (before,), len(couplings)))
        return found

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return list(self.network.noise_shapes())

    def sampling_parameters(self) -> int:
        network = self.average.network
        return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("dequantizer"))

    def _bound(
        self, network: FlowNetwork, images: Tensor, uniform: Tensor, label: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """-(log p(x + u) - log q(u | x)) and log q in nats `[B]`, u drawn from q by `uniform`."""
        u, log_q = network.dequantizer(to_float(images), uniform)
        return self._nats(network, images, u, label) + log_q, log_q

    def _nats(self, network: FlowNetwork, images: Tensor, u: Tensor, label: Tensor | None) -> Tensor:
        """-log p(x + u) in nats `[B]`. The network's density is over y = (x + u) / 128 - 1: over x + u it is p(y) / 128
        in every dimension.
        """
        y = (images.float() + u) / 128 - 1
        return math.prod(self.shape) * math.log(128) - network.log_density(y, label)


def _noise_picture(noise: list[Tensor]) -> Tensor:
    """Noise maps put where their pixels are, as images in [-1, 1] (one standard deviation is a third)."""
    *maps, y = noise
    while maps:
        below, right, diagonal = maps.pop(), maps.pop(), maps.pop()
        y = join(y, diagonal, right, below)
    return y / (3 * math.pi / math.sqrt(3))
