"""How large a model is, before it is built, and whether this machine's memory holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import psutil
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from equibench.errors import UserError
from equibench_models.contract import Model, Shape

MOST_PARTS = 2000  # modules of a model: more take minutes to build, and longer to count


class Size(NamedTuple):
    """How large a model is."""

    params: int  # trainable
    state_bytes: int  # of all parameters, averages and buffers


class _NoInitialisation(TorchFunctionMode):
    """Tensors without numbers are not given any: PyTorch would do so operator by operator, which takes as long as the
    rest of building.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


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
        with torch.device("meta"), _NoInitialisation():
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
