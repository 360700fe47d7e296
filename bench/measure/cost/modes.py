"""Other ways than eager mode to run a sampler: `torch.compile`, and CUDA graphs, each with what preparing it took."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from equibench.machine.device import aside, autocast, synchronizer
from equibench_models.contract import Model

Mode = Literal["compile", "cuda graph"]
SampleCall = Callable[[], Tensor]


class UnavailableError(RuntimeError):
    """This machine does not have the mode."""


def prepare(
    mode: Mode,
    model: Model,
    options: Mapping[str, Any],
    device: torch.device,
    n: int,
    generator: Generator | None = None,
) -> tuple[SampleCall, float]:
    """A call that samples uint8 images `[n, C, H, W]` in `mode`, from where `generator` stands, and the seconds that
    preparing it took: compiling with the first call, or capturing with its warm-up.

    Raises UnavailableError, and whatever PyTorch raises where a compiler is missing or where code cannot be compiled,
    captured or kept in memory. A failed capture may leave the process on a side stream, or its random numbers unusable.
    """
    require(mode, device)
    generator = generator or Generator(device)
    begin = time.perf_counter()
    sample = {"compile": _compiled, "cuda graph": _captured}[mode](model, options, device, n, generator)
    synchronizer(device)()
    return sample, time.perf_counter() - begin


def require(mode: Mode, device: torch.device) -> None:
    """Raises UnavailableError where `device` does not have the mode."""
    if mode == "cuda graph" and device.type != "cuda":
        raise UnavailableError("CUDA graphs need a CUDA device")


def _compiled(
    model: Model, options: Mapping[str, Any], device: torch.device, n: int, generator: Generator
) -> SampleCall:
    """Kernels generated for this batch size; a copy is compiled, so that the model goes on in eager mode."""
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(model).sample, dynamic=False)

    def sample() -> Tensor:
        with autocast(device):
            images: Tensor = compiled(n, generator, batch_size=n, **options)
        return images

    state = generator.get_state()
    sample()
    generator.set_state(state)
    return sample


def _captured(
    model: Model, options: Mapping[str, Any], device: torch.device, n: int, generator: Generator
) -> SampleCall:
    """Eager kernels, launched all at once; every replay draws new noise and writes the same tensor. A graph is made on
    the process's current device, whatever its tensors are on.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)

    def eager() -> Tensor:
        with autocast(device):
            return model.sample(n, generator, batch_size=n, **options)

    aside(eager, device)  # libraries set themselves up on first use, which a capture must not contain
    with torch.cuda.graph(graph):
        images = eager()

    def sample() -> Tensor:
        graph.replay()
        return images

    return sample
