"""Diffusion: a fixed Gaussian forward process, and a learned reverse process whose means and deviations are learned.

Ho et al. 2020 (DDPM) for the chain and its bound, Nichol & Dhariwal 2021 (iDDPM) for the learned deviations, Kingma et
al. 2021 (VDM) for the parametrisation by the log signal-to-noise ratio and for Fourier features, Salimans & Ho 2022
for v, Lu et al. 2022 (DPM-Solver++) for the fast samplers.

Notation: z = a x + s e with a^2 = sigmoid(lam), s^2 = sigmoid(-lam), e normal, and lam the log signal-to-noise ratio.
The chain has T steps at equal distances of lam, from `greatest` (step 1) down to `least` (step T).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from equibench_models.about import ABOUT
from equibench_models.contract import Bound, Component, Model, Shape, Showing
from equibench_models.diffusion.components import components
from equibench_models.diffusion.network import Denoiser, DiffusionConfig, predict
from equibench_models.diffusion.process import (
    continuous_rate,
    diffuse,
    flow_log_density,
    log_gaussian_mass,
    log_normal,
    prior_nats,
    signal_and_noise,
    spread_draws,
    step_kl,
    stratified,
)
from equibench_models.diffusion.samplers import USUAL_SAMPLER, USUAL_STEPS, DiffusionOptions, Sampler, reverse_steps
from equibench_models.diffusion.showing import by_steps, one_step
from equibench_models.layers import Average, Scalar, learning_rate, rows, step, to_float, to_uint8
from equibench_models.muon import optimizers

ODE_STEPS = 50
LEVEL_READ = 2.0  # log signal-to-noise ratio at which features are read: about where most of the training is


class Diffusion(Model):
    """Minimises the error of v and, weighted less, the bound of the chain. From the KL of its steps only the deviations
    learn, as in iDDPM (section 3.1); from its last step, which gives the pixels, the estimate learns too.
    """

    config_type = DiffusionConfig
    options_type = DiffusionOptions
    config: DiffusionConfig
    likelihood = "upper bound"
    dequantization = "none"
    shared = True
    capturable = True
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{f"{steps} steps": {"steps": steps} for steps in (2, 3, 5, 8, 15, 25, 50)},
        "1000 ancestral steps": {"sampler": "ancestral", "steps": 1000},  # as many as the bound has, by default
    }
    about = ABOUT["diffusion"]

    def __init__(self, config: DiffusionConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.network = Denoiser(config, shape).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average_gamma)
        self.nats_detail = {"chain_steps": config.chain_steps, "steps_drawn_an_image": config.bound_steps}
        self.bounds = {**self.bounds, "full chain": replace(self.bounds["full chain"], steps=config.chain_steps)}
        self._muon, self._adam = optimizers(
            self.network, config.optimizer, (0.9, 0.99), config.weight_decay, edges=("stem", "head", "embed", "label")
        )

    def update(self, images: Tensor, progress: Scalar = 0.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Mean squared error of v, plus the bound's terms: the KL of its steps, with `deviation_weight`, from which the
        deviations alone learn (iDDPM, section 3.1), and its last step, from which the estimate learns too.
        """
        config, part, n = self.config, self.part, len(images)
        levels, n_last = self._training_levels(n, images.device)
        noise = part.of(torch.randn(images.shape, device=images.device))
        x, lam, last_here = to_float(part.of(images)), part.of(levels), part.count(n_last)
        a, s = signal_and_noise(lam)
        z = a * x + s * noise
        v, code = self.network(z, lam, self.one_hot(labels if labels is None else part.of(labels)))
        clean = a * z - s * v
        last_step = part.mean(-log_gaussian_mass(x, clean, self._last_std(code, lam))[:last_here], n_last)
        distance = (config.greatest - config.least) / (config.chain_steps - 1)
        kl = step_kl(x, clean.detach(), code, lam, lam + distance)[last_here:]
        squared_error = part.mean((v - (a * noise - s * x)) ** 2, n)
        deviations = config.deviation_weight * config.chain_steps * part.mean(kl, n - n_last)
        loss, rate = squared_error + deviations + last_step * n_last / n, learning_rate(config.learning_rate, progress)
        norm = step((self._muon, self._adam), loss, rate, part, clip=1.0)
        self.average.update(self.network)
        losses = {"v_squared_error": squared_error, "last_step_bits_per_dim": last_step / math.log(2)}
        return {**losses, "gradient_norm": part.share(norm)}

    @torch.no_grad()
    def nats(self, images: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Unbiased estimate of the negative variational bound in nats (DDPM, eq. 5): last step, the chain's prior term,
        and T - 1 times the mean KL over `bound_steps` of its other steps.
        """
        return self._chain(images, generator, self.config.chain_steps, self.config.bound_steps, labels)

    @torch.no_grad()
    def _full_chain(
        self, images: Tensor, generator: Generator, steps: int | None, labels: Tensor | None = None
    ) -> Tensor:
        """The same with all of `steps` summed."""
        chain_steps = steps or self.config.chain_steps
        return self._chain(images, generator, chain_steps, chain_steps - 1, labels)

    def _chain(
        self, images: Tensor, generator: Generator, chain_steps: int, drawn: int, labels: Tensor | None
    ) -> Tensor:
        """The bound of a chain of so many steps by `drawn` of them."""
        config, x, label = self.config, to_float(images), self.one_hot(self.checked_labels(labels, len(images)))
        total = self._last_step(x, label, generator)[0] + self._prior(x)
        distance = (config.greatest - config.least) / (chain_steps - 1)
        for i in range(drawn):
            # t runs over 2..T, from each lam to the one before it in the chain
            t = 2 + (spread_draws(x, generator, i, drawn) * (chain_steps - 1)).floor().clamp(max=chain_steps - 2)
            lam = config.greatest - (t - 1) * distance
            clean, code = predict(self.average.network, diffuse(x, lam, generator)[0], lam, label)
            kl = step_kl(x, clean, code, lam, lam + distance).sum(dim=(1, 2, 3))
            total = total + (chain_steps - 1) / drawn * kl
        return total

    @torch.no_grad()
    def _continuous(
        self, images: Tensor, generator: Generator, _steps: int | None, labels: Tensor | None = None
    ) -> Tensor:
        """The limit of infinitely many steps (VDM), by `bound_steps` draws."""
        config, x, label = self.config, to_float(images), self.one_hot(self.checked_labels(labels, len(images)))
        total = self._last_step(x, label, generator)[0] + self._prior(x)
        width = config.greatest - config.least
        for i in range(config.bound_steps):
            lam = config.least + width * spread_draws(x, generator, i, config.bound_steps)
            clean, _ = predict(self.average.network, diffuse(x, lam, generator)[0], lam, label)
            total = total + width / config.bound_steps * continuous_rate(x, clean, lam)
        return total

    @torch.no_grad()
    def _flow_density(
        self, images: Tensor, generator: Generator, steps: int | None, labels: Tensor | None = None
    ) -> Tensor:
        """Last step, log q of the noisy image z of step 1, and the density of z by the probability flow."""
        x, label = to_float(images), self.one_hot(self.checked_labels(labels, len(images)))
        last, z, noise = self._last_step(x, label, generator)
        _, s = signal_and_noise(torch.full((len(x),), self.config.greatest, device=x.device))
        log_q = (log_normal(noise) - torch.log(s)).sum(dim=(1, 2, 3))
        ends = self.config.greatest, self.config.least
        by_network = partial(predict, self.average.network, label=label)
        return last + log_q - flow_log_density(z, by_network, *ends, steps or ODE_STEPS, generator)

    bounds: Mapping[str, Bound] = {
        "full chain": Bound("upper bound", "none", "the usual bound with all steps summed", _full_chain, steps=1000),
        "continuous time": Bound(
            "upper bound", "none", "the limit of infinitely many steps (Kingma et al. 2021)", _continuous
        ),
        "probability-flow ODE": Bound(
            "estimate",
            "Gaussian",
            "density of the noisy image of step 1 by the flow (Song et al. 2021), Hutchinson's trace",
            _flow_density,
            steps=ODE_STEPS,
        ),
    }

    def _last_step(self, x: Tensor, label: Tensor | None, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """-log p(x | z) in nats `[B]` of a noisy z of step 1, z and the noise in it."""
        first = torch.full((len(x),), self.config.greatest, device=x.device)
        z, noise = diffuse(x, first, generator)
        clean, code = predict(self.average.network, z, first, label)
        return -log_gaussian_mass(x, clean, self._last_std(code, first)).sum(dim=(1, 2, 3)), z, noise

    def _prior(self, x: Tensor) -> Tensor:
        return prior_nats(x, torch.full((len(x),), self.config.least, device=x.device))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator,
        *,
        batch_size: int = 250,
        sampler: Sampler = USUAL_SAMPLER,
        steps: int = USUAL_STEPS,
        labels: Tensor | None = None,
    ) -> Tensor:
        """`sde-dpm-solver++` and `dpm-solver++` solve the reverse process and its probability-flow equation in few
        steps, second order; `ancestral` draws from the learned reverse process, by the chain's own steps where there
        are `chain_steps`, else by larger ones. As in DDPM it clips each estimate and ends with the last, which the
        bound does not.
        """
        DiffusionOptions(sampler=sampler, steps=steps)  # raises for a sampler that is none
        label = self.sample_labels(n, generator, labels)
        start = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        for clean, _ in self._reverse(start, label, generator, batch_size, sampler, steps):
            last = clean  # the steps before it are let go: a thousand of them would fill a machine's memory
        return to_uint8(last)

    def show(self, images: Tensor, generator: Generator) -> Showing:
        shown, snapshots = 4, 12
        x = to_float(images[:shown])
        levels = torch.linspace(self.config.greatest, self.config.least, snapshots, device=x.device)
        forward = torch.stack([diffuse(x, lam.expand(shown), generator)[0] for lam in levels], dim=1)
        start = torch.randn(shown, *self.shape, generator=generator, device=x.device)
        steps, label = 8 * snapshots, self.sample_labels(shown, generator, None)
        middle = torch.zeros(len(images), device=x.device)
        with torch.no_grad():
            chain = [z for _, z in self._reverse(start, label, generator, shown, "ancestral", steps)]
            z, _ = diffuse(to_float(images), middle, generator)
            clean, code = predict(self.average.network, z, middle, self.label_frequencies(len(z)))
        shares = torch.linspace(0, 1, snapshots)[1:]
        kept = [chain[round(float(share) * (steps - 1))] for share in shares]
        reverse = torch.stack([start, *kept], dim=1)
        return Showing(
            numbers={
                # at equal parts of signal and noise, where guessing the mean image would cost the data's variance
                "denoising_mean_squared_error_at_equal_noise": float((clean - to_float(images)).square().mean()),
                "learned_share_between_least_and_greatest_log_variance": float(torch.sigmoid(code).mean()),
            },
            pictures={
                "forward_chain": ("The fixed forward process: noise added step by step", rows(*forward)),
                "reverse_chain": (f"The learned reverse process, {steps} steps from noise to images", rows(*reverse)),
                **one_step(
                    partial(predict, self.average.network), images, self.label_frequencies(12), self.config, generator
                ),
                **by_steps(self.sample, generator),
            },
        )

    @torch.no_grad()
    def represent(self, images: Tensor, generator: Generator) -> Mapping[str, Tensor]:
        """Means of the denoiser's coarsest maps for the images with some noise."""
        lam = torch.full((len(images),), LEVEL_READ, device=images.device)
        z, _ = diffuse(to_float(images), lam, generator)
        return {"denoiser": self.average.network.features(z, lam, self.label_frequencies(len(images)))}

    def components(self) -> list[Component]:
        return components(self.network, self.config, self.shape)

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return [self.shape]

    def network_evaluations(self, **options: Any) -> int:
        return int(options.get("steps", USUAL_STEPS))

    def sampling_parameters(self) -> int:
        return sum(p.numel() for p in self.average.network.parameters())

    def _training_levels(self, n: int, device: torch.device) -> tuple[Tensor, int]:
        """Log signal-to-noise ratios of a batch `[n]`: first the last step's share, then even ones, then those drawn
        around the focus, each part stratified.
        """
        config = self.config
        n_last = max(1, n // 16)
        n_even = max(1, round(n * config.even_share) - n_last)
        even = config.greatest + (config.least - config.greatest) * stratified(n_even, device)
        normal = torch.special.ndtri(stratified(n - n_last - n_even, device).clamp(1e-4, 1 - 1e-4))
        focus = (config.focus_mean + config.focus_std * normal).clamp(config.least, config.greatest)
        return torch.cat([torch.full((n_last,), config.greatest, device=device), even, focus]), n_last

    def _last_std(self, code: Tensor, lam: Tensor) -> Tensor:
        """Deviation of p(x | z) at step 1: between 0.02 and 2 times the deviation of the noise in z."""
        return 2 * signal_and_noise(lam)[1] * torch.exp(-math.log(100) * torch.sigmoid(code - 1))

    def _reverse(
        self, z: Tensor, label: Tensor | None, generator: Generator, batch_size: int, sampler: Sampler, steps: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """`reverse_steps` of the averaged network, over the whole range of levels."""
        levels = torch.linspace(self.config.least, self.config.greatest, steps, device=z.device)
        by_network = partial(predict, self.average.network)
        return reverse_steps(by_network, z, label, levels, generator, batch_size, sampler)
