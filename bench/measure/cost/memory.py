"""Peak memory of training and of sampling, each in a fresh process: an exact count, of the GPU's allocator or of live
tensors, and on a processor beside it what the process took of the machine's memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from equibench.errors import first_line
from equibench.machine.apart import apart
from equibench.machine.device import autocast, synchronizer
from equibench.measure.cost.live import LiveTensors
from equibench.record.base import Scalar
from equibench.record.cost import Memory
from equibench.usercode import import_name
from equibench_models import FAMILIES, LOADED
from equibench_models import family as load_family
from equibench_models.contract import Model, Shape

UPDATES = 3  # the optimiser's state is there from the second on
TIMEOUT_SEC = 300.0
Work = Callable[..., None]


@dataclass(frozen=True)
class Peak:
    """An exact count of bytes, and beside it, above what was in use before, the caching allocator's `reserved_bytes` on
    a GPU, and the process's `resident_bytes` on a processor, which differ from run to run.
    """

    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    resident_bytes: int | None = None
    reason: str | None = None  # why there is none


def peak_memory(
    family: str,
    config: Mapping[str, Any],
    shape: Shape,
    options: Mapping[str, Scalar],
    device: torch.device,
    *,
    train_batch_size: int,
    sample_batch_size: int,
    limit_sec: float = TIMEOUT_SEC,
    wanted: Callable[[], bool] = lambda: True,
) -> Memory:
    """Peak memory of training and of sampling a model of random weights, each in a process of its own that is ended
    after `limit_sec`. None is started once it is no longer `wanted`. Raises UserError where the system gives none.
    """
    # a tiny twin first: libraries load code and set up threads on first use, which is no cost of the model
    twin = {**config, "width": 8}
    train, sample = (
        in_fresh_process(
            work, (family, twin, shape, *rest, 2), (family, dict(config), shape, *rest, n), device, limit_sec
        )
        if wanted()
        else Peak(reason="stopped")
        for work, rest, n in ((_train, (), train_batch_size), (_sample, (dict(options),), sample_batch_size))
    )
    reasons = [f"{job}: {peak.reason}" for job, peak in (("train", train), ("sample", sample)) if peak.reason]
    return Memory(
        quantity="peak allocated on the GPU" if device.type == "cuda" else "peak of live tensors",
        train_peak_bytes=train.peak_bytes,
        train_reserved_bytes=train.reserved_bytes,
        train_resident_bytes=train.resident_bytes,
        train_batch_size=train_batch_size,
        sample_peak_bytes=sample.peak_bytes,
        sample_reserved_bytes=sample.reserved_bytes,
        sample_resident_bytes=sample.resident_bytes,
        sample_batch_size=sample_batch_size,
        options=dict(options),
        reason="; ".join(reasons) or None,
    )


def in_fresh_process(
    work: Work,
    before: tuple[Any, ...],
    measured: tuple[Any, ...],
    device: torch.device,
    limit_sec: float = TIMEOUT_SEC,
) -> Peak:
    """Peak of `work(device, *measured)` in a process where `work(device, *before)` ran and ended. `work` is a function
    of a module that the process can import.
    """
    answer = apart(_measure, (work, before, measured), device, limit_sec)
    return Peak(reason=answer.reason) if answer.reason is not None else Peak(**answer.value)


def _measure(
    device: torch.device, work: Work, before: tuple[Any, ...], measured: tuple[Any, ...]
) -> dict[str, int | str | None]:
    try:
        work(device, *before)
    except Exception:  # a family of a user's own may allow no such twin: then the model itself starts the libraries
        work(device, *measured)
    in_use = _reset(device)
    work(device, *measured)
    synchronizer(device)()
    found = _peak(device, in_use)
    if device.type == "cpu":  # once more, as counting takes memory and time of its own
        found = _with_peak_of_tensors(found, work, measured)
    return asdict(found)


def _train(device: torch.device, family: str, config: dict[str, Any], shape: Shape, batch_size: int) -> None:
    model = built(device, family, config, shape)
    for _ in range(UPDATES):
        images = torch.randint(0, 256, (batch_size, *shape), dtype=torch.uint8, device=device)
        labels = [torch.zeros(batch_size, dtype=torch.int64, device=device)] if model.classes else []
        with autocast(device):  # anew for each update, as in training: within one, casts of weights are kept
            model.update(images, 0.0, *labels)


def _sample(
    device: torch.device,
    family: str,
    config: dict[str, Any],
    shape: Shape,
    options: dict[str, Any],
    batch_size: int,
) -> None:
    model = built(device, family, config, shape)
    with autocast(device):
        model.sample(batch_size, torch.Generator(device), batch_size=batch_size, **options)


def built(device: torch.device, family: str, config: dict[str, Any], shape: Shape) -> Model:
    """A model of random weights. A family of the user's own is found in the working folder too, which is no place that
    a fresh process looks in by itself.
    """
    if family not in FAMILIES and family not in LOADED:
        import_name(family)
    return load_family(family).build(config, shape).to(device)


def _reset(device: torch.device) -> int:
    """Make the present use the peak, and return it in bytes."""
    gc.collect()
    if device.type == "cuda":
        synchronizer(device)()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc: hand back what is free, or it would hide the next allocations
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # Linux: resets the peak resident size (proc(5))
    return psutil.Process().memory_info().rss


def _peak(device: torch.device, in_use: int) -> Peak:
    if device.type == "cuda":
        # reserved in whole blocks, some of them before: what matters is what the process held at most
        return Peak(torch.cuda.max_memory_allocated(device) - in_use, torch.cuda.max_memory_reserved(device))
    return Peak(resident_bytes=max(_peak_resident() - in_use, 0))


def _with_peak_of_tensors(found: Peak, work: Work, measured: tuple[Any, ...]) -> Peak:
    """`found` with the exact count added, or with the reason why work that runs well cannot be counted."""
    gc.collect()  # by itself it would run at other moments in each process, and the counts would differ
    gc.disable()
    live = LiveTensors()
    try:
        with live:
            work(torch.device("cpu"), *measured)
    except Exception as error:  # a user's own operators may not bear being watched
        return replace(found, reason=f"live tensors cannot be counted ({first_line(error)})")
    finally:
        gc.enable()
    return replace(found, peak_bytes=live.peak_bytes)


def _peak_resident() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024  # the kernel counts in KiB
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
