"""What each peer offers to the study, its size, its training, and how its images and densities become comparable.

The settings of a peer are those that its library or tutorial gives, named where they stand; only its width is chosen
here, to have the parameters of our entrants. All peers are trained by one loop on images in memory, which is faster
than their own loaders, and in float32, as they do by default.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equibench.run.course import Batches

SHAPE = (1, 28, 28)
DIMS = math.prod(SHAPE)
DRAWN_AT_ONCE = 64  # images; also the batch at which sampling is timed


class Peer(nn.Module, ABC):
    """A model of another library, with the settings of that library. Its weights are all of its state that sampling
    needs.
    """

    title: ClassVar[str]
    package: ClassVar[str | None]  # to be installed
    settings: ClassVar[str]  # in words, with their source
    batch_size: ClassVar[int]
    widths: ClassVar[range]  # from which the width is chosen
    ways: ClassVar[Mapping[str, Mapping[str, Any]]]  # of sampling, by name: options of `draw`
    has_density: ClassVar[bool] = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @abstractmethod
    def update(self, images: Tensor) -> None:
        """One optimisation step on uint8 images `[B, 1, 28, 28]`."""

    @abstractmethod
    def draw(self, n: int, **options: Any) -> Tensor:
        """Images `[n, 1, 28, 28]` as levels in [0, 255], which `rounded` makes whole."""

    def nats(self, images: Tensor) -> Tensor:
        """-log of the density over [0, 1]^784 at uint8 images with uniform noise, (x + u) / 256, in nats `[B]`."""
        raise NotImplementedError(f"{self.title} has no density")

    def parameters_trained(self) -> int:
        """All that training changes, of all its networks."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def widest(make: Callable[[int], Peer], widths: range, most_params: int) -> Peer:
    """The peer of the greatest width with at most so many parameters, which grow with the width. Raises ValueError
    where even the least has more.
    """
    low, high = 0, len(widths)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if make(widths[middle]).parameters_trained() <= most_params else (low, middle)
    found = make(widths[low])
    if found.parameters_trained() > most_params:
        raise ValueError(f"{found.title} has more than {most_params:,} parameters at its least width")
    return found


def train(
    peer: Peer, images: NDArray[np.uint8], seconds: float, seed: int, now: Callable[[], float] = time.perf_counter,
    look: Callable[[], object] = lambda: None,
) -> tuple[int, float]:  # fmt: skip
    """Update the peer on shuffled `images` for so many seconds, drawing of batches included: as in our own runs, the
    last update is the one after which another of average length would end too late. Gives updates and seconds. `look`
    is called after each.
    """
    peer.train()
    batches, updates, begin = Batches(torch.from_numpy(images), peer.batch_size, seed), 0, now()
    while True:
        peer.update(batches.draw())
        updates += 1
        elapsed_sec = now() - begin
        if elapsed_sec * (1 + 1 / updates) > seconds:
            return updates, elapsed_sec
        look()


@torch.no_grad()
def drawn(peer: Peer, n: int, options: Mapping[str, Any], seed: int) -> tuple[NDArray[np.uint8], int]:
    """uint8 images `[n, 1, 28, 28]`, and how many of them were not finite, which are black where they were not."""
    torch.manual_seed(seed)
    peer.eval()
    parts = [rounded(peer.draw(DRAWN_AT_ONCE, **options)) for _ in range(math.ceil(n / DRAWN_AT_ONCE))]
    images, broken = (torch.cat(part)[:n] for part in zip(*parts, strict=True))
    return images.numpy(), int(broken.sum())


def rounded(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Levels `[n, ...]` to uint8, and which images have any that is not finite `[n]`."""
    broken = ~levels.isfinite().flatten(1).all(dim=1)
    return levels.nan_to_num(0.0, 0.0, 0.0).round().clamp(0, 255).to(torch.uint8), broken


def dequantized(images: Tensor) -> Tensor:
    """uint8 images with uniform noise, (x + u) / 256, in [0, 1)."""
    return (images.float() + torch.rand(images.shape)) / 256


def bits_per_dim(nats: Tensor, dims: int) -> Tensor:
    """-log density over [0, 1]^dims in nats, at `dequantized` images, to bits per dimension of the 8-bit images: a
    level is 1/256 wide, so its probability is the density over 256 (Theis et al. 2016).
    """
    return nats / (dims * math.log(2)) + 8


@torch.no_grad()
def measured_bits(peer: Peer, images: NDArray[np.uint8], seed: int, batch_size: int = 250) -> tuple[float, float]:
    """Mean bits per dimension over the images, and its standard error over them; one draw of the noise for each."""
    torch.manual_seed(seed)
    peer.eval()
    parts = torch.from_numpy(images).split(batch_size)
    bits = bits_per_dim(torch.cat([peer.nats(part) for part in parts]), DIMS).double()
    return float(bits.mean()), float(bits.std() / math.sqrt(len(bits)))


def step(optimizer: torch.optim.Optimizer, loss: Tensor, clipped: Iterable[Tensor] = ()) -> None:
    """One step down the loss; the norm of the gradients of `clipped` is held below 1."""
    optimizer.zero_grad()
    loss.backward()
    if clipped := list(clipped):
        nn.utils.clip_grad_norm_(clipped, 1.0)
    optimizer.step()
