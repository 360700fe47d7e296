"""What the numbers were measured on: device, processor, threads, precision, versions, code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from equibench.errors import UserError, first_line, nearest
from equibench.machine.clock import repeat
from equibench.record.cost import MatrixProducts


def resolve_device(name: str) -> torch.device:
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


def reset_defaults() -> None:
    """Put torch's global defaults back that code of a user's own may have changed: numbers of everything after it would
    follow them.
    """
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch or Python ran out of memory; on a CPU, PyTorch says so in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in first_line(error)


def time_matrix_products(device: torch.device, seconds: float = 1.5) -> MatrixProducts:
    """FLOP/s of products of square matrices in `precision(device)`, of several sizes, in about so many seconds.

    The fastest repeat of each size: what the hardware can do, not what is left while others use it.
    """
    sides = (2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048)
    synchronize = synchronizer(device)
    found: dict[int, float] = {}
    for side in sides:
        a, b = (torch.randn(side, side, device=device, dtype=precision(device)) for _ in range(2))
        product = partial(torch.mm, a, b, out=torch.empty_like(a))
        taken = repeat(product, synchronize, warmup=2, repeats=1000, limit_sec=seconds / len(sides))
        found[side] = 2 * side**3 / min(taken)
    return MatrixProducts(precision=str(precision(device)).removeprefix("torch."), flops_per_sec=found)


def training_rate(device: torch.device) -> float:
    """FLOP/s that training is expected to reach: a quarter of the device's matrix-product rate, timed."""
    return 0.25 * max(time_matrix_products(device, 0.6).flops_per_sec.values())
