"""Generators as other tools would save them."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn import functional


class StyleGenerator(nn.Module):
    """A mapping network, and from a constant two convolutions whose channels a style scales, as in StyleGAN."""

    def __init__(self, latent: int = 8, channels: int = 1, width: int = 8, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(latent, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16))
        self.start = nn.Parameter(torch.randn(1, width, 4, 4))
        self.styles = nn.ModuleList(nn.Linear(16, width) for _ in range(2))
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.to_image = nn.Conv2d(width, channels, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        w = self.mapping(z)
        x = self.start.expand(z.shape[0], -1, -1, -1)
        for style, layer in zip(self.styles, self.layers):  # noqa: B905 (TorchScript knows no strict)
            x = functional.leaky_relu(layer(x * (1 + style(w))[:, :, None, None]), 0.2)
            if x.shape[-1] < 8:
                x = functional.interpolate(x, scale_factor=2.0)
        return torch.tanh(2 * self.to_image(x))


def script(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), str(path))
    return path


def trace(network, path, example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, example, check_trace=False), str(path))
    return path


def export(network, path, example, dynamic=True):
    """In evaluation mode, with a batch size that is free unless `dynamic` is false."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
        torch.export.save(torch.export.export(network.eval(), (example,), dynamic_shapes=shapes), str(path))
    return path


def save_pipeline(folder, scheduler=None):
    """A pipeline of images of 1x8x8 with a tiny network of random weights, by diffusers itself."""
    import diffusers

    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = scheduler or diffusers.DDPMScheduler(num_train_timesteps=1000)
    diffusers.DDPMPipeline(unet, scheduler).save_pretrained(str(folder))
    return folder
