"""Fits an entrant to its budget before anything is spent: its size to the cap, its updates to the amount."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from equibench.errors import UserError, first_line
from equibench.protocol import LEAST_SHARE_OF_CAP
from equibench.record.schema import Budget
from equibench.run import fitting, sizing
from equibench.run.counting import Counted, counted
from equibench.run.families import check_sides, check_tuned, resolve_family, validated
from equibench.run.kept_plans import remembered
from equibench.run.labels import check_labels
from equibench.run.train import Allowance
from equibench.suite import Cell
from equibench_models import FAMILIES
from equibench_models.contract import Shape

TRIED_UPDATES = 5  # least updates of a user's own family that are run, over the whole progress, to check their cost


@dataclass(frozen=True)
class Plan:
    """An entrant fitted to its budget, before anything is spent."""

    cell: Cell
    config: dict[str, Any]
    params: int
    allowance: Allowance
    state_bytes: int  # size of the model's state: weights, their averages and buffers

    @property
    def train_flops(self) -> float | None:
        """What training will take; None where the budget is seconds."""
        updates = self.allowance.updates
        return None if updates is None else self.allowance.total_flops(updates)

    @property
    def of_amount(self) -> float | None:
        """What training will take of the budget's amount, as a share; None where it is seconds."""
        updates, budget = self.allowance.updates, self.allowance.budget
        if updates is None or self.train_flops is None:
            return None
        taken = {"flops": self.train_flops, "images": updates * self.allowance.batch_size, "updates": updates}
        return taken[budget.unit] / budget.amount

    @property
    def of_cap(self) -> float:
        """Parameters as a share of the cap; a size that the suite fixes may have any."""
        return self.params / self.allowance.budget.params

    @property
    def size_remark(self) -> str:
        """Why it has not the share of the cap that it should have, and what follows; empty where it has."""
        assert self.cell.entrant is not None
        family = resolve_family(self.cell.entrant.family)
        free = fitting.free_knobs(family.config_type, self.cell.entrant.config)
        if fitting.least_share(free) <= self.of_cap <= 1:
            return ""
        why = "has a fixed size outside 95 to 100 % of the cap"
        if free and self.of_cap <= 1:
            least = f"{100 * fitting.least_share(free):.0f} %"
            why = f"has {self.of_cap:.1%} of the cap, as no value of {' and '.join(free)} gives {least} or more"
        missed = not LEAST_SHARE_OF_CAP <= self.of_cap <= 1
        return f"{self.cell.name} {why}{': its cells will count as having missed their budget' if missed else ''}."


class Fitted(NamedTuple):
    """A family's config with its knobs turned, and what it takes."""

    config: dict[str, Any]
    params: int
    state_bytes: int
    costs: Counted  # of updates at its batch size


def plan(cell: Cell, shape: tuple[int, int, int]) -> Plan:
    """Fit the entrant's size to the cap and count its updates.

    Raises UserError for a bad family, config or sampler option, for a size that this machine's memory does not hold or
    that takes minutes to build, for updates that cannot be charged, or a budget below one update.
    """
    assert cell.entrant is not None
    assert cell.budget is not None
    entrant, measure = cell.entrant, cell.suite.measure
    family = resolve_family(entrant.family)
    validated(family.options_type, entrant.sampler, entrant.name, "sampler option")
    check_labels(entrant, dict(family.config_type.model_fields))
    batch_size = int(validated(family.config_type, entrant.config, entrant.name, "config key")["batch_size"])
    check_tuned(entrant, family)
    pixels = math.prod(shape)
    sizing.check_memory(5 * pixels * measure.samples, f"measure.samples = {measure.samples:,}")  # noise and images
    smallest = min(measure.speed_batch_sizes)
    sizing.check_memory(5 * pixels * smallest, f"measure.speed_batch_sizes = {smallest:,}")
    with _named(cell):
        check_sides(entrant.family, shape)
        fitted = _fitted(entrant.family, json.dumps(entrant.config, sort_keys=True), cell.budget, shape)
        for what, images in (("batch_size", batch_size), ("measure.memory_batch_size", measure.memory_batch_size)):
            needed = images * (fitted.costs.kept_bytes / batch_size + pixels)
            if torch.cuda.is_available() and entrant.precision != "fp32":
                needed /= 2  # in bfloat16
            sizing.check_memory(needed, f"an update with {what} = {images:,}")
    flops = fitted.costs.flops
    allowance = Allowance(cell.budget, batch_size, sum(flops) / len(flops), flops if len(flops) > 1 else ())
    _ = allowance.updates  # raises where the budget buys none
    return Plan(cell, dict(fitted.config), fitted.params, allowance, fitted.state_bytes)


