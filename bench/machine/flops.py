"""FLOPs of what runs: matrix products and convolutions, a multiply-add counted as two (protocol, rule 2)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

Sizes = torch.Size


class Flops:
    """What was counted."""

    def __init__(self) -> None:
        self.total = 0.0
        self.uncounted: list[str] = []  # operators that compute a lot, and for which there is no formula


@contextmanager
def counting_flops() -> Iterator[Flops]:
    """Counts what runs in the block, on a device or on fake tensors: when the block has ended, the result is known."""
    found, seen = Flops(), _Seen()
    with seen, FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        yield found
    found.total = float(counter.get_total_flops())
    found.uncounted = sorted(str(one) for one in seen.operators if one not in counter.flop_registry and _computes(one))


class _Seen(TorchDispatchMode):
    """Takes note of the operators that run, as the counter of FLOPs takes them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operators.add(getattr(func, "overloadpacket", func))
        return func(*args, **(kwargs or {}))


# Of operators without a formula those of other libraries may compute anything, and of PyTorch's own these do.
_HEAVY = re.compile(r"_mm$|_addmm$|rnn|trilinear|[cp]dist|attention|encoder_layer|convolution|^_?linalg")
_LIGHT = re.compile(r"linalg_(vector_norm|cross|check_errors)")  # as elementwise operations, which are not counted


def _computes(operator: Any) -> bool:
    space, _, name = str(operator).partition(".")
    return space not in ("aten", "prim", "prims", "profiler") or bool(_HEAVY.search(name) and not _LIGHT.search(name))


def _mv(a: Sizes, _vector: Sizes, **_: Any) -> int:
    return 2 * math.prod(a)


def _addmv(_added: Sizes, a: Sizes, _vector: Sizes, **_: Any) -> int:
    return 2 * math.prod(a)


def _addbmm(_added: Sizes, a: Sizes, b: Sizes, **_: Any) -> int:
    return 2 * math.prod(a) * b[-1]


def _attention(query: Sizes, key: Sizes, value: Sizes, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Sizes, query: Sizes, key: Sizes, value: Sizes, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


def _of_matrices(*arguments: Any, **_: Any) -> int:
    """2 m n min(m, n) for each matrix of the greatest argument: the order of what factors, inverts or solves."""
    matrices = [one for one in arguments if isinstance(one, torch.Size) and len(one) >= 2]
    return max((2 * math.prod(one) * min(one[-2:]) for one in matrices), default=0)


_aten = torch.ops.aten
# what PyTorch's counter lacks; it has mm, addmm, bmm, baddbmm, convolutions and the attention of GPUs
FORMULAS: dict[Any, Any] = {
    _aten.mv: _mv,
    _aten.dot: _mv,
    _aten.vdot: _mv,
    _aten.addmv: _addmv,
    _aten.addbmm: _addbmm,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    **dict.fromkeys(
        (
            _aten.linalg_cholesky_ex, _aten.linalg_inv_ex, _aten.linalg_lu, _aten.linalg_lu_factor_ex,
            _aten.linalg_lu_solve, _aten.linalg_qr, _aten.linalg_solve_triangular, _aten.linalg_matrix_exp,
            _aten.linalg_pinv, _aten.linalg_eig, _aten._linalg_eigvals, _aten._linalg_eigh, _aten._linalg_svd,
            _aten._linalg_det, _aten._linalg_slogdet, _aten._linalg_solve_ex, _aten.linalg_householder_product,
            _aten.cholesky_solve, _aten.cholesky_inverse, _aten.triangular_solve,
        ),
        _of_matrices,
    ),
}  # fmt: skip
