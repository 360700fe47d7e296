"""pythae's VAE with its sampler, on the library's convolutional networks for MNIST made narrower.

pythae fixes the channels of its networks for MNIST (128 to 1024: millions of parameters), so that the same layers stand
here with a width.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import NormalSampler
from torch import Tensor, nn

from studies.peers.peer import SHAPE, Peer, step

LATENT = 16


class Encoder(BaseEncoder):
    """28 x 28 -> 1 x 1 in four strided convolutions, as `Encoder_Conv_VAE_MNIST`."""

    def __init__(self, width: int) -> None:
        BaseEncoder.__init__(self)
        channels = [1, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.embedding, self.log_var = nn.Linear(8 * width, LATENT), nn.Linear(8 * width, LATENT)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.layers(x)
        return ModelOutput(embedding=self.embedding(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """16 numbers -> 4 x 4 -> 28 x 28 in three strided transposed convolutions, as `Decoder_Conv_AE_MNIST`."""

    def __init__(self, width: int) -> None:
        BaseDecoder.__init__(self)
        self.layers = nn.Sequential(
            nn.Linear(LATENT, 8 * width * 16), nn.Unflatten(1, (8 * width, 4, 4)),
            nn.ConvTranspose2d(8 * width, 4 * width, 3, 2, 1), nn.BatchNorm2d(4 * width), nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, 1, 3, 2, 1, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


class PythaeVAE(Peer):
    """A Gaussian decoder of variance 1 over values in [0, 1], whose mean is what pythae calls a sample."""

    title = "pythae's VAE"
    package = "pythae"
    settings = (
        "the convolutional networks that pythae has for MNIST, narrower; its squared-error loss and 16 latents, with "
        "the Adam (1e-3) and batch of 100 of its training script's files for MNIST; sampled by its NormalSampler, "
        "which gives the decoder's mean"
    )
    batch_size = 100
    widths = range(2, 129)
    ways: ClassVar = {"mean": {}}

    def __init__(self, width: int) -> None:
        super().__init__(width)
        config = VAEConfig(input_dim=SHAPE, latent_dim=LATENT)
        self.vae = VAE(config, encoder=Encoder(width), decoder=Decoder(width))
        self._optimizer = torch.optim.Adam(self.vae.parameters(), lr=1e-3)

    def update(self, images: Tensor) -> None:
        step(self._optimizer, self.vae({"data": images.float() / 255}).loss)

    def draw(self, n: int, **options: Any) -> Tensor:  # noqa: ARG002 (it has none)
        images: Tensor = NormalSampler(self.vae).sample(n, batch_size=n, return_gen=True) * 255
        return images
