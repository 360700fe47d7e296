"""The GAN's parts as the report draws them: the discriminator, which reads, and the generator, which makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from equibench_models.contract import Component, Shape

if TYPE_CHECKING:
    from equibench_models.gan_network import Discriminator, GANConfig, GeneratorNetwork

# name, kind, what holds its parameters, shapes that go in and come out, repeats
Row = tuple[str, str, nn.Module | nn.Parameter, tuple[int, ...], tuple[int, ...], int]


def components(config: GANConfig, image: Shape, critic: Discriminator, maker: GeneratorNetwork) -> list[Component]:
    """Every trainable parameter of both in one part; blocks of which there are none are left out."""
    _, height, width = image
    half, quarter = (height // 2, width // 2), (height // 4, width // 4)
    fine, coarse = (critic.stem.out_channels, *half), (config.width, *quarter)
    vector = (config.width,)
    judged: list[Row] = [
        ("stem", "fold, conv 3x3", critic.stem, image, fine, 1),
        ("fine", "residual block", critic.fine, fine, fine, len(critic.fine)),
        ("down", "fold, conv 1x1", critic.down, fine, coarse, 1),
        ("body", "residual block", critic.body, coarse, coarse, len(critic.body)),
        ("pool", "weighted sum", critic.pool, coarse, vector, 1),
        ("out", "linear", critic.out, vector, (1,), 1),
    ]
    if critic.label is not None:
        judged.append(("label", "product with the label's vector", critic.label, vector, (1,), 1))
    made: list[Row] = [
        ("start", "linear", maker.start, (config.latent + config.classes,), coarse, 1),
        ("mixer", "dense layers over all places", maker.mixer, coarse, coarse, int(config.mixed > 0)),
        ("coarse", "residual block", maker.coarse, coarse, coarse, len(maker.coarse)),
        ("up", "conv 1x1, unfold", maker.up, coarse, fine, 1),
        ("fine", "residual block", maker.fine, fine, fine, len(maker.fine)),
        ("head", "conv 3x3, unfold", maker.head, fine, image, 1),
    ]
    found: list[Component] = []
    for player, of_player, samples in (("discriminator", judged, False), ("generator", made, True)):
        before: tuple[str, ...] = ("noise",) if samples else ("image", "generator.head")
        for name, kind, weights, inputs, outputs, repeats in of_player:
            if repeats:
                called = f"{player}.{name}"
                found.append(Component(called, kind, [weights], [inputs], [outputs], before, repeats, samples))
                before = (called,)
    return found
