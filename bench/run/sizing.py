"""Turns a family's one knob, its width, until the parameter cap is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from equibench.errors import UserError
from equibench.protocol import LEAST_SHARE_OF_CAP
from equibench.record.schema import Budget
from equibench_models.contract import Model, Shape

WIDEST = 4096


def parameters(family: type[Model], config: Mapping[str, Any], shape: Shape) -> int:
    """Trainable parameters, counted without allocating them."""
    with torch.device("meta"):
        return sum(p.numel() for p in family.build(config, shape).parameters() if p.requires_grad)


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
