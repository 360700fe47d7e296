"""A family with a best setting, by `module:Class` as a user's own, that notes which images it is shown; with features
that do the same, and data whose images say which they are.
"""

import functools
import os
import signal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from equibench.data.sets import Dataset
from equibench.hashing import digest
from equibench.measure.features.extractor import Extractor
from equibench.record.schema import Budget, FeatureInfo
from equibench.suite import Entrant, Suite
from equibench_models.contract import Config, Model, Options, Showing
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")
SIDE, TRAIN, TEST = 8, 200, 50
SAMPLE = 255 * 256 + 255  # what a sample says that it is
BEST = 0.7
WIDTH = 16


def numbered(first, n):
    """Images `[n, 1, 8, 8]` around grey, whose first two pixels say their numbers from `first` on."""
    images = np.random.default_rng(first).normal(128, 20, (n, 1, SIDE, SIDE)).clip(1, 254).astype(np.uint8)
    numbers = np.arange(first, first + n)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = numbers // 256, numbers % 256
    return images


def numbers_of(images):
    """The numbers that images say; 0 for the empty ones that a family is planned with."""
    return (images[:, 0, 0, 0].long() * 256 + images[:, 0, 0, 1].long()).tolist()


def data():
    """Training images 1 to 200, test images 1001 to 1050."""
    return Dataset("numbered", numbered(1, TRAIN), numbered(1001, TEST))


def note(path, images):
    if path:
        with open(path, "a") as stream:
            stream.write("".join(f"{number}\n" for number in numbers_of(images)))


class TunableConfig(Config):
    width: int = Field(WIDTH, ge=8)
    batch_size: int = Field(8, ge=1)
    good: float = Field(0.2, ge=0, le=1)
    blocks: int = Field(2, ge=1, le=9)
    how: str = "well"
    trained_on: str = ""  # a file, of the numbers of the images that it is trained on
    measured_on: str = ""  # and of those whose likelihood it tells


class TunableOptions(Options):
    brightness: float = Field(0.0, ge=-50, le=50)
    bright: bool = False


class Tunable(Model):
    """Samples are the darker, the farther `good` is from the best; the likelihood is worse above 0.9."""

    config_type, options_type = TunableConfig, TunableOptions
    likelihood, dequantization, samplers, about = "exact", "none", {}, VAE.about

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.layer = nn.Linear(config.width, SIDE * SIDE)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=0.01)

    def update(self, images, progress=0.0):
        note(self.config.trained_on, images)
        if progress and self.config.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        out = self.layer(torch.ones(len(images), self.config.width))
        loss = (out - images.flatten(1).float() / 255).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss * torch.nan if progress and self.config.how == "nan" else loss.detach()}

    def sample(self, n, generator, *, batch_size=250, brightness=0.0, bright=False):  # noqa: ARG002
        noise = torch.randn(n, 1, SIDE, SIDE, generator=generator)
        grey = 128 - 100 * abs(self.config.good - BEST) + brightness
        images = (grey + 20 * noise).clamp(1, 254).to(torch.uint8)
        images[:, 0, 0, :2] = 255
        return images

    def nats(self, images, generator):  # noqa: ARG002
        note(self.config.measured_on, images)
        return torch.full([len(images)], 200.0 + 100 * max(self.config.good - 0.9, 0))

    def show(self, images, generator):  # noqa: ARG002
        return Showing()

    def sampling_parameters(self):
        return sum(p.numel() for p in self.parameters())


def features(images):
    """Mean grey of each quarter, without the pixels that say a number: `[N, C, H, W]` -> `[N, 4]`."""
    grey = images[:, :1].float().clone()
    grey[:, 0, 0, :2] = 128
    return torch.nn.functional.adaptive_avg_pool2d(grey, 2).flatten(1)


def _noting(path, images):
    note(path, images)
    return features(images)


def extractor(path=""):
    """These features, with the numbers of their images noted in a file: a network of its own, of which no cache has
    features yet.
    """
    info = FeatureInfo(name="quarters", weights_sha256=digest(path), preprocessing="none", dims=4)
    return Extractor(info, "FD", functools.partial(_noting, path), CPU)


def entrant(**config):
    return Entrant(name="mine", family="tunable:Tunable", config=config)


def suite(amount=8):
    budget = Budget(params=(WIDTH + 1) * SIDE * SIDE, unit="updates", amount=amount)
    return Suite(name="own", about="a test", dataset="numbered", seeds=[0], budget=[budget], entrant=[entrant()])
