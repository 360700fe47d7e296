"""What the numbers were measured on: device, processor, threads, precision, versions, code."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

import bench
from bench import UserError, nearest
from bench.record import Code, Machine, digest

VERSIONED = ("torch", "numpy", "scipy", "torchvision", "torch-fidelity", "efficientnet-lite-pytorch")


def device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that is there. Raises UserError otherwise."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UserError(f"unknown device {name!r}{nearest(name, ['auto', 'cpu', 'cuda', 'cuda:0'])}")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UserError(
            f"device {name!r} is not on this machine; `equibench doctor` shows what is, `--device cpu` works"
        )
    return torch.device(name)


def precision(device: torch.device) -> torch.dtype:
    """Of matrix products in training and sampling: bfloat16 where the hardware multiplies it, float32 elsewhere."""
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Context in which networks multiply in `precision(device)`."""
    dtype = precision(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that waits until all work queued on the device is done."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def describe(device: torch.device) -> Machine:
    memory_bytes = psutil.virtual_memory().total
    fields: dict[str, str | int] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True) or 1,
        "threads": torch.get_num_threads(),
        "memory_bytes": memory_bytes,
        "precision": str(precision(device)).removeprefix("torch."),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    # total memory differs by some pages from boot to boot
    key = digest({**fields, "memory_bytes": round(memory_bytes / 2**30)})[:12]
    return Machine.model_validate({"key": key, **fields})


def versions() -> dict[str, str]:
    found = {}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code() -> Code:
    """Commit of the checkout that runs, and whether the code in it was changed; None outside a git checkout."""
    root = Path(bench.__file__).parent.parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    status = git("status", "--porcelain", "--", "bench", "models", "pyproject.toml") if commit else None
    return Code(commit=commit, dirty=None if status is None else bool(status), version=bench.__version__)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def training_rate(device: torch.device, seconds: float = 0.5) -> float:
    """FLOP/s that training is expected to reach: a quarter of the device's matrix-product rate, timed."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device, dtype=precision(device))
    synchronize = synchronizer(device)
    for _ in range(2):
        a @ a
    synchronize()
    start, products = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        a @ a
        synchronize()
        products += 1
    return 0.25 * products * 2 * size**3 / (time.perf_counter() - start)
