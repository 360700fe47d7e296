"""What the numbers were measured on, as a record tells it: the machine."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil
import torch

from equibench.hashing import digest
from equibench.machine.device import native_precision
from equibench.record.schema import Machine


def describe_machine(device: torch.device, processes: int = 1) -> Machine:
    """The machine with `device` in use; its key is short for all of it: speeds of other keys are never compared. So
    many `processes` share an entrant's training.
    """
    memory_bytes = psutil.virtual_memory().total
    fields: dict[str, str | int] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True) or 1,
        "threads": torch.get_num_threads(),
        "memory_bytes": memory_bytes,
        "precision": str(native_precision(device)).removeprefix("torch."),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    if processes > 1:
        fields["processes"] = processes
    # total memory differs by some pages from boot to boot
    key = digest({**fields, "memory_bytes": round(memory_bytes / 2**30)})[:12]
    return Machine.model_validate({"key": key, **fields})


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
