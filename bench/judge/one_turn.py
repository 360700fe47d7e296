"""One turn of `equibench turns`, as a script: times a checkpoint with the equibench that its interpreter finds.

Old versions run it too, so that it leans on little of them: `equibench_models.family`, the contract's `build`, `sample`
and `update`, and `equibench.machine.device.autocast`; what a version sets for a device is set (`work_on`, where it has
it). Timing and counting are its own, the same for both versions. The task comes as JSON on standard input; the answer,
or the reason why there is none, is one line of JSON on standard output. Whatever else is printed goes to standard
error.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LIVE = Path(__file__).resolve().parents[1] / "measure" / "cost" / "live.py"  # imports torch alone
SINGLES, BATCHES, UPDATES = 100, 20, 3  # repeats, if the time allows; the optimiser's state is there from the second on


class TooOldError(Exception):
    """This version lacks what a turn needs of it."""


def main() -> None:
    """Answer the task on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.append(os.getcwd())  # families of a user's own
    try:
        answer = turn(json.load(sys.stdin))
    except TooOldError as error:
        answer = {"too_old": str(error)}
    except Exception as error:
        answer = {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    answers.write(json.dumps(answer) + "\n")
    answers.close()


def turn(task: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of one image and of one alone, and, where the task asks for `memory`, peak bytes; with what was measured,
    and by whom the machine was used meanwhile.
    """
    family = _attribute("equibench_models", "family")
    import torch

    device = torch.device(task["device"])
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    getattr(importlib.import_module("equibench.machine.device"), "work_on", lambda device: None)(device)
    model, options, notes = _model(task, family, device)
    synchronize = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    autocast = _attribute("equibench.machine.device", "autocast")

    def sample(n: int) -> Callable[[], None]:
        generator = torch.Generator(device).manual_seed(0)  # the same noise for both versions

        def call() -> None:
            with autocast(device):
                model.sample(n, generator, batch_size=n, **options)
            synchronize()

        return call

    size, limit_sec, before = task["batch_size"], task["limit_sec"], _busy_sec()
    batches = _repeats(sample(size), 1, BATCHES, limit_sec)
    singles = _repeats(sample(1), 3, SINGLES, limit_sec)
    found = {
        "sec_per_image": statistics.median(batches) / size,
        "latency_sec": statistics.median(singles),
        "others_cpu_share": _others_share(before),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "version": _version(),
        "sources": str(_own_file(model) or _folder("equibench")),
        "sources_sha256": _digest(_own_file(model)),
        "notes": notes,
    }
    if task["memory"]:
        found["memory"] = _memory(model, sample(size), size, device, autocast)
    return found


def _model(task: Mapping[str, Any], family: Any, device: Any) -> tuple[Any, dict[str, Any], list[str]]:
    """The checkpoint's model in this version, the sampler's options that it knows, and what it does not know."""
    from safetensors import safe_open

    with safe_open(task["checkpoint"], framework="pt") as file:
        about = json.loads(file.metadata()["equibench"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        kind = family(about["family"])
        known, can = set(kind.config_type.model_fields), set(kind.options_type.model_fields)
    except (LookupError, ImportError, AttributeError) as error:
        raise TooOldError(f"it has no family {about['family']} ({error})") from None
    config, options = about["config"], task["options"]
    notes = [
        f"it has no setting {name} of {about['family']}" for name in (*config, *options) if name not in known | can
    ]
    try:
        model = kind.build({key: value for key, value in config.items() if key in known}, tuple(about["shape"]))
        model.load_state_dict(weights)
    except (ValueError, RuntimeError) as error:  # of pydantic, and of torch
        said = " ".join(str(error).split())[:200]
        raise TooOldError(f"its {about['family']} does not take these weights ({said})") from None
    return model.to(device), {key: value for key, value in options.items() if key in can}, notes


def _attribute(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise TooOldError(f"it has no {module}.{name}") from None


def _repeats(call: Callable[[], None], warmup: int, repeats: int, limit_sec: float) -> list[float]:
    """Seconds of each call, at least two of them, until the limit is spent."""
    for _ in range(warmup):
        call()
    taken: list[float] = []
    while len(taken) < repeats and (len(taken) < 2 or sum(taken) < limit_sec):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return taken


def _memory(model: Any, sample: Callable[[], None], size: int, device: Any, autocast: Any) -> dict[str, Any]:
    """Peak bytes of tensors: of sampling, and of the first updates. Counted, so that equal code has equal ones; or the
    reason why they cannot be.
    """
    import torch

    def train() -> None:
        generator = torch.Generator().manual_seed(0)
        for _ in range(UPDATES):
            images = torch.randint(0, 256, (size, *model.shape), dtype=torch.uint8, generator=generator)
            classes = getattr(model, "classes", 0)  # versions before labels have no such attribute
            labels = [torch.zeros(size, dtype=torch.int64, device=device)] if classes else []
            with autocast(device):
                model.update(images.to(device), 0.0, *labels)

    try:
        return {"sample": _peak(sample, device), "train": _peak(train, device)}
    except Exception as error:  # of kinds of tensors that cannot be followed, and of a family of the user's own
        return {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:200]}


def _peak(work: Callable[[], None], device: Any) -> int:
    """Bytes of all tensors at once, at most: of the allocator on a GPU, else counted by this version's code."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return int(torch.cuda.max_memory_allocated(device))
    spec = importlib.util.spec_from_file_location("live", LIVE)
    assert spec is not None
    assert spec.loader is not None
    counting = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(counting)  # the same for both versions, whatever an old one has
    with counting.LiveTensors() as live:
        work()
    return int(live.peak_bytes)


def _busy_sec() -> tuple[float, float, float]:
    """Seconds of all cores: those that went by, those spent idle, and those spent working for this process."""
    import psutil

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    mine = psutil.Process().cpu_times()
    return sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0), idle, mine.user + mine.system


def _others_share(before: tuple[float, float, float]) -> float:
    """Share of all cores' time since then that went to other processes, in [0, 1]."""
    total, idle, mine = (now - then for now, then in zip(_busy_sec(), before, strict=True))
    return min(max((total - idle - mine) / total, 0.0), 1.0) if total > 0 else 0.0


def _version() -> str:
    try:
        from equibench.protocol import __version__

        return str(__version__)
    except ImportError:
        return importlib.metadata.version("equibench")


def _folder(package: str) -> Path:
    return Path(str(importlib.import_module(package).__file__)).resolve().parent


def _own_file(model: Any) -> Path | None:
    """The file of the module that holds a family of the user's own."""
    module = type(model).__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).resolve() if file and module.partition(".")[0] != "equibench_models" else None


def _digest(own: Path | None) -> str:
    """sha256 of the sources that ran: both packages, and a module of the user's own."""
    found = hashlib.sha256()
    for package in ("equibench", "equibench_models"):
        folder = _folder(package)
        for file in sorted(folder.rglob("*.py")):
            found.update(f"{package}/{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    found.update(own.read_bytes() if own else b"")
    return found.hexdigest()


if __name__ == "__main__":
    main()
