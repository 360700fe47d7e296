"""A DCGAN (Radford et al. 2016) with the settings of PyTorch's DCGAN tutorial, for images of 28 x 28.

The tutorial's networks begin at 4 x 4 and double the side up to 64; these begin at 7 x 7 and double it to 28 by the
same rule: channels halve where the side doubles, in the generator from twice the width, in the discriminator the other
way.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from studies.peers.peer import Peer, step

NOISE = 100


def _generator(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 2 * width, 7, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def _discriminator(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 7, bias=False), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip


def _start(layer: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02), of batch norms from N(1, 0.02)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


class DCGAN(Peer):
    """Both players in turns, the generator by the loss that does not saturate."""

    title = "DCGAN"
    package = None
    settings = (
        "architecture by the rule of PyTorch's DCGAN tutorial, from 7 x 7; its Adam (2e-4, betas 0.5 and 0.999), batch "
        "of 128, 100 noise values, starting weights and loss; sampled as there, with batch norm by the batch of 64"
    )
    batch_size = 128
    widths = range(4, 257)
    ways: ClassVar = {"usual": {}}

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.generator, self.discriminator = _generator(width).apply(_start), _discriminator(width).apply(_start)
        self._loss = nn.BCELoss()
        self._of_generator, self._of_discriminator = (
            torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for player in (self.generator, self.discriminator)
        )

    def update(self, images: Tensor) -> None:
        n = len(images)
        fake = self.generator(torch.randn(n, NOISE, 1, 1))
        of_real, of_fake = self.discriminator(images.float() / 127.5 - 1), self.discriminator(fake.detach())
        loss = self._loss(of_real, torch.ones(n)) + self._loss(of_fake, torch.zeros(n))
        step(self._of_discriminator, loss)
        step(self._of_generator, self._loss(self.discriminator(fake), torch.ones(n)))

    def draw(self, n: int, **options: Any) -> Tensor:  # noqa: ARG002 (it has none)
        self.generator.train()  # the tutorial samples so
        images: Tensor = (self.generator(torch.randn(n, NOISE, 1, 1)) + 1) * 127.5
        return images
