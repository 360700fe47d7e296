"""What a record says of how arithmetic was done: of this process, and of a GPU that is made up."""

import sys
import types

import pytest
import torch

from equibench.machine import numerics as module
from equibench.machine.numerics import libraries, numerics

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """As if there were one that multiplies bfloat16."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 90100)
    nvml = types.SimpleNamespace(nvmlInit=lambda: None, nvmlSystemGetDriverVersion=lambda: "550.54.15")
    monkeypatch.setitem(sys.modules, "pynvml", nvml)


def test_settings_are_those_of_this_process(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("HOME_OF_NOTHING", "x")
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(2)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True)
        found = numerics(CPU, "bfloat16")
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.use_deterministic_algorithms(False)
    assert (found.threads, found.matmul_precision, found.deterministic) == (2, "medium", True)
    assert found.features == "bfloat16"
    assert found.environment["OMP_NUM_THREADS"] == "3"
    assert found.environment["MKL_CBWR"] == "COMPATIBLE"
    assert "HOME_OF_NOTHING" not in found.environment
    assert (found.tf32, found.cudnn_benchmark) == (None, None)
    assert found.training in ("bfloat16", "float32")


def test_values_that_are_no_text_are_kept_readable(monkeypatch):
    monkeypatch.setenv("OMP_PLACES", "caf\udce9" * 100)
    value = numerics(CPU).environment["OMP_PLACES"]
    assert value.startswith("caf\\udce9")
    assert len(value) <= 200


def test_libraries_are_those_that_torch_names():
    found = libraries(CPU)
    built = torch.__config__.show()
    assert found.python == sys.version.split()[0]
    assert found.onednn.removeprefix("v") in built
    assert found.blas.split()[-1] in built
    assert found.instructions == torch.backends.cpu.get_cpu_capability()
    assert found.openmp in torch.__config__.parallel_info()
    assert found.others["numpy blas"]
    assert (found.cuda, found.driver, found.cudnn) == (None, None, None)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_s_libraries_and_settings(monkeypatch):
    found = libraries(GPU)
    assert (found.cuda, found.driver, found.cudnn) == ("12.4", "550.54.15", "90100")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    told = numerics(GPU)
    assert (told.training, told.cudnn_benchmark, told.tf32) == ("bfloat16", True, True)


@pytest.mark.usefixtures("gpu")
def test_a_driver_without_nvml_is_read_from_the_kernel(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(module, "DRIVER", tmp_path / "version")
    assert libraries(GPU).driver is None
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\nGCC version: 12"
    (tmp_path / "version").write_text(text)
    assert libraries(GPU).driver == "570.86.15"


def test_a_library_that_is_not_told_is_missing_not_wrong(monkeypatch):
    monkeypatch.setattr(torch.__config__, "show", lambda: "PyTorch built with:\n  - Clang 15\n")
    monkeypatch.setattr(torch.__config__, "parallel_info", lambda: "ATen parallel backend: native")
    found = libraries(CPU)
    assert (found.blas, found.lapack, found.onednn, found.openmp) == (None, None, None, None)
