"""What share of a GPU's time other processes take, by NVML."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from equibench.errors import first_line
from equibench.machine import energy
from equibench.machine.load import Others


def others_on_gpu(device: torch.device) -> Others | None:
    """What tells of other processes on the GPU; None for a processor."""
    if device.type != "cuda":
        return None
    try:
        nvml, board = energy.open_board(energy.uuid_of(device))
    except LookupError as error:
        return _nothing_known(str(error.args[0]))
    return GpuProcesses(nvml, board)


def _nothing_known(reason: str) -> Others:
    def others(since_sec: float) -> float | None:  # noqa: ARG001
        raise LookupError(reason)

    return others


class GpuProcesses:
    """Processes on one board, by NVML's samples of how busy each keeps it."""

    def __init__(self, nvml: Any, board: Any) -> None:
        self._nvml, self._board = nvml, board

    def __call__(self, since_sec: float) -> float | None:
        me, nvml = psutil.Process(), self._nvml
        own = {me.pid, *(child.pid for child in me.children(recursive=True))}
        try:
            there = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(self._board)}
            if not there & own:  # in a container NVML may give the host's numbers
                raise LookupError("NVML does not show which processes on the GPU are this cell's")
            if there <= own:
                return 0.0
            samples = nvml.nvmlDeviceGetProcessUtilization(self._board, int(since_sec * 1e6))
        except nvml.NVMLError_NotFound:  # no sample since then, as one is taken some times a second
            return None
        except nvml.NVMLError as error:
            raise LookupError(f"NVML does not tell what processes use the GPU ({first_line(error)})") from None
        shares: dict[int, list[float]] = {}
        for sample in samples:
            if sample.pid not in own and sample.timeStamp > since_sec * 1e6:
                shares.setdefault(sample.pid, []).append(sample.smUtil / 100)
        return min(sum(sum(found) / len(found) for found in shares.values()), 1.0)
