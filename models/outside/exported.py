"""A generator in a file of `torch.export`, which may run code as it is loaded."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from equibench_models.contract import Shape
from equibench_models.outside.generator import GeneratorConfig, SavedGenerator


class Exported(SavedGenerator):
    """A generator opened with `torch.export.load`. An exported program is bound to one device, so that another is made
    for each device on which noise is given.
    """

    def __init__(self, config: GeneratorConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self._exported = torch.export.load(config.path)
        self._programs: dict[torch.device, nn.Module] = {}  # not as parts, as the program may not be moved by `to`

    def network(self, noise: Tensor) -> Tensor:
        if noise.device not in self._programs:
            self._programs[noise.device] = move_to_device_pass(self._exported, noise.device).module()
        return cast(Tensor, self._programs[noise.device](noise))

    def sampling_parameters(self) -> int:
        return sum(one.numel() for one in self._exported.parameters())
