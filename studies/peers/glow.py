"""normflows' Glow (Kingma and Dhariwal 2018), as the library's example for images, without classes."""

from __future__ import annotations

from typing import Any, ClassVar

import normflows as nf
import torch
from torch import Tensor

from studies.peers.peer import SHAPE, Peer, dequantized, step

LEVELS, STEPS = 2, 16


class Glow(Peer):
    """Exact likelihood of uniformly dequantized images in [0, 1]."""

    title = "normflows' Glow"
    package = "normflows"
    settings = (
        "the library's example on CIFAR-10: 16 steps a level, affine couplings that split channels, Adamax (1e-3, "
        "weight decay 1e-5), batch of 128, values (x + u)/256; two levels instead of three, as 28 halves twice, and "
        "no classes; sampled as there, and at the temperature 0.7 of the paper"
    )
    batch_size = 128
    widths = range(4, 513)
    ways: ClassVar = {"temperature 1": {}, "temperature 0.7": {"temperature": 0.7}}
    has_density = True

    def __init__(self, width: int) -> None:
        super().__init__(width)
        channels, height, across = SHAPE
        bases, flows, merges = [], [], []
        for level in range(LEVELS):  # the coarsest first
            scale = 2 ** (LEVELS - level)
            of_level = [nf.flows.GlowBlock(channels * 2 * scale, width, split_mode="channel") for _ in range(STEPS)]
            flows.append([*of_level, nf.flows.Squeeze()])
            if level:
                merges.append(nf.flows.Merge())
            kept = 1 if level else 2  # of twice the channels, half are left for the coarser level
            latent = (channels * scale * kept, height // scale, across // scale)
            bases.append(nf.distributions.DiagGaussian(latent))
        self.flow = nf.MultiscaleFlow(bases, flows, merges, class_cond=False)
        self._optimizer = torch.optim.Adamax(self.flow.parameters(), lr=1e-3, weight_decay=1e-5)

    def update(self, images: Tensor) -> None:
        loss = self.flow.forward_kld(dequantized(images))
        if loss.isfinite():  # the example leaves such steps out
            step(self._optimizer, loss)

    def draw(self, n: int, **options: Any) -> Tensor:
        images: Tensor = self.flow.sample(n, **options)[0] * 256 - 0.5  # of (x + u)/256 the level below
        return images

    def nats(self, images: Tensor) -> Tensor:
        found: Tensor = self.flow(dequantized(images))
        return found
