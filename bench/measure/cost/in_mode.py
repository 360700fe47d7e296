"""Speed of a sampler in another mode than eager, in a process of its own: a compiler or a capture that fails may leave
its process unable to compute, and a whole cell is still to be measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch

from equibench.machine.apart import apart
from equibench.machine.clock import repeat
from equibench.machine.device import synchronizer
from equibench.measure.cost import modes
from equibench.measure.cost.memory import built
from equibench.measure.cost.speed import LATENCY_REPEATS, THROUGHPUT_REPEATS, p90
from equibench.record.base import Scalar
from equibench.record.cost import ModeSpeed
from equibench_models.contract import Shape

PREPARING_SEC = 300.0  # for compiling twice, at most: a graph of many thousand kernels takes minutes


def mode_speed(
    mode: modes.Mode,
    family: str,
    config: Mapping[str, Any],
    shape: Shape,
    options: Mapping[str, Scalar],
    device: torch.device,
    *,
    batch_size: int,
    limit_sec: float,
    latency_limit_sec: float,
    wanted: Callable[[], bool] = lambda: True,
) -> ModeSpeed:
    """Throughput at `batch_size` and latency at batch 1 of a model with random weights: the work of a sampler does not
    depend on them. Where the machine lacks the mode, or preparing it fails or takes too long, it holds the reason.

    Raises UserError where the system gives no process.
    """
    try:
        modes.require(mode, device)
    except modes.UnavailableError as error:
        return ModeSpeed(mode=mode, batch_size=batch_size, reason=str(error))
    if not wanted():
        return ModeSpeed(mode=mode, batch_size=batch_size, reason="stopped")
    arguments = (mode, family, dict(config), shape, dict(options), batch_size, limit_sec, latency_limit_sec)
    answer = apart(_timed, arguments, device, PREPARING_SEC + 2 * (limit_sec + latency_limit_sec))
    if answer.reason is not None:
        return ModeSpeed(mode=mode, batch_size=batch_size, reason=answer.reason)
    return ModeSpeed.model_validate(answer.value)


def _timed(
    device: torch.device,
    mode: modes.Mode,
    family: str,
    config: dict[str, Any],
    shape: Shape,
    options: dict[str, Any],
    batch_size: int,
    limit_sec: float,
    latency_limit_sec: float,
) -> dict[str, Any]:
    model, synchronize = built(device, family, config, shape), synchronizer(device)
    many, first_sec = modes.prepare(mode, model, options, device, batch_size)
    batches = repeat(many, synchronize, warmup=1, repeats=THROUGHPUT_REPEATS, limit_sec=limit_sec)
    one, again_sec = modes.prepare(mode, model, options, device, 1)
    singles = repeat(one, synchronize, warmup=3, repeats=LATENCY_REPEATS, limit_sec=latency_limit_sec)
    return ModeSpeed(
        mode=mode,
        batch_size=batch_size,
        compile_sec=first_sec + again_sec,
        repeats_sec=batches,
        images_per_sec=batch_size / statistics.median(batches),
        latency_repeats_sec=singles,
        latency_p50_sec=statistics.median(singles),
        latency_p90_sec=p90(singles),
    ).model_dump(mode="json")
