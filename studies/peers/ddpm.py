"""denoising-diffusion-pytorch's Unet and GaussianDiffusion, trained as its Trainer does by default."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA
from torch import Tensor

from studies.peers.peer import SHAPE, Peer, step

SAMPLING_STEPS = 250


class DDPM(Peer):
    """Predicts v on a sigmoid schedule of 1000 steps; samples come from the average of the weights."""

    title = "denoising-diffusion-pytorch"
    package = "denoising-diffusion-pytorch"
    settings = (
        "the library's defaults for the diffusion (v, sigmoid schedule, 1000 steps) and of its Trainer (Adam of 1e-4 "
        "with betas 0.9 and 0.99, batch of 16, gradients clipped at 1, weights averaged every 10 steps at 0.995), with "
        "three levels of the network, as 28 halves twice, and without its mirroring, which the test images do not "
        "have; sampled by DDIM in 250 steps, as in its README"
    )
    batch_size = 16
    widths = range(4, 129, 2)
    ways: ClassVar = {f"DDIM, {SAMPLING_STEPS} steps": {}}

    def __init__(self, width: int) -> None:
        super().__init__(width)
        network = Unet(dim=width, dim_mults=(1, 2, 4), channels=SHAPE[0])
        self.diffusion = GaussianDiffusion(network, image_size=SHAPE[1], sampling_timesteps=SAMPLING_STEPS)
        self.average = EMA(self.diffusion, beta=0.995, update_every=10)
        self._optimizer = torch.optim.Adam(self.diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))

    def update(self, images: Tensor) -> None:
        step(self._optimizer, self.diffusion(images.float() / 255), self.diffusion.parameters())
        self.average.update()

    def draw(self, n: int, **options: Any) -> Tensor:  # noqa: ARG002 (it has none)
        images: Tensor = self.average.ema_model.sample(batch_size=n) * 255
        return images
