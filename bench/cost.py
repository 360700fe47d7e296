"""What a model costs: sampling speed, FLOPs, and memory in a fresh process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import statistics
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

import models
from bench import machine
from bench.clock import repeat
from bench.record import Memory, Scalar, Speed
from models import Model

MEMORY_UPDATES = 3  # the optimiser's state is there from the second on
MEMORY_TIMEOUT_SEC = 300.0


def sampling_flops(model: Model, options: Mapping[str, Any], device: torch.device) -> float:
    """FLOPs to sample one image."""
    with FlopCounterMode(display=False) as counter, machine.autocast(device):
        model.sample(1, torch.Generator(device), batch_size=1, **options)
    return float(counter.get_total_flops())


def sampling_speed(
    model: Model, options: Mapping[str, Any], device: torch.device, *, batch_size: int, limit_sec: float
) -> Speed:
    """Throughput at `batch_size` and latency at batch 1, each at most about `limit_sec` after warm-up."""
    generator = torch.Generator(device)
    synchronize = machine.synchronizer(device)

    def sample(n: int) -> None:
        with machine.autocast(device):
            model.sample(n, generator, batch_size=n, **options)

    batches = repeat(lambda: sample(batch_size), synchronize, warmup=1, repeats=10, limit_sec=limit_sec)
    singles = repeat(lambda: sample(1), synchronize, warmup=3, repeats=100, limit_sec=limit_sec)
    ordered = sorted(singles)
    return Speed(
        batch_size=batch_size,
        repeats_sec=batches,
        images_per_sec=batch_size / statistics.median(batches),
        latency_repeats_sec=singles,
        latency_p50_sec=statistics.median(singles),
        latency_p90_sec=ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))],
        network_evaluations=model.network_evaluations(**options),
        flops_per_image=sampling_flops(model, options, device),
        options=dict(options),
    )


def peak_memory(
    family: str,
    config: Mapping[str, Any],
    shape: models.Shape,
    options: Mapping[str, Scalar],
    device: torch.device,
    *,
    train_batch_size: int,
    sample_batch_size: int,
) -> Memory:
    """Peak memory of training and of sampling, each in a process of its own."""
    jobs: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("train", train_batch_size, {}),
        ("sample", sample_batch_size, dict(options)),
    )
    peaks: dict[str, int | None] = {}
    reasons = []
    for job, batch_size, job_options in jobs:
        peak, reason = _in_fresh_process((job, family, dict(config), shape, job_options, str(device), batch_size))
        peaks[job] = peak
        if reason:
            reasons.append(f"{job}: {reason}")
    return Memory(
        quantity="peak allocated on the GPU" if device.type == "cuda" else "peak resident above import",
        train_peak_bytes=peaks["train"],
        train_batch_size=train_batch_size,
        sample_peak_bytes=peaks["sample"],
        sample_batch_size=sample_batch_size,
        reason="; ".join(reasons) or None,
    )


def _in_fresh_process(job: tuple[Any, ...]) -> tuple[int | None, str | None]:
    """Peak bytes of the job, or the reason why there are none."""
    # A fork server that has imported torch once saves its import, seconds each time; its children start with nothing
    # but that import, and have never touched a device.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.cost"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_peak, args=(sender, torch.get_num_threads(), *job), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(MEMORY_TIMEOUT_SEC):
            process.kill()
            return None, f"no answer within {MEMORY_TIMEOUT_SEC:.0f} s"
        found: tuple[int | None, str | None] = receiver.recv()
        return found
    except EOFError:  # the process died without a word: the system kills what takes too much
        process.join()
        return None, f"the process ended with code {process.exitcode}, as it does when memory runs out"
    finally:
        receiver.close()
        process.join()


def _measure_peak(
    sender: Connection,
    threads: int,
    job: str,
    family: str,
    config: dict[str, Any],
    shape: models.Shape,
    options: dict[str, Any],
    device_name: str,
    batch_size: int,
) -> None:
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    try:
        model = models.FAMILIES[family]
        # a tiny twin first: libraries load code and set up threads on first use, which is no cost of the model
        _work(model.build({**config, "width": 8}, shape).to(device), job, options, device, 2)
        before = _reset_peak(device)
        _work(model.build(config, shape).to(device), job, options, device, batch_size)
        sender.send((max(_peak(device) - before, 0), None))
    except (MemoryError, torch.OutOfMemoryError):
        sender.send((None, "out of memory"))
    except RuntimeError as error:
        sender.send((None, str(error).splitlines()[0]))


def _work(model: Model, job: str, options: dict[str, Any], device: torch.device, batch_size: int) -> None:
    with machine.autocast(device):
        if job == "train":
            for _ in range(MEMORY_UPDATES):
                model.update(torch.randint(0, 256, (batch_size, *model.shape), dtype=torch.uint8, device=device))
        else:
            model.sample(batch_size, torch.Generator(device), batch_size=batch_size, **options)
    machine.synchronizer(device)()


def _reset_peak(device: torch.device) -> int:
    """Make the present use the peak, and return it in bytes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc: hand back what is free, or it would hide the next allocations
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # Linux: resets the peak resident size (proc(5))
    return psutil.Process().memory_info().rss


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024  # the kernel counts in KiB
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
