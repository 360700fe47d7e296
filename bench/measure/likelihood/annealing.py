"""Annealed importance sampling of log p(x) through a decoder (Neal 2001; Wu et al. 2017), with a bracket of its error.

The model is z ~ N(0, I), x = G(z) + sigma e, for images in [0, 1]. A chain of distributions p(z) p(x | z)^beta leads
from the prior (beta 0) to the posterior (beta 1); the mean of the weights gathered on the way is an unbiased estimate
of p(x), so that its log is a lower bound in expectation. On images that the model itself made, the chain can also be
run backwards from an exact posterior draw, which bounds log p(x) from above (Grosse et al. 2015, BDMC). Both hold for
step sizes that do not depend on the chain. As in Wu et al. (2017), each chain steers its own by what it accepted, which
is neglected.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.measuring import Annealing
from equibench.record.schema import DecoderLikelihood
from equibench_models.contract import Model

ACCEPTANCE = 0.65  # that the step sizes are steered to (Wu et al. 2017)
Decoder = Callable[[Tensor], Tensor]  # z [B, D] -> means [B, ...]


@dataclass(frozen=True)
class Chains:
    """log weights `[chains, N]` in nats, and the share of moves that were accepted."""

    log_weights: Tensor
    acceptance: float


def log_joint(decoder: Decoder, z: Tensor, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """log p(z) and log p(x | z) in nats, each `[B]`, for z `[B, D]` and x `[B, ...]`."""
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1)
    error = (x - decoder(z)).flatten(1) / sigma
    log_observation = -0.5 * error.square().sum(dim=1) - error.shape[1] * (
        math.log(sigma) + 0.5 * math.log(2 * math.pi)
    )
    return log_prior, log_observation


def schedule(temperatures: int) -> list[float]:
    """beta from 0 to 1 in `temperatures` steps, slow at both ends (a sigmoid from -4 to 4, rescaled)."""
    steps = torch.sigmoid(torch.linspace(-4, 4, temperatures + 1, dtype=torch.float64))
    return [float(b) for b in (steps - steps[0]) / (steps[-1] - steps[0])]


def anneal(
    decoder: Decoder,
    x: Tensor,
    start: Tensor,
    generator: torch.Generator,
    *,
    sigma: float,
    temperatures: int,
    leapfrog_steps: int,
    backwards: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Chains:
    """Chains from `start` `[chains, N, D]` for x `[N, ...]`: draws of the prior, or `backwards`, of the posterior.

    Forwards, the mean of exp(log weight) has p(x) as its expectation; backwards, that of exp(-log weight) has 1 / p(x).
    """
    chains, n, dims = start.shape
    z = start.reshape(-1, dims)
    x = x.repeat(chains, *[1] * (x.ndim - 1))
    betas = schedule(temperatures)
    if backwards:
        betas.reverse()
    log_weights = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    step = torch.full((len(z), 1), 0.1, device=z.device)
    accepted = torch.zeros((), dtype=torch.float64, device=z.device)

    def energy(z: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
        """-log of the annealed density, its gradient, and log p(x | z)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            log_prior, log_observation = log_joint(decoder, z, x, sigma)
            value = -(log_prior + beta * log_observation)
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient, log_observation.detach()

    observed = energy(z, 0.0)[2]
    # each weight, then a move that keeps the distribution stepped to: backwards too, as the posterior needs no move
    for i, (beta, following) in enumerate(itertools.pairwise(betas)):
        log_weights += (following - beta) * observed.double()
        value, gradient, _ = energy(z, following)
        momentum = torch.randn(z.shape, generator=generator, device=z.device)
        before = value + 0.5 * momentum.square().sum(dim=1)
        moved = z
        for _ in range(leapfrog_steps):
            momentum = momentum - 0.5 * step * gradient
            moved = moved + step * momentum
            value, gradient, seen = energy(moved, following)
            momentum = momentum - 0.5 * step * gradient
        gain = before - value - 0.5 * momentum.square().sum(dim=1)
        accept = torch.rand(len(z), generator=generator, device=z.device).log() < gain
        z = torch.where(accept[:, None], moved, z)
        observed = torch.where(accept, seen, observed)
        step = (step * torch.where(accept, 1.02, 0.98 ** (ACCEPTANCE / (1 - ACCEPTANCE)))[:, None]).clamp(1e-6, 1.0)
        accepted += accept.float().mean()  # read at the end: reading waits for the device
        progress((i + 1) / temperatures)
    signed = -log_weights if backwards else log_weights
    return Chains(signed.reshape(chains, n), float(accepted) / temperatures)


def lower_bound(chains: Chains) -> Tensor:
    """log of the mean weight over the chains, nats `[N]`: below log p(x) in expectation."""
    return torch.logsumexp(chains.log_weights, dim=0) - math.log(len(chains.log_weights))


def upper_bound(chains: Chains) -> Tensor:
    """The same of backward chains: above log p(x) in expectation, nats `[N]`."""
    return -(torch.logsumexp(-chains.log_weights, dim=0) - math.log(len(chains.log_weights)))


def measure(
    model: Model,
    setting: Annealing,
    images: NDArray[np.uint8],
    device: torch.device,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> DecoderLikelihood:
    """log p(x) of the first of `images` (uint8 `[N, C, H, W]`), as many as the setting says or there are, with uniform
    noise, and the bracket.
    """
    generator = torch.Generator(device).manual_seed(seed)
    n = min(setting.images, len(images))

    def decoder(z: Tensor) -> Tensor:
        return (model.decode(z).float() + 1) / 2

    def prior(chains: int) -> Tensor:
        return torch.randn(chains, n, model.latent_dims, generator=generator, device=device)

    def run(x: Tensor, start: Tensor, third: int, *, backwards: bool = False) -> Chains:
        return anneal(
            decoder,
            x,
            start,
            generator,
            sigma=setting.sigma,
            temperatures=setting.temperatures,
            leapfrog_steps=setting.leapfrog_steps,
            backwards=backwards,
            progress=lambda share: progress((third + share) / 3),
        )

    noise = torch.rand((n, *images.shape[1:]), generator=generator, device=device)
    x = (torch.from_numpy(images[:n]).to(device) + noise) / 256
    forward = run(x, prior(setting.chains), 0)
    found = lower_bound(forward)

    truth = prior(1)
    with torch.no_grad():
        clean = decoder(truth[0])
    made = clean + setting.sigma * torch.randn(clean.shape, generator=generator, device=device)
    lower = lower_bound(run(made, prior(setting.chains), 1))
    upper = upper_bound(run(made, truth, 2, backwards=True))
    return DecoderLikelihood(
        sigma=setting.sigma,
        n_images=n,
        chains=setting.chains,
        temperatures=setting.temperatures,
        leapfrog_steps=setting.leapfrog_steps,
        acceptance=forward.acceptance,
        log_likelihood_nats=float(found.mean()),
        stderr_nats=float(found.std() / math.sqrt(n)),
        simulated_lower_nats=float(lower.mean()),
        simulated_upper_nats=float(upper.mean()),
    )
