"""A small classifier of images, the same for all data sets: a judge of samples, and what is trained on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from equibench.protocol import CLASSIFIER_SEED

EPOCHS, BATCH, RATE = 6, 64, 2e-3
WIDTHS = (16, 32)  # of its two convolutions, each followed by the greatest of every 2x2 block
Images = NDArray[np.uint8]  # [N, C, H, W]
Labels = NDArray[np.int64]  # [N]


class Classifier(nn.Module):
    """uint8 images `[B, C, H, W]` -> logits `[B, classes]`."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        first, second = WIDTHS
        self.first = nn.Conv2d(channels, first, 3, padding=1)
        self.second = nn.Conv2d(first, second, 3, padding=1)
        self.out = nn.Linear(second * (height // 4) * (width // 4), classes)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float() / 127.5 - 1
        for layer in (self.first, self.second):
            x = F.max_pool2d(F.relu(layer(x)), 2)
        logits: Tensor = self.out(x.flatten(1))
        return logits


def trained_on(
    images: Images,
    labels: Labels,
    classes: int,
    device: torch.device,
    progress: Callable[[float], None] = lambda share: None,
) -> Classifier:
    """A classifier trained on images with their labels: Adam, its rate falling to 0 along half a cosine. Weights and
    order at the start are the protocol's, the same for all.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(CLASSIFIER_SEED)
        model = Classifier((images.shape[1], images.shape[2], images.shape[3]), classes).to(device)
    order = np.random.default_rng(CLASSIFIER_SEED)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    for epoch in range(EPOCHS):
        for rows in torch.from_numpy(order.permutation(len(images))).to(device).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
        progress((epoch + 1) / EPOCHS)
    return model


@torch.no_grad()
def judged(model: Classifier, images: Images) -> Labels:
    """The class that it takes each image for, `[N]`."""
    device = next(model.parameters()).device
    parts = torch.from_numpy(images).split(1000)
    found: Labels = torch.cat([model(part.to(device)).argmax(1).cpu() for part in parts]).numpy()
    return found
