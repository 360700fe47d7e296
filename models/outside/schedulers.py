"""Sampling by a scheduler of diffusers, and whether it does that right, on a Gaussian whose denoiser is known."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from equibench_models.contract import Shape

MEAN, SPREAD = 0.2, 0.3  # of the Gaussian whose exact denoiser a scheduler has to sample
GAUSSIAN_IMAGES, GAUSSIAN_SIDE = 64, 8
LEAST_START = 0.9  # share of the training's time at which sampling has to begin, as it begins from noise alone
Network = Callable[[Tensor, Tensor], Tensor]
GAUSSIAN_STEPS = 50


class UnusableError(Exception):
    """A folder of diffusers, or a scheduler, cannot be used, for the reason that it says."""


@torch.no_grad()
def walked(
    scheduler: Any, network: Network, generators: list[Generator], shape: Shape, steps: int, device: torch.device
) -> Tensor:
    """Images `[B, C, H, W]` in about [-1, 1], one for each generator of the processor's, by a new scheduler.

    Raises UnusableError where the first step is not near the end of the training's noise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the library calls and others have deprecated
        return _walked(scheduler, network, generators, shape, steps, device)


def _walked(
    scheduler: Any, network: Network, generators: list[Generator], shape: Shape, steps: int, device: torch.device
) -> Tensor:
    scheduler.set_timesteps(steps)
    first, last = float(scheduler.timesteps[0]), scheduler.config.num_train_timesteps
    if first < LEAST_START * last:
        raise UnusableError(
            f"its {steps} steps begin at {first:g} of {last} in the training's time, where images are no noise yet; "
            "take another number of steps, or another timestep_spacing"
        )
    x = torch.cat([torch.randn(1, *shape, generator=one) for one in generators]).to(device)
    x = x * float(scheduler.init_noise_sigma)
    takes = inspect.signature(scheduler.step).parameters
    options = {"generator": generators} if "generator" in takes else {}
    for t in scheduler.timesteps:
        given = network(scheduler.scale_model_input(x, t), t.to(device))
        x = scheduler.step(given, t, x, **options).prev_sample
    return x


def fault_of(name: str, made: Callable[[str], Any], saved: Any) -> str:
    """Why a scheduler is not offered: it is none of this network's, or samples the Gaussian N(MEAN, SPREAD^2), whose
    exact denoiser is known, with another mean or spread.
    """
    known = {kind.__name__ for kind in saved.compatibles} | {type(saved).__name__}
    if name not in known:
        return f"the scheduler {name} does not fit the one that was saved, {type(saved).__name__}"
    try:
        scheduler = made(name)
        if name == "DDIMScheduler" and scheduler.config.timestep_spacing == "linspace":
            return "DDIM steps by a fixed stride, which linspace does not have"
        generators = [Generator().manual_seed(seed) for seed in range(GAUSSIAN_IMAGES)]
        shape = (1, GAUSSIAN_SIDE, GAUSSIAN_SIDE)
        denoiser = _denoiser(saved)
        found = walked(scheduler, denoiser, generators, shape, GAUSSIAN_STEPS, torch.device("cpu"))
    except Exception as error:  # of a scheduler that needs another package, or other calls
        return f"the scheduler {name} fails ({type(error).__name__}: {str(error)[:100]})"
    mean, spread = float(found.mean()), float(found.std())
    noise = 5 * SPREAD / math.sqrt(found.numel())
    if abs(mean - MEAN) > noise + 0.02 or abs(spread - SPREAD) > noise + 0.03:
        return (
            f"the scheduler {name} samples a Gaussian of mean {MEAN} and deviation {SPREAD} as {mean:.3f}, {spread:.3f}"
        )
    return ""


def _denoiser(saved: Any) -> Network:
    """What a perfect network would give for x_t = sqrt(a) x + sqrt(1 - a) e with x of N(MEAN, SPREAD^2), in the terms
    that the saved one was trained for: the noise, the image, or v.
    """
    kept, terms = saved.alphas_cumprod.double(), saved.config.get("prediction_type", "epsilon")

    def network(x: Tensor, t: Tensor) -> Tensor:
        place = float(t)
        low = min(max(int(place), 0), len(kept) - 1)
        high = min(low + 1, len(kept) - 1)
        a = float(kept[low] ** (1 - (place - low)) * kept[high] ** (place - low))
        image = MEAN + (x - math.sqrt(a) * MEAN) * math.sqrt(a) * SPREAD**2 / (a * SPREAD**2 + 1 - a)
        noise = (x - math.sqrt(a) * image) / math.sqrt(1 - a)
        if terms == "sample":
            return image
        return noise if terms == "epsilon" else math.sqrt(a) * noise - math.sqrt(1 - a) * image

    return network
