"""Blocks that at least two families share: image ranges, residual convolutions, schedules, averages, logistic mixtures.

Networks see images in [-1, 1], folded by `pixel_unshuffle(2)` to half the side and four times the channels, since few,
wide, coarse maps are what processors convolve fastest.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equibench_models.cores import of_each
from equibench_models.parts import BatchPart
from equibench_models.quantiles import quantiles

Scalar = float | Tensor  # a tensor without axes on the device, where a CUDA graph reads it
LEVELS = 256
HALF_BIN = 1 / 255  # half the distance of two neighbouring levels in [-1, 1]


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 `[B, C, H, W]` -> float32 in [-1, 1], laid out channels-last for fast convolutions."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def to_uint8(x: Tensor) -> Tensor:
    """Floats in [-1, 1] -> the nearest of the 256 levels, as uint8; values outside are clipped."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def rows(*pictures: Tensor) -> Tensor:
    """Equally many images `[n, C, H, W]` each -> uint8 rows `[len(pictures), n, C, H, W]` for the report."""
    return torch.stack([p if p.dtype == torch.uint8 else to_uint8(p) for p in pictures])


def conv(inputs: int, outputs: int, kernel: int = 3, *, gain: float = 1.0) -> nn.Conv2d:
    """A convolution that keeps the side. Its outputs start with `gain` times the deviation of its inputs; with gain 0
    the layer starts silent.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs * kernel**2))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class ResBlock(nn.Module):
    """x + conv(act(conv(act(x)))), without normalisation: its last convolution starts at zero instead (Zhang et al.
    2019, Fixup), which leaves the time to the convolutions. With `condition` > 0 a vector `[B, condition]` scales and
    shifts the hidden maps.
    """

    def __init__(self, channels: int, condition: int = 0, activation: Callable[[Tensor], Tensor] = F.silu) -> None:
        super().__init__()
        self.activation = activation
        self.first = conv(channels, channels, gain=math.sqrt(2))
        self.last = conv(channels, channels, gain=0)
        self.modulate = nn.Linear(condition, 2 * channels) if condition else None
        if self.modulate is not None:
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h: Tensor = self.first(self.activation(x))
        if self.modulate is not None:
            scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = self.last(self.activation(h))
        return x + out


class Mixer(nn.Module):
    """h + a function of all of h: a map of few channels read from it goes as one vector through two dense layers and
    is written back. Every place sees all others for many weights and next to no FLOPs. It starts silent. With
    `condition` > 0 a vector `[B, condition]` shifts the hidden units.
    """

    def __init__(self, channels: int, basis: int, hidden: int, places: tuple[int, int], condition: int = 0) -> None:
        super().__init__()
        self.basis_shape = (basis, *places)
        size = math.prod(self.basis_shape)
        self.squeeze = conv(channels, basis, 1)
        self.read = nn.Linear(size, hidden)
        self.condition = nn.Linear(condition, hidden) if condition else None
        self.write = nn.Linear(hidden, size)
        self.widen = conv(basis, channels, 1, gain=0)

    def forward(self, h: Tensor, condition: Tensor | None = None) -> Tensor:
        hidden = self.read(self.squeeze(F.silu(h)).flatten(1))
        if self.condition is not None:
            hidden = hidden + self.condition(condition)
        written = self.write(F.silu(hidden)).unflatten(1, self.basis_shape)
        out: Tensor = h + self.widen(written.contiguous(memory_format=torch.channels_last))
        return out


def at_most_one(value: Scalar) -> Scalar:
    """The value, or 1 where it is above."""
    return value.clamp(max=1) if isinstance(value, Tensor) else min(1.0, value)


def learning_rate(peak: float, progress: Scalar) -> Scalar:
    """Linear warm-up over the first 3 % of the budget, then the peak, then linearly to zero over the second half."""
    return peak * at_most_one(progress / 0.03 + 0.01) * at_most_one((1 - progress) / 0.5)


def step(
    optimizers: Sequence[torch.optim.Optimizer | None],
    loss: Tensor,
    rate: Scalar,
    part: BatchPart,
    clip: float = math.inf,
) -> Tensor:
    """One step of a network's optimisers at learning rate `rate` on gradients clipped to norm `clip`; returns their
    norm before. The gradient is that of the sum of `loss` over all processes that have a part of the batch.
    """
    there = [optimizer for optimizer in optimizers if optimizer]
    groups = [group for optimizer in there for group in optimizer.param_groups]
    for group in groups:
        group["lr"] = rate
    for optimizer in there:
        optimizer.zero_grad()
    loss.backward()
    parameters = [p for group in groups for p in group["params"]]
    if part.ranks > 1:
        part.add_up([_gradient(p) for p in parameters])
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    for optimizer in there:
        optimizer.step()
    return norm


def _gradient(parameter: Tensor) -> Tensor:
    """The parameter's gradient, set to zeros where it has none: on another process the images may have given one."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


