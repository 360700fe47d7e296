"""Fits an entrant to its budget before anything is spent: its width to the cap, its updates to the amount."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from equibench.errors import UserError
from equibench.record.schema import Budget
from equibench.run import sizing
from equibench.run.families import resolve_family, validated
from equibench.run.train import Allowance, count_flops
from equibench.suite import Cell
from equibench_models import FAMILIES
from equibench_models.contract import Model, Shape

FLOPS_BATCH = 8  # FLOPs are counted on a small update and scaled: they are proportional to the images


@dataclass(frozen=True)
class Plan:
    """An entrant fitted to its budget, before anything is spent."""

    cell: Cell
    config: dict[str, Any]
    params: int
    allowance: Allowance

    @property
    def train_flops(self) -> float | None:
        """What training will take; None where the budget is seconds."""
        updates = self.allowance.updates
        return None if updates is None else updates * self.allowance.flops_per_update


def plan(cell: Cell, shape: tuple[int, int, int]) -> Plan:
    """Fit the entrant's width to the cap and count its update.

    Raises UserError for a bad family, config or sampler option, or a budget below one update.
    """
    assert cell.entrant is not None
    assert cell.budget is not None
    entrant = cell.entrant
    family = resolve_family(entrant.family)
    validated(family.options_type, entrant.sampler, entrant.name, "sampler option")
    fields = {"width": family.config_type.model_fields["width"].default, **entrant.config}
    validated(family.config_type, fields, entrant.name, "config key")
    config, params, flops = _fitted(entrant.family, json.dumps(entrant.config, sort_keys=True), cell.budget, shape)
    batch_size = int(config["batch_size"])
    per_update = flops * batch_size
    allowance = Allowance(cell.budget, batch_size, per_update)
    _ = allowance.updates  # raises where the budget buys none
    return Plan(cell, dict(config), params, allowance)


@functools.cache  # the seeds of an entrant are planned alike, before the run and again in their cells
def _fitted(family_name: str, fields_json: str, budget: Budget, shape: Shape) -> tuple[dict[str, Any], int, float]:
    """Whole config, parameters and FLOPs an image of an update."""
    family, fields = resolve_family(family_name), json.loads(fields_json)
    try:
        if "width" not in fields:
            fields["width"] = sizing.fit_width(family, fields, shape, budget)
        config = family.config_type.model_validate(fields).model_dump()
        model = family.build(config, shape)
        params = sum(p.numel() for p in model.parameters() if p.requires_grad)
        flops = flops_per_image(model, shape)
    except UserError:
        raise
    except Exception as error:
        if family_name in FAMILIES:
            raise
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
        raise UserError(f"the family {family_name} cannot be built and updated once ({reason})") from None
    if not flops:
        raise UserError(f"an update of {family_name} takes no FLOPs: it has no matrix product and no convolution")
    return config, params, flops


def flops_per_image(model: Model, shape: tuple[int, int, int]) -> float:
    """FLOPs of an update on the CPU for each of its images. The model is changed by it."""
    few = np.zeros((FLOPS_BATCH, *shape), np.uint8)
    return count_flops(model, few, torch.device("cpu")) / FLOPS_BATCH
