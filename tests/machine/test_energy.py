"""Energy counters, from made-up files and a made-up driver."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from equibench.machine import energy
from equibench.record.cost import Energy

CPU = torch.device("cpu")


@pytest.fixture
def powercap(tmp_path):
    """Two packages, and a part of one, as Linux shows them."""
    for zone, name, micro in (("0", "package-0", 100), ("1", "package-1", 900), ("0:0", "core", 50), ("2", "psys", 7)):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{micro * 10**6}\n")
        (folder / "max_energy_range_uj").write_text(f"{1000 * 10**6}\n")
    return tmp_path


def test_rapl_sums_packages_and_counts_on_when_they_wrap(powercap):
    counter = energy.counter(CPU, powercap)
    assert counter.quantity == "processor packages (RAPL)"
    spent = energy.EnergyMeter(counter)
    (powercap / "intel-rapl:0" / "energy_uj").write_text("130000000")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("999000000")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("50000000")  # past 1000 J, and 50 more
    spent.read()
    assert spent.energy(20) == Energy(joules=30 + 150, quantity=counter.quantity, images=20)
    (powercap / "intel-rapl:1" / "energy_uj").write_text("0")  # again
    assert counter.joules() == 180 + 950


def test_a_machine_without_counters_says_so(tmp_path, powercap):
    assert "no energy counter" in energy.counter(CPU, tmp_path / "nothing").reason
    (powercap / "intel-rapl:0" / "energy_uj").write_text("")
    assert "cannot be read" in energy.counter(CPU, powercap).reason
    spent = energy.EnergyMeter(energy.NoCounter("there is none"))
    spent.read()
    assert spent.energy(3) == Energy(reason="there is none")


def fake_nvml(millijoules, error=None):
    """A stand-in for pynvml with one device."""
    nvml = types.ModuleType("pynvml")
    nvml.NVMLError = type("NVMLError", (Exception,), {})
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByUUID = lambda uuid: {"GPU-1": "handle"}[uuid]

    def count(handle):
        assert handle == "handle"
        if error:
            raise nvml.NVMLError(error)
        return next(millijoules)

    nvml.nvmlDeviceGetTotalEnergyConsumption = count
    return nvml


def test_nvml_counts_millijoules_of_the_whole_board(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(iter([500, 1_000, 251_000])))
    spent = energy.EnergyMeter(energy._nvml("GPU-1"))
    spent.read()
    assert spent.energy(10) == Energy(joules=250.0, quantity="GPU (NVML)", images=10)
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(iter([]), "Not Supported"))
    assert "Not Supported" in energy._nvml("GPU-1").reason
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install" in energy._nvml("GPU-1").reason


def test_a_counter_that_did_not_move_tells_nothing(powercap):
    spent = energy.EnergyMeter(energy.counter(CPU, powercap))
    spent.read()
    assert spent.energy(5) == Energy(reason="the work was over before the energy counter moved")
