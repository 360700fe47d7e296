"""What the numbers were measured on: device, processor, threads, precision, versions, code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial

import torch

from equibench.errors import UserError, first_line, nearest
from equibench.machine.clock import repeat
from equibench.record.cost import MatrixProducts

_current = torch.device("cpu")  # that this process works on
_asked: torch.dtype | None = None  # what networks multiply in, where not by what the hardware can
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}
NO_MPS = (
    "device 'mps' has no float64, in which distances and likelihoods are computed, so that nothing could be compared; "
    "give --device cpu"
)


def resolve_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that is there, on which this process then works (`work_on`). Raises
    UserError otherwise.
    """
    device = _named(name)
    work_on(device)
    return device


def work_on(device: torch.device) -> None:
    """Make a GPU this process's current one, as graphs, streams and libraries' workspaces go by that and not by their
    tensors, and set its arithmetic so that numbers may hang on it:

    float32 is float32 also in convolutions, for which PyTorch takes TF32 (three digits) by default; kernels add in an
    order that is always the same, where PyTorch has such ones, and none is chosen by its time. A processor's arithmetic
    is left as it is.
    """
    global _current
    _current = device
    if device.type != "cuda":
        return
    if device.index is not None:
        torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    # a warning and no error where there is no such kernel: a user's own family may need one
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a kernel each tensor


def gpu_like(name: str) -> torch.device:
    """The current GPU if that is its name, else the first one that it is; failing that, `auto`."""
    if not torch.cuda.is_available():
        return _named("auto")
    first = torch.cuda.current_device()
    others = (index for index in range(torch.cuda.device_count()) if index != first)
    found = next((index for index in (first, *others) if torch.cuda.get_device_name(index) == name), first)
    return torch.device("cuda", found)


def _named(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "mps":
        raise UserError(NO_MPS)
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UserError(f"unknown device {name!r}{nearest(name, ['auto', 'cpu', 'cuda', 'cuda:0'])}")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UserError(
            f"device {name!r} is not on this machine; `equibench doctor` shows what is, `--device cpu` works"
        )
    return torch.device(name)


def precision(device: torch.device) -> torch.dtype:
    """How training and sampling multiply matrices: as was asked for (`multiplying_in`), or as suits the hardware."""
    return _asked or native_precision(device)


@contextlib.contextmanager
def multiplying_in(name: str | None) -> Iterator[None]:
    """Let networks of this process multiply in one of PRECISIONS in the block; None: in the hardware's own."""
    global _asked
    before, _asked = _asked, PRECISIONS[name] if name else None
    try:
        yield
    finally:
        _asked = before


def asked_precision() -> str | None:
    """By its name in PRECISIONS, what `multiplying_in` set."""
    return next((name for name, dtype in PRECISIONS.items() if dtype is _asked), None)


def native_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float32 elsewhere."""
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


def aside(function: Callable[[], object], device: torch.device) -> None:
    """Run it on a stream of its own, as PyTorch asks for before a capture; on a processor there are none."""
    if device.type != "cuda":
        function()
        return
    stream, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        function()
    current.wait_stream(stream)


def reset_defaults() -> None:
    """Put torch's global defaults back that code of a user's own may have changed, those of `work_on` among them:
    numbers of everything after it would follow them.
    """
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    work_on(_current)


@contextlib.contextmanager
def convolutions_in_tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU's float32 convolutions in the block may round to TF32's three digits, as no processor does."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch or Python ran out of memory; on a CPU, PyTorch says so in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in first_line(error)


PRODUCTS, PATIENCE = 4, 4.0  # least of a size; how many times the time that is meant may go by


def time_matrix_products(device: torch.device, seconds: float = 1.5) -> MatrixProducts:
    """FLOP/s of products of square matrices in `precision(device)`, of several sizes, in about so many seconds.

    The fastest repeat of each size: what the hardware can do, not what is left while others use it. A size is left out
    where the one before says that it would take far longer: bfloat16 without instructions for it is a thousand times
    slower than with them.
    """
    sides = (2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048)
    synchronize = synchronizer(device)
    found: dict[int, float] = {}
    for side in sides:
        if found and PRODUCTS * 2 * side**3 / max(found.values()) > PATIENCE * seconds:
            break
        a, b = (torch.randn(side, side, device=device, dtype=precision(device)) for _ in range(2))
        product = partial(torch.mm, a, b, out=torch.empty_like(a))
        taken = repeat(product, synchronize, warmup=PRODUCTS - 2, repeats=1000, limit_sec=seconds / len(sides))
        found[side] = 2 * side**3 / min(taken)
    return MatrixProducts(precision=str(precision(device)).removeprefix("torch."), flops_per_sec=found)


def training_rate(device: torch.device) -> float:
    """FLOP/s that training is expected to reach: a quarter of the device's matrix-product rate, timed."""
    return 0.25 * max(time_matrix_products(device, 0.6).flops_per_sec.values())
