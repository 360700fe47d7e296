"""Pictures of what a trained diffusion model learned: one step of the reverse process, and samples by passes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from equibench_models.diffusion.network import DiffusionConfig
from equibench_models.diffusion.process import diffuse
from equibench_models.layers import rows, to_float

PASSES = (2, 3, 5, 10, 25)
Picture = tuple[str, Tensor]


@torch.no_grad()
def one_step(
    predict: Callable[..., tuple[Tensor, Tensor]],
    images: Tensor,
    label: Tensor | None,
    config: DiffusionConfig,
    generator: Generator,
) -> dict[str, Picture]:
    """The mean and the deviation that were learned, of one of uint8 images `[B, C, H, W]` at twelve noise levels, with
    classes given the `label` `[12, classes]`.
    """
    levels = torch.linspace(config.greatest, config.least, 12, device=images.device)
    z, _ = diffuse(to_float(images[:1]).expand(12, *images.shape[1:]), levels, generator)
    clean, code = predict(z, levels, label)
    caption = (
        "An image with more and more noise (top), the clean image that the network estimates from it (middle), and the "
        "learned deviation of the step back (bottom): black where its log variance is the least that an optimal step "
        "can have, white where it is the greatest"
    )
    return {"learned_step": (caption, rows(z, clean, 2 * torch.sigmoid(code) - 1))}


def by_steps(sample: Callable[..., Tensor], generator: Generator) -> dict[str, Picture]:
    """Samples `[passes, 12, C, H, W]`, each column from the same noise at the start."""
    state = generator.get_state()
    found = []
    for steps in PASSES:
        generator.set_state(state)
        found.append(sample(12, generator, steps=steps))
    passes = ", ".join(str(steps) for steps in PASSES)
    return {"passes": (f"Samples from the same noise by {passes} passes, from top to bottom", rows(*found))}
