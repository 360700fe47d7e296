"""A generator in a file of TorchScript, which holds a program that runs as it is loaded."""

from __future__ import annotations

import warnings
from typing import cast

import torch
from torch import Tensor

from equibench_models.contract import Shape
from equibench_models.outside.generator import GeneratorConfig, SavedGenerator


class Scripted(SavedGenerator):
    """Opened with `torch.jit.load`, in evaluation mode where the program has one."""

    def __init__(self, config: GeneratorConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the format will go one day
            self.program = torch.jit.load(config.path, map_location="cpu").eval()

    def network(self, noise: Tensor) -> Tensor:
        return cast(Tensor, self.program(noise))

    def sampling_parameters(self) -> int:
        return sum(one.numel() for one in self.program.parameters())
