"""The reference workload: a fixed piece of work beside which timings are read, as another machine, another library or a
busy moment slows it down too.

It has the pattern of sampling: a small convolution network, called again and again on its own output. A product of
large matrices is no such reference: it was seen to get 1.6 % faster while latency got 9 % slower.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from equibench.machine.clock import repeat
from equibench.machine.device import autocast, precision, synchronizer

REPEATS = 5  # of which the median counts
VERSION = "1"  # another definition is another workload, and has another name


class WorkSize(NamedTuple):
    """What one repeat computes: `steps` calls of `layers` convolutions, on feature maps of the shape `[batch, channels,
    side, side]`. It takes some 30 ms: on a processor with few images, on a GPU with many.
    """

    batch: int
    channels: int
    side: int
    layers: int
    steps: int


SIZES = {"cpu": WorkSize(16, 32, 28, 4, 3), "cuda": WorkSize(256, 64, 32, 4, 20)}


class ReferenceWork:
    """The workload on one device, set up once."""

    def __init__(self, device: torch.device, size: WorkSize | None = None) -> None:
        self._device, self._size = device, size or SIZES[device.type]
        dtype = str(precision(device)).removeprefix("torch.")
        self.name = f"convolutions {VERSION}, {device.type}, {dtype}"
        batch, channels, side, layers, _ = self._size
        generator = torch.Generator().manual_seed(0)  # of its own: the cell's random numbers go on as without it
        self._start = self._placed(torch.randn(batch, channels, side, side, generator=generator))
        scale = (2 / (9 * channels)) ** 0.5
        self._weights = [
            self._placed(scale * torch.randn(channels, channels, 3, 3, generator=generator)) for _ in range(layers)
        ]

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """One repeat: `[batch, channels, side, side]`, the same every time."""
        x = self._start
        with autocast(self._device):
            for _ in range(self._size.steps):
                hidden = x
                for weight in self._weights:
                    hidden = F.conv2d(F.silu(hidden), weight, padding=1)
                x = x + 0.1 * F.group_norm(hidden.float(), 4)
        return x

    def seconds(self, limit_sec: float = 1.0) -> list[float]:
        """The seconds of each of some repeats, after one for warm-up: fewer, but two at least, where they take longer
        than `limit_sec`.
        """
        return repeat(self, synchronizer(self._device), warmup=1, repeats=REPEATS, limit_sec=limit_sec)
