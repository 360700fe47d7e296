"""The VAE's parts as the report draws them: encoder, posteriors, decoder with its stochastic layers."""

from __future__ import annotations

from typing import cast

from equibench_models.contract import Component
from equibench_models.layers import LogisticMixture
from equibench_models.vae.network import Autoencoder, StochasticLayer


def components(network: Autoencoder) -> list[Component]:
    """Every trainable parameter of it in one part; z0 is the vector, z1, z2, ... are the maps."""
    config, (channels, height, width) = network.config, network.shape
    half = height // 2, width // 2
    fine, coarse = (network.stem.out_channels, *half), (config.width, height // 4, width // 4)
    vector = (config.vector,)
    encoder = [
        Component(
            "encoder.fine",
            "fold, conv 3x3, residual block",
            [network.stem, network.encode_fine],
            [network.shape],
            [fine],
            ("image",),
            samples=False,
        ),
        Component(
            "encoder.coarse",
            "fold, conv 1x1, residual block",
            [network.down, network.encode_coarse],
            [fine],
            [coarse],
            ("encoder.fine",),
            samples=False,
        ),
        Component(
            "posterior z0",
            "posterior of z0",
            [network.squeeze, network.posterior],
            [coarse],
            [vector, vector],
            ("encoder.coarse",),
            samples=False,
        ),
    ]
    prior, n = ("noise",), config.prior_couplings
    decoder = []
    if n:
        decoder.append(Component("prior z0", "prior of z0: coupling", [network.prior], [vector], [vector], prior, n))
        prior = ("prior z0",)
    begin = [network.start, network.widen, network.begin]
    follows = (*prior, "posterior z0")
    decoder.append(Component("start", "linear, conv 1x1, residual block", begin, [vector], [coarse], follows))
    stages = [(network.coarse, "encoder.coarse", coarse, config.coarse_channels)]
    stages += [(network.fine, "encoder.fine", fine, config.fine_channels)]
    level = 1
    for layers, encoded, shape, z_channels in stages:
        if encoded == "encoder.fine":
            before = decoder[-1].name
            decoder.append(Component("up", "conv 1x1, unfold", [network.up], [coarse], [fine], (before,)))
        for layer in layers:
            decoder += _level(cast(StochasticLayer, layer), level, decoder[-1].name, encoded, shape, z_channels)
            level += 1
    mixture = (LogisticMixture.size(4 * channels, config.components), *half)
    before = decoder[-1].name
    decoder += [
        Component("head", "conv 3x3", [network.head], [fine], [mixture], (before,)),
        Component("pixels", "pixels drawn, or their mean; unfold", [], [mixture], [network.shape], ("head",)),
    ]
    return encoder + decoder


def _level(
    layer: StochasticLayer, level: int, before: str, encoded: str, shape: tuple[int, ...], channels: int
) -> list[Component]:
    """A latent map's posterior, then its layer in the decoder: prior, what reads z, and what follows."""
    z = (channels, *shape[1:])
    posterior = Component(
        f"posterior z{level}",
        f"posterior of z{level}",
        [layer.merge, layer.posterior],
        [shape, shape],
        [z, z],
        (encoded,),
        samples=False,
    )
    own = [one for one in (layer.prior, layer.read, layer.block, layer.mixer) if one is not None]
    follows = (before, posterior.name, "noise")
    return [posterior, Component(f"z{level}", f"stochastic layer z{level}", own, [shape, z], [shape], follows)]
