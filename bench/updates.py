"""How a training runs its model's updates: one after the other as they are, or all kernels of one launched at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from equibench.machine.device import aside, synchronizer
from equibench_models.contract import Model
from equibench_models.layers import Average

CUDA_GRAPH = "cuda graph"  # as a record says it
EAGER_UPDATES = 3  # before the capture: libraries and optimisers set themselves up, which a graph must not contain

Losses = dict[str, Tensor]


class Updates:
    """The model's own, in eager mode or compiled. `preparing_sec` went into making them faster."""

    preparing_sec = 0.0

    def __init__(self, model: Model) -> None:
        self._update: Callable[..., Losses] = model.update

    def run(self, images: Tensor, progress: float, *labels: Tensor) -> Losses:
        """One update, as `Model.update` takes and gives it."""
        return self._update(images, progress, *labels)

    def settle(self) -> None:
        """Tell the model how many updates there were, where it could not count them itself."""


class CapturedUpdates(Updates):
    """Updates of a `capturable` model, all with batches of one size. After the first few, in eager mode, one is
    captured as a CUDA graph, which launches its kernels all at once, where Python needs longer for each than the GPU
    does. What differs between two updates lies in tensors that the graph reads: images, labels, the share of the
    budget, and how often an average was taken; random numbers go on from update to update.

    The graph is made on the process's current device. `settle` has to be called before anything else reads the model's
    plain values.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        super().__init__(model)
        self._model, self._device = model, device
        self._progress = torch.zeros((), device=device)
        self._inputs: list[Tensor] = []
        self._averages: list[tuple[Average[Any], Tensor]] = []
        self._losses: Losses = {}
        self._replay: Callable[[], None] | None = None
        self._begun = 0

    def run(self, images: Tensor, progress: float, *labels: Tensor) -> Losses:
        """One update. Raises what PyTorch raises where a graph cannot be captured."""
        given = [images, *labels]
        if not self._begun:  # not before: a training that was kept is put back into the model first
            self._set_up(given)
        self._progress.fill_(progress)
        for kept, one in zip(self._inputs, given, strict=True):
            kept.copy_(one)
        self._begun += 1
        if self._begun <= EAGER_UPDATES:
            aside(self._once, self._device)
        else:
            if self._replay is None:
                self._replay = self._captured()
            self._replay()
        return {name: loss.clone() for name, loss in self._losses.items()}  # the next update writes over them

    def settle(self) -> None:
        """Waits for the device."""
        for average, count in self._averages:
            average.updates = int(count)

    def _set_up(self, given: Sequence[Tensor]) -> None:
        self._inputs = [one.clone() for one in given]
        self._averages = [(one, self._count_of(one)) for one in self._model.modules() if isinstance(one, Average)]
        for value in vars(self._model).values():
            if isinstance(value, torch.optim.Optimizer):
                for group in value.param_groups:
                    group["capturable"] = True  # without effect on those that know no such thing

    def _count_of(self, average: Average[Any]) -> Tensor:
        return torch.tensor(float(average.updates), dtype=torch.float64, device=self._device)

    def _once(self) -> None:
        images, *labels = self._inputs
        for average, count in self._averages:
            average.updates = count
        losses = self._update(images, self._progress, *labels)
        self._losses = {name: loss.detach().float() for name, loss in losses.items()}

    def _captured(self) -> Callable[[], None]:
        synchronize = synchronizer(self._device)
        synchronize()
        begin = time.perf_counter()
        replay = captured(self._once)
        synchronize()
        self.preparing_sec += time.perf_counter() - begin
        return replay


def captured(function: Callable[[], None]) -> Callable[[], None]:
    """What launches all kernels of `function` anew, on the tensors that it had."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay
