"""Ways back from noise to an image: solvers of few steps, and the learned chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from equibench_models.contract import Options
from equibench_models.diffusion.process import reverse, signal_and_noise
from equibench_models.layers import in_batches

Sampler = Literal["sde-dpm-solver++", "dpm-solver++", "ancestral"]
USUAL_SAMPLER: Sampler = "sde-dpm-solver++"
USUAL_STEPS = 10


class DiffusionOptions(Options):
    """Settings of the sampler."""

    sampler: Sampler = Field(USUAL_SAMPLER, description="how the reverse process is solved, or drawn from")
    steps: int = Field(USUAL_STEPS, ge=1, le=100_000, description="passes through the network")


def reverse_steps(
    predict: Callable[..., tuple[Tensor, Tensor]],
    z: Tensor,
    label: Tensor | None,
    levels: Tensor,
    generator: Generator,
    batch_size: int,
    sampler: Sampler,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Steps of the reverse process from noise `z` `[n, C, H, W]`: (estimated clean images in [-1, 1], less noisy z)
    after each, the last without noise. `levels` `[steps]` are the log signal-to-noise ratios, at equal distances from
    the least on. `predict` gives the clean images and the code of the deviations, of z, `levels` `[n]` and, with
    classes, `label` `[n, classes]`.

    The solvers (Lu et al. 2022, DPM-Solver++(2M), with and without noise) guess by a line through this estimate and the
    one before what it will be half a step ahead.
    """
    before: Tensor | None = None
    for i, lam in enumerate(levels):

        def both_halves(z: Tensor, *label: Tensor, lam: Tensor = lam) -> Tensor:
            """The prediction as one tensor, which is what `in_batches` puts together."""
            return torch.stack(predict(z, lam.expand(len(z)), *label), dim=1)

        clean, code = in_batches(both_halves, batch_size, [z] if label is None else [z, label]).unbind(dim=1)
        clean = clean.clamp(-1, 1)
        if i + 1 == len(levels):
            yield clean, clean
            return
        learned = sampler == "ancestral"
        ahead = clean if learned or before is None else 1.5 * clean - 0.5 * before
        before = clean
        lam_next = levels[i + 1]
        (a, s), (a_next, s_next) = signal_and_noise(lam[None]), signal_and_noise(lam_next[None])
        if sampler == "dpm-solver++":
            z = s_next / s * z - a_next * torch.expm1((lam - lam_next) / 2) * ahead
        else:
            weight, log_variance = reverse(code if learned else None, lam[None], lam_next[None])
            mean = a_next * (1 - weight) / a * z + a_next * weight * ahead
            noise = torch.randn(z.shape, generator=generator, device=z.device)
            z = mean + torch.exp(0.5 * log_variance) * noise
        yield clean, z
