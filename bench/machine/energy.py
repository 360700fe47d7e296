"""Energy by the machine's own counters: NVML on a GPU, RAPL on a processor. Where there is none, the reason is said."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from equibench.record.schema import Energy

POWERCAP = Path("/sys/class/powercap")  # Linux; see Documentation/power/powercap


class Counter(Protocol):
    """A count of joules that only grows; `quantity` says what it covers."""

    quantity: str

    def joules(self) -> float:
        """Since some fixed moment. Where the hardware's own count wraps, ask at least once a wrap."""


class Rapl:
    """All processor packages, by the kernel's powercap files. Memory and the rest of the machine are not in it, other
    programs are.
    """

    quantity = "processor packages (RAPL)"

    def __init__(self, folders: list[Path]) -> None:
        self._files = [folder / "energy_uj" for folder in folders]
        self._ranges = [int((folder / "max_energy_range_uj").read_text()) for folder in folders]
        self._last = self._read()
        self._total = 0

    def joules(self) -> float:
        now = self._read()
        for before, after, wrap in zip(self._last, now, self._ranges, strict=True):
            self._total += after - before if after >= before else after - before + wrap
        self._last = now
        return self._total / 1e6

    def _read(self) -> list[int]:
        return [int(file.read_text()) for file in self._files]


class Nvml:
    """One whole GPU board, by the driver's count since it was loaded."""

    quantity = "GPU (NVML)"

    def __init__(self, nvml: Any, uuid: str) -> None:
        nvml.nvmlInit()
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self.joules()  # older boards have no count, and say so here

    def joules(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3  # it counts millijoules


def counter(device: torch.device, powercap: Path = POWERCAP) -> Counter | str:
    """The counter of `device`, or why there is none."""
    if device.type == "cuda":
        return _nvml(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; AMD's processors go by the same name
    zones = sorted(powercap.glob("intel-rapl:*"))
    packages = [zone for zone in zones if zone.name.count(":") == 1 and _name(zone).startswith("package")]
    if not packages:
        return "this machine shows no energy counter of its processor (RAPL)"
    try:
        return Rapl(packages)
    except PermissionError:
        return f"the energy counter of the processor may not be read: let {packages[0] / 'energy_uj'} be read"
    except (OSError, ValueError) as error:
        return f"the energy counter of the processor cannot be read ({error})"


def _nvml(uuid: str) -> Counter | str:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return "nvidia-ml-py is not installed: pip install 'equibench[energy]'"
    try:
        return Nvml(nvml, uuid)
    except nvml.NVMLError as error:
        return f"the GPU's energy counter cannot be read ({error})"


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


@dataclass
class Used:
    """What a block used; read after the block."""

    source: Counter | str
    joules: float | None = field(default=None)

    def energy(self, images: int) -> Energy:
        if isinstance(self.source, str):
            return Energy(reason=self.source)
        return Energy(joules=self.joules, quantity=self.source.quantity, images=images)


@contextmanager
def used(source: Counter | str) -> Iterator[Used]:
    """Count the block's energy. Work queued on a device must be waited for at both ends."""
    found = Used(source)
    if isinstance(source, str):
        yield found
        return
    begin = source.joules()
    yield found
    found.joules = source.joules() - begin
