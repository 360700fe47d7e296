"""What work takes on a GPU, by arithmetic: operators are counted on fake tensors, and each is given the longest of
three times, to launch it, to calculate and to move its bytes (a roofline: Williams et al. 2009). Nothing is computed,
and no GPU is needed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# operators that launch nothing, beside views
_NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh"}
# kernels of one operator that PyTorch writes as several on a GPU
_SEVERAL = {"logsumexp": 9, "randperm": 4, "cumsum": 2}
_LIST_LENGTH = 36  # tensors that one kernel over lists of tensors takes, of four lists; of fewer lists it takes more


@dataclass(frozen=True)
class Gpu:
    """A GPU as its data sheet has it, and the assumed shares of that which kernels reach."""

    name: str
    bfloat16_flops_per_sec: float
    float32_flops_per_sec: float  # without TF32
    float64_flops_per_sec: float
    bytes_per_sec: float
    launch_sec: float = 5e-6  # from one operator of eager mode to the next
    bfloat16_share: float = 0.3
    float32_share: float = 0.5
    float64_share: float = 0.01  # of decompositions, which wait for themselves
    bytes_share: float = 0.7

    def calculating_sec(self, flops: float, dtype: torch.dtype) -> float:
        if dtype in (torch.bfloat16, torch.float16):
            return flops / (self.bfloat16_share * self.bfloat16_flops_per_sec)
        return flops / (self.float32_share * self.float32_flops_per_sec)

    def moving_sec(self, moved_bytes: float) -> float:
        return moved_bytes / (self.bytes_share * self.bytes_per_sec)


# NVIDIA's data sheet of the H100 SXM: dense products, no sparsity
H100 = Gpu("H100 SXM", 989e12, 67e12, 34e12, 3.35e12)


@dataclass
class Work:
    """What some work takes: sums over its kernels."""

    kernels: float = 0
    flops: float = 0
    moved_bytes: float = 0
    launching_sec: float = 0
    calculating_sec: float = 0
    moving_sec: float = 0
    sec: float = 0  # sum of each kernel's longest time

    def times(self, n: float) -> Work:
        return Work(**{name: n * value for name, value in vars(self).items()})

    def plus(self, other: Work, share: float = 1) -> Work:
        return Work(**{name: value + share * getattr(other, name) for name, value in vars(self).items()})


class _Counting(TorchDispatchMode):
    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu, self.work = gpu, Work()

    def __torch_dispatch__(
        self, function: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        if n := kernels(function, args):
            flops = flop_registry.get(function._overloadpacket, lambda *_, **__: 0)
            self._add(n, flops(*args, **(kwargs or {}), out_val=made), _tensors((args, kwargs)), _tensors(made))
        return made

    def _add(self, n: int, flops: float, given: list[Tensor], made: list[Tensor]) -> None:
        held = {id(one): _size_bytes(one) for one in [*given, *made]}
        moved, work = float(sum(held.values())), self.work
        lowest = min((one.dtype for one in given if one.is_floating_point()), key=lambda t: t.itemsize, default=None)
        launching, moving = n * self.gpu.launch_sec, self.gpu.moving_sec(moved)
        calculating = self.gpu.calculating_sec(flops, lowest or torch.float32)
        work.kernels += n
        work.flops += flops
        work.moved_bytes += moved
        work.launching_sec += launching
        work.calculating_sec += calculating
        work.moving_sec += moving
        work.sec += max(launching, calculating, moving)


def kernels(function: OpOverload, args: tuple[Any, ...]) -> int:
    """How many kernels an operator launches on a GPU in eager mode, as far as its name and arguments tell."""
    name = function._overloadpacket.__name__.rstrip("_") if function.namespace == "aten" else ""
    if not name or function._overloadpacket.__name__ in _NO_KERNEL:
        return 0
    returns = function._schema.returns
    if returns and all(one.alias_info is not None and not one.alias_info.is_write for one in returns):
        return 0  # a view
    if name == "convolution_backward":
        return sum(args[-1])  # of input, weights and bias those that are wanted
    if "foreach" in name or "fused" in name:
        lists = [arg for arg in args if isinstance(arg, list | tuple) and arg and isinstance(arg[0], Tensor)]
        return math.ceil(len(lists[0]) / _LIST_LENGTH) if lists else 1
    return _SEVERAL.get(name, 1)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _size_bytes(tensor: Tensor) -> int:
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


@contextlib.contextmanager
def pretending() -> Iterator[None]:
    """A block in which tensors, also those of models made before it, have shapes and no numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def count(call: Callable[[], object], gpu: Gpu = H100, *, bfloat16: bool = True) -> Work:
    """What `call` takes on `gpu`, where networks multiply in bfloat16; to be called within `pretending`."""
    counting = _Counting(gpu)
    with counting, torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        call()  # the casts of its weights are counted, too
    return counting.work