Network = TypeVar("Network", bound=nn.Module)


class Average(nn.Module, Generic[Network]):
    """Average of a network's weights over training, for sampling (Karras et al. 2024, EDM2, eq. 2): after update t it
    keeps (1 - 1/t)^(gamma+1) of itself, so that its horizon is a fixed share of the run, about 1/(gamma+2), however
    long the run is. `updates` is t, a float64 scalar on the device where a CUDA graph counts them.
    """

    def __init__(self, network: Network, gamma: float) -> None:
        super().__init__()
        self.network: Network = copy.deepcopy(network).requires_grad_(False)
        self.gamma = gamma
        self.updates: int | Tensor = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.updates += 1
        fresh = 1 - (1 - 1 / self.updates) ** (self.gamma + 1)
        kept: list[Tensor] = list(self.network.parameters())
        new: list[Tensor] = list(network.parameters())
        if isinstance(fresh, Tensor):
            change = torch._foreach_sub(new, kept)
            torch._foreach_mul_(change, fresh.float())
            torch._foreach_add_(kept, change)
        else:
            torch._foreach_lerp_(kept, new, fresh)


def in_batches(function: Callable[..., Tensor], batch_size: int, tensors: Iterable[Tensor]) -> Tensor:
    """`function` over slices of `tensors` along the first axis, joined; on a processor a slice on each core. Random
    numbers are drawn before, for all images, so that the result does not depend on `batch_size`.
    """
    parts = list(zip(*(tensor.split(batch_size) for tensor in tensors), strict=True))
    if len(parts) == 1:
        return function(*parts[0])
    workers = torch.get_num_threads() if parts[0][0].device.type == "cpu" else 1
    return torch.cat(of_each(lambda slices: function(*slices), parts, workers))


