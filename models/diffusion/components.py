"""The denoiser's parts as the report draws them."""

from __future__ import annotations

from equibench_models.contract import Component, Shape
from equibench_models.diffusion.network import Denoiser, DiffusionConfig


def components(network: Denoiser, config: DiffusionConfig, image: Shape) -> list[Component]:
    """Every trainable parameter of it in one part."""
    channels, height, width = image
    fine = (network.stem.out_channels, height // 2, width // 2)
    coarse = (config.width, height // 4, width // 4)
    told = (config.condition,)
    both = (2 * channels, height, width)  # v, and a code of the deviation
    places = [] if network.places is None else [network.places]
    kind = "residual block and dense layers" if network.mixers else "residual block"
    middle, around = [network.coarse, network.mixers], config.fine_blocks
    label, classes = network.label, (config.classes,)
    return [
        Component("embed", "linear layers, told the noise level", [network.embed], [(1,)], [told]),
        *([] if label is None else [Component("label", "linear", [label], [classes], [told])]),
        Component("stem", "sines, fold, conv 3x3", [network.stem], [image], [fine], ("noise",)),
        Component("before", "residual block", [network.before], [fine, told], [fine], ("stem", "embed"), around),
        Component("down", "fold, conv 1x1", [network.down, *places], [fine], [coarse], ("before",)),
        Component("coarse", kind, middle, [coarse, told], [coarse], ("down", "embed"), config.coarse_blocks),
        Component("up", "conv 1x1, unfold", [network.up], [coarse], [fine], ("coarse",)),
        Component(
            "after",
            "residual block",
            [network.after],
            [fine, fine, told],
            [fine],
            ("up", "before", "embed"),
            around,
        ),
        Component("head", "conv 3x3, unfold", [network.head], [fine], [both], ("after",)),
    ]
