"""Energy by the machine's own counters: NVML on a GPU, RAPL on a processor. Where there is none, the reason is said."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from equibench.record.cost import Energy

POWERCAP = Path("/sys/class/powercap")  # Linux; see Documentation/power/powercap


class Counter(Protocol):
    """A count of joules that only grows; `quantity` says what it covers."""

    quantity: str

    def joules(self) -> float:
        """Since some fixed moment. Where the hardware's own count wraps, ask at least once a wrap."""


@dataclass(frozen=True)
class NoCounter:
    """In place of a counter where there is none: the reason."""

    reason: str


NO_COUNTER = NoCounter("no counter was given")


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

    def __init__(self, nvml: Any, board: Any) -> None:
        self._nvml, self._handle = nvml, board
        self.joules()  # older boards have no count, and say so here

    def joules(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3  # it counts millijoules


def counter(device: torch.device, powercap: Path = POWERCAP) -> Counter | NoCounter:
    """The counter of `device`, or why there is none."""
    if device.type == "cuda":
        return _nvml(uuid_of(device))
    # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; AMD's processors go by the same name
    zones = sorted(powercap.glob("intel-rapl:*"))
    packages = [zone for zone in zones if zone.name.count(":") == 1 and _name(zone).startswith("package")]
    if not packages:
        return NoCounter("this machine shows no energy counter of its processor (RAPL)")
    try:
        return Rapl(packages)
    except PermissionError:
        file = packages[0] / "energy_uj"
        return NoCounter(f"the energy counter of the processor may not be read: let {file} be read")
    except (OSError, ValueError) as error:
        return NoCounter(f"the energy counter of the processor cannot be read ({error})")


def uuid_of(device: torch.device) -> str:
    """By which NVML knows a GPU, whatever number it has here."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def open_board(uuid: str) -> tuple[Any, Any]:
    """NVML, and its handle of a GPU. Raises LookupError with a clause where they are not to be had."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise LookupError("nvidia-ml-py is not installed: pip install 'equibench[energy]'") from None
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        raise LookupError(f"NVML does not know the GPU ({error})") from None


def _nvml(uuid: str) -> Counter | NoCounter:
    try:
        nvml, board = open_board(uuid)
    except LookupError as error:
        return NoCounter(str(error.args[0]))
    try:
        return Nvml(nvml, board)
    except nvml.NVMLError as error:
        return NoCounter(f"the GPU's energy counter cannot be read ({error})")


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


class EnergyMeter:
    """Counts the energy of some work by a counter, or has a reason not to. Work that is queued on a device must be
    waited for before each call.
    """

    def __init__(self, counter: Counter | NoCounter, before_joules: float = 0.0) -> None:
        """`before_joules`: spent on the same work already, by a process that was stopped."""
        self._counter = counter
        now = self._joules()
        self._begin = None if now is None else now - before_joules
        self.joules: float | None = None  # spent up to the last `read`

    def read(self) -> None:
        """Take note of what was spent since the start: often enough that the hardware's count does not wrap unseen."""
        if self._begin is not None:
            self.joules = (self._joules() or 0.0) - self._begin

    def skip(self) -> None:
        """Leave out what was spent since the last `read`, as other work took it."""
        if self._begin is not None:
            self._begin = (self._joules() or 0.0) - (self.joules or 0.0)

    def energy(self, images: int) -> Energy:
        """What the work up to the last `read` took, for so many images; or why it is not known."""
        if isinstance(self._counter, NoCounter):
            return Energy(reason=self._counter.reason)
        if not self.joules:  # NVML's count moves some ten times a second
            return Energy(reason="the work was over before the energy counter moved")
        return Energy(joules=self.joules, quantity=self._counter.quantity, images=images)

    def _joules(self) -> float | None:
        return None if isinstance(self._counter, NoCounter) else self._counter.joules()
