"""What a model takes before it is built: its numbers, the memory they need, and the width that meets the cap."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from equibench.errors import UserError
from equibench.protocol import LEAST_SHARE_OF_CAP
from equibench.record.schema import Budget
from equibench_models.contract import Model, Shape

WIDEST = 4096
MOST_PARTS = 2000  # modules of a model: more take minutes to build, and longer to count


class Size(NamedTuple):
    """How large a model is."""

    params: int  # trainable
    state_bytes: int  # of all parameters, averages and buffers


class TooManyPartsError(UserError):
    """A model has so many parts that building it would take minutes."""


def parameters(family: type[Model], config: Mapping[str, Any], shape: Shape) -> int:
    """Trainable parameters, counted without allocating them."""
    return size(family, config, shape).params


def size(family: type[Model], config: Mapping[str, Any], shape: Shape) -> Size:
    """Counted without allocating anything. Raises TooManyPartsError, and what building the family raises."""
    return of(skeleton(family, config, shape))


def of(model: Model) -> Size:
    """The size of a model, with numbers or without."""
    state = model.state_dict().values()
    return Size(
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        sum(tensor.numel() * tensor.element_size() for tensor in state),
    )


def skeleton(family: type[Model], config: Mapping[str, Any], shape: Shape) -> Model:
    """The model without numbers. Raises as `size`."""
    parts = 0

    def count(*_: object) -> None:
        nonlocal parts
        parts += 1
        if parts > MOST_PARTS:
            raise TooManyPartsError(
                f"{family.__name__} with these settings has more than {MOST_PARTS:,} parts, and would take minutes to "
                "build; give it fewer blocks"
            )

    hook = nn.modules.module.register_module_module_registration_hook(count)
    try:
        with torch.device("meta"):
            return family.build(config, shape)
    finally:
        hook.remove()


def check_memory(needed_bytes: float, what: str) -> None:
    """Raises UserError where this machine has less memory than `what` needs."""
    there = psutil.virtual_memory().total
    if torch.cuda.is_available():
        there = max(there, torch.cuda.get_device_properties(0).total_memory)
    if needed_bytes > there:
        raise UserError(
            f"{what} needs about {needed_bytes / 2**30:,.3g} GiB, and this machine has {there / 2**30:,.3g} GiB of "
            "memory; make it smaller"
        )


class Saved:
    """Bytes that a backward pass keeps, now and at most."""

    def __init__(self) -> None:
        self.now_bytes = 0
        self.peak_bytes = 0


class _Kept:
    """A tensor that is kept for the backward pass, counted until it is let go."""

    def __init__(self, tensor: Tensor, saved: Saved) -> None:
        self.tensor, self.saved = tensor, saved
        base = tensor if tensor._base is None else tensor._base  # a weight may be kept as a view of it
        self.size_bytes = 0 if base.is_leaf and base.requires_grad else tensor.numel() * tensor.element_size()
        saved.now_bytes += self.size_bytes
        saved.peak_bytes = max(saved.peak_bytes, saved.now_bytes)

    def __del__(self) -> None:
        self.saved.now_bytes -= self.size_bytes


@contextlib.contextmanager
def counting_saved() -> Iterator[Saved]:
    """What updates in the block keep for their backward passes, weights aside: most of what training takes."""
    saved = Saved()
    with saved_tensors_hooks(lambda tensor: _Kept(tensor, saved), lambda kept: kept.tensor):
        yield saved


def fit_width(family: type[Model], config: Mapping[str, Any], shape: Shape, budget: Budget) -> int:
    """The width that spends 95 to 100 % of the cap; of several, the one with the most factors of two, up to 16, for
    which processors have the fastest kernels. Parameters grow with width.

    Raises UserError if even the least width passes the cap.
    """

    def count(width: int) -> int:
        return parameters(family, {**config, "width": width}, shape)

    least = 8
    if count(least) > budget.params:
        raise UserError(
            f"a cap of {budget.params} parameters is too small for {family.__name__}: it takes {count(least)} or more"
        )
    low, high = least, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget.params else (low, middle)
    fitting = [low]
    while fitting[-1] > least and count(fitting[-1] - 1) >= LEAST_SHARE_OF_CAP * budget.params:
        fitting.append(fitting[-1] - 1)
    return max(fitting, key=lambda width: min(width & -width, 16))