@contextlib.contextmanager
def _named(cell: Cell) -> Iterator[None]:
    """A mistake is told with the entrant and the data set, of which a suite may have several."""
    try:
        yield
    except UserError as error:
        raise UserError(f"entrant {cell.name!r} on {cell.suite.dataset}: {error}") from None


@functools.cache  # the seeds of an entrant are planned alike
def _fitted(family_name: str, fields_json: str, budget: Budget, shape: Shape) -> Fitted:
    def found() -> dict[str, Any]:
        return _found(family_name, json.loads(fields_json), budget.params, shape)._asdict()

    if family_name in FAMILIES:
        question = {"family": family_name, "fields": fields_json, "params": budget.params, "shape": shape}
        fitted = remembered(question, found, _read)
    else:
        fitted = _read(found())
    costs = fitted.costs
    _check_state(family_name, fitted.params, fitted.state_bytes)
    if not any(costs.flops):
        raise UserError(f"an update of {family_name} takes no FLOPs: it has no matrix product and no convolution")
    if costs.uncounted and budget.unit == "flops":
        raise UserError(
            f"the FLOPs of {', '.join(costs.uncounted)}, which an update of {family_name} runs, are not known; "
            "register a formula with torch.utils.flop_counter.register_flop_formula, or set a budget in another unit"
        )
    return fitted


def _read(found: dict[str, Any]) -> Fitted:
    """A Fitted of JSON, where tuples are lists. Raises KeyError, TypeError or ValueError for what is none."""
    flops, kept_bytes, uncounted = found["costs"]
    costs = Counted(tuple(map(float, flops)), int(kept_bytes), tuple(map(str, uncounted)))
    return Fitted(dict(found["config"]), int(found["params"]), int(found["state_bytes"]), costs)


def _found(family_name: str, fields: dict[str, Any], params: int, shape: Shape) -> Fitted:
    family = resolve_family(family_name)
    try:
        fields |= fitting.turned(family, fields, shape, params)
        config = family.config_type.model_validate(fields).model_dump()
        size = _size(family_name, config, shape)
        if size:
            _check_state(family_name, size.params, size.state_bytes)
        costs = counted(family, config, shape, 1 if family_name in FAMILIES else TRIED_UPDATES)
        size = size or sizing.of(family.build(config, shape))
    except UserError:
        raise
    except Exception as error:
        said = " ".join(first_line(error).split())[:200]
        raise UserError(
            f"the family {family_name} cannot be built and updated once ({type(error).__name__}: {said})"
        ) from None
    return Fitted(config, size.params, size.state_bytes, costs)


def _check_state(family_name: str, params: int, state_bytes: int) -> None:
    """Gradients and two moments of each trainable number come to the state. Raises UserError."""
    sizing.check_memory(state_bytes + 12 * params, f"{family_name} with {params:,} parameters")


def _size(family_name: str, config: dict[str, Any], shape: Shape) -> sizing.Size | None:
    """None for a family of a user's own that cannot be built without numbers."""
    try:
        return sizing.size(resolve_family(family_name), config, shape)
    except UserError:
        raise
    except Exception:
        if family_name in FAMILIES:
            raise
        return None
