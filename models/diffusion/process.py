"""The fixed forward process, and the likelihood of its reversal by any denoiser.

Notation as in model.py: z = a x + s e with a^2 = sigmoid(lam), s^2 = sigmoid(-lam), e normal, and lam the log
signal-to-noise ratio. `clean` is a denoiser's estimate of x from z.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from equibench_models.layers import HALF_BIN

Predict = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # z, lam [B] -> clean, deviation codes


def signal_and_noise(lam: Tensor) -> tuple[Tensor, Tensor]:
    """a and s of log signal-to-noise ratios `[B]`, both `[B, 1, 1, 1]`."""
    lam = lam[:, None, None, None]
    return torch.sigmoid(lam).sqrt(), torch.sigmoid(-lam).sqrt()


def diffuse(x: Tensor, lam: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """x `[B, C, H, W]` in [-1, 1] -> (z, e): noisy images at log signal-to-noise ratios `lam` `[B]`, and the noise."""
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    a, s = signal_and_noise(lam)
    return a * x + s * noise, noise


def reverse(code: Tensor | None, lam: Tensor, lam_next: Tensor) -> tuple[Tensor, Tensor]:
    """The step from lam `[B]` to the greater lam_next: the weight c of the clean image in the mean `[B, 1, 1, 1]`, and
    the log variance, of the shape of `code` `[B, C, H, W]`.

    c = 1 - e^(lam - lam_next). The true posterior's variance s_next^2 c and the forward step's s^2 c bound what an
    optimal reverse step needs; the code says where between them, in logs (iDDPM, eq. 15). Without a code, the least.
    """
    weight = -torch.expm1(lam - lam_next)[:, None, None, None]
    (_, s), (_, s_next) = signal_and_noise(lam), signal_and_noise(lam_next)
    least = torch.log(s_next**2 * weight)
    if code is None:
        return weight, least
    return weight, least + torch.sigmoid(code) * 2 * torch.log(s / s_next)


def step_kl(x: Tensor, clean: Tensor, code: Tensor, lam: Tensor, lam_next: Tensor) -> Tensor:
    """KL(q(z_next | z, x) || p(z_next | z)) of one step in nats a sub-pixel `[B, C, H, W]` (DDPM, eqs. 6 to 8)."""
    weight, log_variance = reverse(code, lam, lam_next)
    a_next, s_next = signal_and_noise(lam_next)
    true_variance = s_next**2 * weight
    squared = (a_next * weight * (x - clean)) ** 2
    return 0.5 * (log_variance - torch.log(true_variance) - 1 + (true_variance + squared) * torch.exp(-log_variance))


def log_gaussian_mass(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log probability (nats a sub-pixel) of levels x in [-1, 1] under a Gaussian that is cut into the 256 bins, the
    outer ones open (DDPM, eq. 13); x, mean and std `[B, C, H, W]`.
    """
    upper = ((x - mean + HALF_BIN) / std).masked_fill(x > 1 - HALF_BIN, math.inf)
    lower = ((x - mean - HALF_BIN) / std).masked_fill(x < -1 + HALF_BIN, -math.inf)
    # worked in the lower tail, where log_ndtr keeps its digits; mirrored if the bin lies in the upper one
    mirrored = upper + lower > 0
    upper, lower = torch.where(mirrored, -lower, upper), torch.where(mirrored, -upper, lower)
    log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower.clamp(min=-1e4))
    log_mass: Tensor = log_upper + torch.log(-torch.expm1((log_lower - log_upper).clamp(max=-1e-6)))
    return log_mass


def log_normal(e: Tensor) -> Tensor:
    """log density of the standard normal distribution, nats an entry."""
    return -0.5 * (e**2 + math.log(2 * math.pi))


def prior_nats(x: Tensor, lam: Tensor) -> Tensor:
    """KL(q(z | x) || N(0, I)) at the end of the forward process, nats `[B]` (DDPM, eq. 5)."""
    a, s = signal_and_noise(lam)
    return 0.5 * (a**2 * x**2 + s**2 - 1 - 2 * torch.log(s)).sum(dim=(1, 2, 3))


def continuous_rate(x: Tensor, clean: Tensor, lam: Tensor) -> Tensor:
    """Nats `[B]` a unit of lam that the bound of infinitely many steps takes: e^lam |x - clean|^2 / 2 (VDM, eq. 18)."""
    return 0.5 * torch.exp(lam) * (x - clean).square().sum(dim=(1, 2, 3))


def flow_log_density(
    z: Tensor, predict: Predict, greatest: float, least: float, steps: int, generator: Generator
) -> Tensor:
    """log p(z) in nats `[B]` of images z at `greatest` under the probability-flow ODE down to `least`, where z is
    standard normal (Song et al. 2021, eq. 39); the trace by one Rademacher probe.

    In y = z / a and w = log(s / a) = -lam / 2 the ODE is dy/dw = y - clean, and d log p(y)/dw = -(D - tr dclean/dy).
    Second order in equal steps of lam: y's own growth is integrated exactly, clean and the trace by two points (ETD2RK,
    Cox & Matthews 2002).
    """
    probe = torch.randint(0, 2, z.shape, generator=generator, device=z.device) * 2.0 - 1
    dims = z[0].numel()

    def estimate(y: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
        """clean, and the estimate of tr dclean/dy `[B]`."""
        a, _ = signal_and_noise(lam)
        with torch.enable_grad():
            y = y.detach().requires_grad_(True)
            clean, _ = predict(a * y, lam)
            (product,) = torch.autograd.grad(clean, y, probe.to(clean.dtype))
        return clean.detach(), (product * probe).sum(dim=(1, 2, 3))

    grid = torch.linspace(greatest, least, steps + 1, device=z.device)[:, None].expand(-1, len(z))
    h = (greatest - least) / steps / 2  # of w
    ends = torch.cat([grid[0], grid[-1]])  # not grid[[0, -1]], whose indices would be copied to the device
    log_a = torch.log(signal_and_noise(ends)[0]).flatten().unflatten(0, (2, -1))
    y = z / torch.exp(log_a[0])[:, None, None, None]
    trace = torch.zeros(len(z), device=z.device)
    for lam, lam_next in itertools.pairwise(grid):
        clean, trace_here = estimate(y, lam)
        ahead = clean + math.exp(h) * (y - clean)
        clean_next, trace_next = estimate(ahead, lam_next)
        y = ahead - (math.expm1(h) - h) / h * (clean_next - clean)
        trace = trace + h / 2 * (trace_here + trace_next)
    end = log_normal(y * torch.exp(log_a[1])[:, None, None, None]).sum(dim=(1, 2, 3))
    log_density: Tensor = end + dims * (log_a[1] - log_a[0] + (greatest - least) / 2) - trace
    return log_density


def spread_draws(x: Tensor, generator: Generator, i: int, n: int) -> Tensor:
    """Draws `[B]` of the i-th of n strata of (0, 1), evenly spread over the batch too, which takes most of the levels'
    scatter out of the mean over images (VDM, appendix I.1); each is uniform by itself.
    """
    place = torch.randperm(len(x), generator=generator, device=x.device)
    return (i + (place + torch.rand(len(x), generator=generator, device=x.device)) / len(x)) / n


def stratified(n: int, device: torch.device) -> Tensor:
    """n uniform numbers, one in each n-th of (0, 1)."""
    return (torch.arange(n, device=device) + torch.rand(n, device=device)) / n
