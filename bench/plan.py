"""Fits an entrant to its budget before anything is spent: its width to the cap, its updates to the amount."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic
import torch

from bench import UserError, nearest, sizing, suite
from bench.record import Scalar
from bench.suite import Cell
from bench.train import count_flops, planned_updates
from models import FAMILIES, Model

FLOPS_BATCH = 8  # FLOPs are counted on a small update and scaled: they are proportional to the images


@dataclass(frozen=True)
class Plan:
    """An entrant fitted to its budget, before anything is spent."""

    cell: Cell
    config: dict[str, Any]
    params: int
    flops_per_update: float
    updates: int | None  # None where the budget is seconds

    @property
    def train_flops(self) -> float | None:
        return None if self.updates is None else self.updates * self.flops_per_update


def plan(cell: Cell, shape: tuple[int, int, int]) -> Plan:
    """Fit the entrant's width to the cap and count its update.

    Raises UserError for a bad config or sampler option, or a budget below one update.
    """
    assert cell.entrant is not None
    assert cell.budget is not None
    family = FAMILIES[cell.entrant.family]
    _check_sampler(family, cell.entrant.name, cell.entrant.sampler)
    fields = dict(cell.entrant.config)
    for key in fields:
        if key not in family.config_type.model_fields:
            raise UserError(
                f"entrant {cell.entrant.name!r}: unknown config key {key!r}"
                + nearest(key, family.config_type.model_fields)
            )
    try:
        if "width" not in fields:
            fields["width"] = sizing.fit_width(family, fields, shape, cell.budget)
        config = family.config_type.model_validate(fields).model_dump()
    except pydantic.ValidationError as error:
        raise UserError(f"entrant {cell.entrant.name!r}: {suite.explain(error)}") from None
    model = family.build(config, shape)
    batch_size = int(config["batch_size"])
    flops = flops_per_image(model, shape) * batch_size
    return Plan(
        cell,
        config,
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops,
        planned_updates(cell.budget, flops, batch_size),
    )


def flops_per_image(model: Model, shape: tuple[int, int, int]) -> float:
    """FLOPs of an update on the CPU for each of its images. The model is changed by it."""
    few = np.zeros((FLOPS_BATCH, *shape), np.uint8)
    return count_flops(model, few, torch.device("cpu")) / FLOPS_BATCH


def _check_sampler(family: type[Model], name: str, options: Mapping[str, Scalar]) -> None:
    known = set(inspect.signature(family.sample).parameters) - {"self", "n", "generator", "batch_size"}
    for key in options:
        if key not in known:
            raise UserError(f"entrant {name!r}: unknown sampler option {key!r}{nearest(key, known)}")
