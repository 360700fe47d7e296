"""How arithmetic was done, as a record tells it: settings of this process, and the libraries behind operators."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

from equibench.errors import first_line
from equibench.machine.device import precision
from equibench.record.surroundings import Libraries, Numerics

EAGER = "eager"
# names, or beginnings of names, of variables that decide on threads, kernels or precision
VARIABLES = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "ONEDNN_", "DNNL_", "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "CUBLAS_", "CUBLASLT_", "CUDNN_", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_", "TORCH_CUDNN_", "TORCH_NNPACK_", "TORCH_LINALG_PREFER_",
    "PYTORCH_TUNABLEOP_", "CUDA_LAUNCH_BLOCKING", "HIPBLASLT_", "ROCBLAS_", "MIOPEN_",
)  # fmt: skip
LONGEST_VALUE = 200  # characters
DRIVER = Path("/proc/driver/nvidia/version")


def numerics(device: torch.device, features: str = "float32", compilation: str = EAGER) -> Numerics:
    """Settings of this process as they are now. `features` is the precision of the feature network, `compilation` what
    training went through; those of the other
    kinds of work are what the harness asks for: a family may compute parts of its own in float32.
    """
    on_gpu = device.type == "cuda"
    of_networks = str(precision(device)).removeprefix("torch.")
    return Numerics(
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        training=of_networks,
        sampling=of_networks,
        features=features,
        likelihood=of_networks,
        matmul_precision=torch.get_float32_matmul_precision(),
        tf32=_tf32() if on_gpu else None,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        cudnn_benchmark=torch.backends.cudnn.benchmark if on_gpu else None,
        compilation=compilation,
        environment={name: _plain(value) for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
    )


def libraries(device: torch.device) -> Libraries:
    """What torch was built with and found here; of a GPU's only where `device` is one."""
    built, threading = torch.__config__.show(), torch.__config__.parallel_info()
    blas, lapack = (_build_setting(built, name) for name in ("BLAS_INFO", "LAPACK_INFO"))
    mkl = _found(r"Math Kernel Library Version ([\d.]+)", built)
    named = {"mkl": f"MKL {mkl}"} if mkl else {}
    on_gpu = device.type == "cuda"
    return Libraries(
        python=platform.python_version(),
        blas=named.get(blas or "", blas),
        lapack=named.get(lapack or "", lapack),
        openmp=_found(r"(OpenMP \d+(?: \(a\.k\.a\. [^)]*\))?)", threading) or _found(r"(OpenMP \d+)", built),
        onednn=_found(r"MKL-DNN (v\S+)", built) or _found(r"oneDNN (v\S+)", built),
        instructions=torch.backends.cpu.get_cpu_capability(),
        libc=" ".join(platform.libc_ver()).strip() or None,
        cuda=torch.version.cuda if on_gpu else None,
        driver=_driver() if on_gpu else None,
        cudnn=str(torch.backends.cudnn.version()) if on_gpu and torch.backends.cudnn.is_available() else None,
        others={**_behind("numpy", np), **_behind("scipy", scipy), **_gpu_libraries(built, on_gpu)},
    )


def _tf32() -> bool | None:
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:  # it was set by the newer way, which the older one does not tell
        convolutions: Any = getattr(torch.backends.cudnn, "conv", None)
        return {"tf32": True, "ieee": False}.get(getattr(convolutions, "fp32_precision", ""))


def _plain(value: str) -> str:
    """A variable's value as JSON holds it: it may be any bytes."""
    return value.encode(errors="backslashreplace").decode()[:LONGEST_VALUE]


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


def _build_setting(built: str, name: str) -> str | None:
    return _found(rf"\b{name}=([^,\s]+)", built)


def _behind(name: str, module: Any) -> dict[str, str]:
    """The BLAS and LAPACK that numpy or scipy was built with, which are not torch's."""
    with contextlib.suppress(Exception):  # the form of what it says is the module's own affair
        needed = module.show_config(mode="dicts")["Build Dependencies"]
        return {f"{name} {part}": f"{needed[part]['name']} {needed[part]['version']}" for part in ("blas", "lapack")}
    return {}


def _gpu_libraries(built: str, on_gpu: bool) -> dict[str, str]:
    commit = _build_setting(built, "COMMIT_SHA")
    found = {"torch commit": commit} if commit else {}
    if on_gpu:
        with contextlib.suppress(Exception):  # of a build without it
            found["NCCL"] = ".".join(map(str, torch.cuda.nccl.version()))
    return found


def _driver() -> str | None:
    """By NVML, or by the kernel module's own file where nvidia-ml-py is not installed."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        said = nvml.nvmlSystemGetDriverVersion()
        return said.decode() if isinstance(said, bytes) else str(said)
    except Exception as error:  # NVMLError is of the module that may be missing
        with contextlib.suppress(OSError):
            return _found(r"Module\s+(?:for \S+\s+)?(\d[\d.]+)", DRIVER.read_text())
        return None if isinstance(error, ImportError) else f"unknown ({first_line(error)})"
