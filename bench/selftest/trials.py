"""The self-test: what is tried on a device, in which order, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from equibench.errors import first_line
from equibench.machine import energy, processes
from equibench.machine.apart import apart
from equibench.measure.cost import memory
from equibench.selftest import paths
from equibench_models import FAMILIES

LIMIT_SEC = 120.0  # of all
QUICKEST = "gan"  # to build, compile and sample: a pass


class SelfTestResult(NamedTuple):
    """What became of one thing that was tried. `works` is None where it was left out, for the reason `why`."""

    name: str
    works: bool | None
    why: str
    sec: float


class Trial(NamedTuple):
    """One thing to try: gives a remark, raises what paths.py raises, in so many seconds at most."""

    name: str
    path: Callable[[float], str]


def trials(device: torch.device) -> list[Trial]:
    """What applies to the device first, what is left out on it last."""
    found = [
        _apart("float32", device, paths.float32),
        _apart("matrix products", device, paths.products),
        _apart("features", device, paths.features),
    ]
    for name in FAMILIES:
        for path in (paths.update, paths.sample, paths.likelihood):
            found.append(_apart(f"{name} {path.__name__}", device, path, name))
    found += [_apart(f"{name} CUDA graph", device, paths.in_mode, name, "cuda graph") for name in FAMILIES]
    found += [_apart(f"{name} captured updates", device, paths.captured_updates, name) for name in FAMILIES]
    found.append(Trial("energy", lambda limit_sec: _energy(device)))
    found.append(Trial("memory", lambda limit_sec: _memory(device, limit_sec)))
    found.append(Trial("second device", lambda limit_sec: _second(device, limit_sec)))
    found.append(_apart("compiled update", device, paths.compiled_update, QUICKEST))
    found.append(_apart("compiled sample", device, paths.in_mode, QUICKEST, "compile"))
    return found


def tried(
    wanted: list[Trial], limit_sec: float = LIMIT_SEC, now: Callable[[], float] = time.monotonic
) -> Iterator[SelfTestResult]:
    """Each as it is tried, within `limit_sec` for all."""
    processes.warm_up()
    end_sec = now() + limit_sec
    for trial in wanted:
        begun_sec = now()
        left_sec = end_sec - begun_sec
        if left_sec <= 0:
            yield SelfTestResult(trial.name, None, f"the {limit_sec:g} s of all were over; name it by --only", 0.0)
            continue
        try:
            works, why = True, trial.path(left_sec)
        except paths.SkippedError as error:
            works, why = None, str(error)
        except Exception as error:  # of any kind: what goes wrong is what is asked for
            works, why = False, str(error) if isinstance(error, paths.NotSoError) else _told(error)
        yield SelfTestResult(trial.name, works, why, now() - begun_sec)


def attempt_here(device: torch.device, path: Callable[..., str], *arguments: Any) -> dict[str, str]:
    """In the process of a trial: what it gives, or the kind of its end and why, as JSON holds it."""
    try:
        return {"remark": path(device, *arguments)}
    except paths.SkippedError as error:
        return {"skipped": str(error)}
    except paths.NotSoError as error:
        return {"wrong": str(error)}
    except Exception as error:
        return {"wrong": _told(error)}


def _apart(name: str, device: torch.device, path: Callable[..., str], *arguments: Any) -> Trial:
    return Trial(name, lambda limit_sec: _in_a_process(device, limit_sec, path, *arguments))


def _in_a_process(device: torch.device, limit_sec: float, path: Callable[..., str], *arguments: Any) -> str:
    """A device that has failed once may fail in its process from then on."""
    answer = apart(attempt_here, (path, *arguments), device, limit_sec)
    if answer.reason is not None:
        raise paths.NotSoError(answer.reason)
    if "skipped" in answer.value:
        raise paths.SkippedError(answer.value["skipped"])
    if "wrong" in answer.value:
        raise paths.NotSoError(answer.value["wrong"])
    return str(answer.value["remark"])


def _energy(device: torch.device) -> str:
    counter = energy.counter(device)
    if isinstance(counter, energy.NoCounter):
        raise paths.SkippedError(counter.reason)
    return f"{counter.quantity}: {counter.joules():,.0f} J so far"


def _memory(device: torch.device, limit_sec: float) -> str:
    found = memory.peak_memory(
        QUICKEST,
        paths.CONFIG,
        paths.SHAPE,
        {},
        device,
        train_batch_size=paths.TRIED_IMAGES,
        sample_batch_size=paths.TRIED_IMAGES,
        limit_sec=limit_sec / 2,
    )
    if found.reason:
        raise paths.NotSoError(found.reason)
    mib = [(bytes_ or 0) / 2**20 for bytes_ in (found.train_peak_bytes, found.sample_peak_bytes)]
    if not all(mib):
        raise paths.NotSoError(f"no bytes were counted in {found.quantity}")
    return f"{found.quantity}: {mib[0]:.1f} MiB to train, {mib[1]:.1f} MiB to sample"


def _second(device: torch.device, limit_sec: float) -> str:
    if device.type != "cuda":
        raise paths.SkippedError("there is one processor")
    if torch.cuda.device_count() < 2:
        raise paths.SkippedError("there is one GPU")
    other = torch.device("cuda", 0 if device.index else 1)
    path = paths.second_device if other.index else paths.update
    return f"{other}: {_in_a_process(other, limit_sec, path, QUICKEST)}"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
