"""How a cell's networks calculate: in which precision, compiled or not, and launched how, as its suite says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from equibench.errors import UserError
from equibench.machine.compiling import COMPILATION, compiled, lacking
from equibench.machine.device import multiplying_in, native_precision
from equibench.machine.numerics import EAGER
from equibench.run.families import resolve_family
from equibench.suite import Cell
from equibench.updates import CUDA_GRAPH, CapturedUpdates, Updates
from equibench_models.contract import Model


def check_arithmetic(cell: Cell, device: torch.device) -> None:
    """Raises UserError for what this machine cannot do."""
    if cell.entrant is None:
        return
    if cell.entrant.precision == "bf16" and native_precision(device) is not torch.bfloat16:
        raise UserError(
            f"entrant {cell.name!r} asks for bf16, which this machine's {device.type} does not multiply; give it "
            'precision = "fp32", or none'
        )
    if cell.entrant.compile and cell.entrant.cuda_graph:
        raise UserError(f"entrant {cell.name!r} has both compile and cuda_graph; set one of them to false")
    if cell.entrant.compile and (lack := lacking(device)):
        raise UserError(
            f"entrant {cell.name!r} asks for torch.compile, which needs {lack} on this machine; install that, or take "
            "`compile` away"
        )


def multiplying_as(cell: Cell) -> AbstractContextManager[None]:
    """Let networks of this process multiply in the cell's precision in the block."""
    return multiplying_in(cell.entrant.precision if cell.entrant else None)


@contextmanager
def training_as(cell: Cell, model: Model, device: torch.device, *, team: bool = False) -> Iterator[Updates]:
    """The model's updates, to be run in the block as the cell says; `team`: together with other processes."""
    how = compilation(cell, device, team=team)
    if how == COMPILATION:
        with compiled(model, model.differentiated_twice) as watch:
            updates = Updates(model)
            yield updates
            updates.preparing_sec = watch.sec
    else:
        yield CapturedUpdates(model, device) if how == CUDA_GRAPH else Updates(model)


def compilation(cell: Cell, device: torch.device, *, team: bool = False) -> str:
    """What the cell's training goes through, as its record says it. Without a GPU, of a family that cannot be captured,
    and where several processes train one model, there is no CUDA graph.
    """
    entrant = cell.entrant
    if entrant is None or entrant.loaded:
        return EAGER
    if entrant.compile:
        return COMPILATION
    wanted = entrant.cuda_graph and device.type == "cuda" and not team
    return CUDA_GRAPH if wanted and resolve_family(entrant.family).capturable else EAGER
