"""A model's parts in its record."""

import pytest
import torch
from torch import nn

from equibench.run.structure import PartsError, structure_of
from equibench_models import family as load_family
from equibench_models.contract import Component, Model


class Own(Model):
    """Of a user: two children, a parameter of its own, a copy that is not trained."""

    def __init__(self):
        nn.Module.__init__(self)
        self.body, self.copy = nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(5))

    update = sample = nats = show = sampling_parameters = None


Own.__abstractmethods__ = frozenset()


def test_of_a_model_that_says_nothing():
    found = structure_of(Own())
    assert [(part.name, part.kind, part.params) for part in found.parts] == [
        ("body", "Linear", 8),
        ("own", "parameters", 5),
    ]
    assert found.noise_shapes == []


@pytest.mark.parametrize("parts", [["body"], ["body", "own", "body"]], ids=["missing", "twice"])
def test_parts_that_are_not_all_of_it_are_refused(parts, monkeypatch):
    model = Own()
    held = {"body": [model.body], "own": [model.scale]}
    said = [Component(f"{name}{i}", "part", held[name]) for i, name in enumerate(parts)]
    monkeypatch.setattr(model, "components", lambda: said)
    with pytest.raises(PartsError, match="once"):
        structure_of(model)


def test_of_a_gan_by_hand():
    """Convolutions of 3x3 from 4 to 8 channels, and so on, counted on paper."""
    model = load_family("gan").build({"width": 8, "latent": 5}, (1, 28, 28))
    params = {part.name: part.params for part in structure_of(model).parts}
    assert params == {
        "discriminator.stem": 4 * 8 * 9 + 8,
        "discriminator.down": 32 * 8 + 8,
        "discriminator.body": 2 * (8 * 8 * 9 + 8),
        "discriminator.pool": 8 * 49,
        "discriminator.out": 8,
        "generator.start": 5 * 392 + 392,
        "generator.coarse": 2 * (8 * 8 * 9 + 8),
        "generator.up": 8 * 32 + 32,
        "generator.head": 8 * 4 * 9 + 4,
    }
