"""Weights of Inception-v3 that a test makes: the real ones cannot be had everywhere, the loading of a file can. They
give FD, not FID; a test of what is called FID takes their hash for the published one (`publish`).
"""

import importlib
from pathlib import Path

import pytest
import torch

from equibench.hashing import file_sha256
from equibench.measure.features.names import INCEPTION_FILE, KNOWN_SHA256


def write_weights(folder: Path) -> Path:
    """Random weights for torch-fidelity's network in `folder`, under its name of the file."""
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    shapes = {}

    def remember(self, *_args, **_kwargs):
        shapes.update({name: tensor.shape for name, tensor in torch.nn.Module.state_dict(self).items()})

    network = module.FeatureExtractorInceptionV3
    path = folder / INCEPTION_FILE
    torch.save({}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_state_dict", remember)
        network("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    torch.manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("running_var"):
            weights[name] = torch.rand(shape) + 0.5
        elif name.endswith("conv.weight"):  # as He et al. 2015: the maps neither fade nor grow
            weights[name] = torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5
        else:
            weights[name] = 1 + 0.1 * torch.randn(shape) if name.endswith("bn.weight") else 0.1 * torch.randn(shape)
    torch.save(weights, path)
    return path


def publish(monkeypatch: pytest.MonkeyPatch, file: Path, name: str = "inception-v3") -> str:
    """Let the hash of `file` be the published one of that network's weights."""
    sha256 = file_sha256(file)
    monkeypatch.setitem(KNOWN_SHA256, name, sha256)
    return sha256