class LogisticMixture:
    """Per pixel and channel a mixture of K logistics; channel d's means are shifted by sum_{e<d} c[d,e] x_e (Salimans
    et al. 2017, PixelCNN++, eq. 3; there for RGB, here for the sub-pixels of a 2x2 block as well).

    `raw`: output `[B, LogisticMixture.size(D, K), H, W]` of a network. x is `[B, D, H, W]` in [-1, 1]. All in float32.
    `pixels` starts the components spread over [-1, 1], two of them narrow at its ends, since saturated levels are
    common and a narrow peak is slow to find; without it they start three times as wide, for latent maps.
    """

    @staticmethod
    def size(channels: int, components: int) -> int:
        return 3 * channels * components + channels * (channels - 1) // 2

    def __init__(self, raw: Tensor, channels: int, components: int, *, pixels: bool = True) -> None:
        raw = raw.float()
        split, shape = channels * components, (len(raw), components, channels, *raw.shape[2:])
        weights, means, scales = (raw[:, i * split : (i + 1) * split].reshape(shape) for i in range(3))
        # made on the device: a copy from the processor's memory would wait for the GPU, and no CUDA graph may hold it
        start = torch.linspace(-1, 1, 2 * components + 1, device=raw.device)[1::2]
        log_scales = torch.full_like(start, -2.0)
        if not pixels:
            start, log_scales = 3 * start, log_scales + math.log(3)
        elif components > 2:
            # with `fill_`, because assigning a number to an entry copies it to the device
            start[:1].fill_(-1 + HALF_BIN)
            start[-1:].fill_(1 - HALF_BIN)
            for end in (log_scales[:1], log_scales[-1:]):
                end.fill_(-6.0)
        self.log_weights = weights.log_softmax(dim=1)
        self.means = means + start[:, None, None, None]
        # twice the output: scales have far to go; the bounds keep exp() and its inverse harmless
        self.log_scales = (2 * scales + log_scales[:, None, None, None]).clamp(-9, 3)
        self.shifts = raw[:, 3 * split :]  # c, the lower triangle row by row
        self.channels = channels

    def log_mass(self, x: Tensor) -> Tensor:
        """log probability (nats) of the levels x, which lie on the grid of 256, `[B, D, H, W]`.

        The mass of a level is that of its bin, the two outer bins open, so that all 256 sum to 1. With s the logistic
        function, s(a) - s(b) = s(a) s(-b) (1 - e^(b-a)), which loses no digits in the tails.
        """
        scale = torch.exp(-self.log_scales)
        centred = self._centred(x)
        first, last = (x < -1 + HALF_BIN)[:, None], (x > 1 - HALF_BIN)[:, None]
        upper = F.logsigmoid((centred + HALF_BIN) * scale).masked_fill(last, 0)
        lower = F.logsigmoid((HALF_BIN - centred) * scale).masked_fill(first, 0)
        inner = torch.log(-torch.expm1(-2 * HALF_BIN * scale)).masked_fill(first | last, 0)
        return torch.logsumexp(self.log_weights + upper + lower + inner, dim=1)

    def draw(self, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """Levels in [-1, 1] drawn from the mixture, from uniform numbers `[B, 2, D, H, W]`. `temperature` multiplies
        the logistics' scales: 0 gives the mean of the component drawn.
        """
        pick, noise = uniform.clamp(1e-6, 1 - 1e-6).unbind(dim=1)
        drawn: list[Tensor] = []
        for d in range(self.channels):
            cumulative = self.log_weights[:, :, d].exp().cumsum(dim=1)
            k = (pick[:, d : d + 1] > cumulative).sum(dim=1, keepdim=True).clamp(max=cumulative.shape[1] - 1)
            mean = self.means[:, :, d].gather(1, k)[:, 0] + self._shift(drawn)
            scale = self.log_scales[:, :, d].gather(1, k)[:, 0].exp()
            value = to_uint8(mean + temperature * scale * torch.logit(noise[:, d]))
            drawn.append(value.float() / 127.5 - 1)
        return torch.stack(drawn, dim=1)

    def expected(self) -> Tensor:
        """The mean of every channel given the means of those before it, in [-1, 1], `[B, D, H, W]`."""
        drawn: list[Tensor] = []
        for d in range(self.channels):
            mean = (self.log_weights[:, :, d].exp() * self.means[:, :, d]).sum(dim=1)
            drawn.append((mean + self._shift(drawn)).clamp(-1, 1))
        return torch.stack(drawn, dim=1)

    def to_logistic(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x -> z = logit(CDF(x)) and log |dz/dx|, both `[B, D, H, W]` (Ho et al. 2019, Flow++, section 3.2). z follows
        the standard logistic distribution if x follows the mixture.
        """
        scaled = self._centred(x) * torch.exp(-self.log_scales)
        below, above = self.log_weights + F.logsigmoid(scaled), F.logsigmoid(-scaled)
        log_cdf = torch.logsumexp(below, dim=1)
        log_rest = torch.logsumexp(self.log_weights + above, dim=1)
        log_density = torch.logsumexp(below + above - self.log_scales, dim=1)
        return log_cdf - log_rest, log_density - log_cdf - log_rest

    def from_logistic(self, z: Tensor) -> Tensor:
        """The inverse of `to_logistic`, channel after channel: each one's shift needs those before it."""
        drawn: list[Tensor] = []
        for d in range(self.channels):
            # components first and places in one row, so that all of the work is on contiguous rows
            mixture = (of[:, :, d].movedim(1, 0).flatten(1) for of in (self.log_weights, self.means, self.log_scales))
            centred = quantiles(z[:, d].flatten(), *mixture).view_as(z[:, d])
            drawn.append(centred + self._shift(drawn))
        return torch.stack(drawn, dim=1)

    def _shift(self, before: list[Tensor]) -> Tensor:
        """Shift `[B, H, W]` of the next channel's means by the channels before it."""
        d = len(before)
        row = self.shifts[:, d * (d - 1) // 2 : d * (d + 1) // 2]
        return (row * torch.stack(before, dim=1)).sum(dim=1) if d else torch.zeros_like(self.means[:, 0, 0])

    def _centred(self, x: Tensor) -> Tensor:
        """x minus the mean of every component, `[B, K, D, H, W]`."""
        channels = list(x.unbind(dim=1))
        shifts = torch.stack([self._shift(channels[:d]) for d in range(self.channels)], dim=1)
        return (x - shifts)[:, None] - self.means
