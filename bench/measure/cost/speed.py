"""What sampling costs: throughput over batch sizes, latency, passes through the network, FLOPs and energy."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from equibench.machine.clock import repeat
from equibench.machine.device import autocast, is_out_of_memory, synchronizer
from equibench.machine.energy import NO_COUNTER, Counter, EnergyMeter, NoCounter
from equibench.machine.flops import counting_flops
from equibench.measure.cost.modes import Mode
from equibench.record.cost import Energy, ModeSpeed, Speed, SpeedPoint
from equibench_models.contract import Model

THROUGHPUT_REPEATS, LATENCY_REPEATS = 10, 100  # if the time limits allow


def sampling_flops(model: Model, options: Mapping[str, Any], device: torch.device) -> float:
    """FLOPs to sample one image."""
    with counting_flops() as found, autocast(device):
        model.sample(1, torch.Generator(device), batch_size=1, **options)
    return found.total


def sampling_speed(
    model: Model,
    options: Mapping[str, Any],
    device: torch.device,
    *,
    batch_sizes: Sequence[int],
    limit_sec: float,
    latency_limit_sec: float,
    other_modes: Sequence[Mode] = (),
    in_mode: Callable[[Mode, int], ModeSpeed] | None = None,
    counter: Counter | NoCounter = NO_COUNTER,
    block: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext(),
) -> Speed:
    """Throughput at every batch size and latency at batch 1, in eager mode; then, at the fastest batch size, in the
    others, by `in_mode` of a mode and a batch size. Limits are for one series of repeats after warm-up. `block` takes
    note of the machine around "speed", "latency" and "other modes".

    A batch size that does not fit in memory is a point with a reason, and larger ones are not tried. Raises what the
    sampler raises where no size works.
    """
    with block("speed"):
        sweep, energies = _swept(model, options, device, batch_sizes, limit_sec, counter)
    best = max(sweep, key=lambda point: point.images_per_sec or 0.0)
    assert best.images_per_sec is not None
    with block("latency"):
        singles = _repeats(_sampler(model, options, device, 1), device, 3, LATENCY_REPEATS, latency_limit_sec)
    others: list[ModeSpeed] = []
    if in_mode and other_modes:
        with block("other modes"):
            others = [in_mode(mode, best.batch_size) for mode in other_modes]
    return Speed(
        batch_size=best.batch_size,
        repeats_sec=best.repeats_sec,
        images_per_sec=best.images_per_sec,
        latency_repeats_sec=singles,
        latency_p50_sec=statistics.median(singles),
        latency_p90_sec=p90(singles),
        network_evaluations=model.network_evaluations(**options),
        flops_per_image=sampling_flops(model, options, device),
        options=dict(options),
        limit_sec=limit_sec,
        latency_limit_sec=latency_limit_sec,
        sweep=sweep,
        other_modes=others,
        energy=energies[best.batch_size],
    )


def _swept(
    model: Model,
    options: Mapping[str, Any],
    device: torch.device,
    batch_sizes: Sequence[int],
    limit_sec: float,
    counter: Counter | NoCounter,
) -> tuple[list[SpeedPoint], dict[int, Energy]]:
    """A point each batch size, up to the first that does not fit in memory, and the energy of each."""
    sweep: list[SpeedPoint] = []
    energies: dict[int, Energy] = {}
    for batch_size in sorted(set(batch_sizes)):
        try:
            point, energies[batch_size] = throughput(model, options, device, batch_size, limit_sec, counter)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or not sweep:
                raise
            sweep.append(SpeedPoint(batch_size=batch_size, reason="out of memory"))
            break
        sweep.append(point)
    return sweep, energies


def throughput(
    model: Model,
    options: Mapping[str, Any],
    device: torch.device,
    batch_size: int,
    limit_sec: float,
    counter: Counter | NoCounter = NO_COUNTER,
) -> tuple[SpeedPoint, Energy]:
    """Images/s in eager mode at one batch size, and the energy of the repeats after one for warm-up."""
    sample = _sampler(model, options, device, batch_size)
    sample()
    synchronizer(device)()
    spent = EnergyMeter(counter)
    taken = _repeats(sample, device, 0, THROUGHPUT_REPEATS, limit_sec)
    spent.read()
    point = SpeedPoint(batch_size=batch_size, repeats_sec=taken, images_per_sec=batch_size / statistics.median(taken))
    return point, spent.energy(batch_size * len(taken))


def _sampler(model: Model, options: Mapping[str, Any], device: torch.device, n: int) -> Callable[[], object]:
    generator = torch.Generator(device)

    def sample() -> None:
        with autocast(device):
            model.sample(n, generator, batch_size=n, **options)

    return sample


def _repeats(
    call: Callable[[], object], device: torch.device, warmup: int, repeats: int, limit_sec: float
) -> list[float]:
    return repeat(call, synchronizer(device), warmup=warmup, repeats=repeats, limit_sec=limit_sec)


def p90(seconds: list[float]) -> float:
    """The 90th percentile, one of the values."""
    return sorted(seconds)[min(len(seconds) - 1, int(0.9 * len(seconds)))]
