"""How a cell's networks calculate: in which precision, and compiled or not, as its suite says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from equibench.errors import UserError
from equibench.machine.compiling import COMPILATION, CompileWatch, compiled, lacking
from equibench.machine.device import multiplying_in, native_precision
from equibench.machine.numerics import EAGER
from equibench.suite import Cell
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
    if cell.entrant.compile and (lack := lacking(device)):
        raise UserError(
            f"entrant {cell.name!r} asks for torch.compile, which needs {lack} on this machine; install that, or take "
            "`compile` away"
        )


def multiplying_as(cell: Cell) -> AbstractContextManager[None]:
    """Let networks of this process multiply in the cell's precision in the block."""
    return multiplying_in(cell.entrant.precision if cell.entrant else None)


@contextmanager
def training_as(cell: Cell, model: Model) -> Iterator[CompileWatch]:
    """Let the model's updates in the block be compiled where the cell says so, as is watched."""
    if cell.entrant is None or not cell.entrant.compile:
        yield CompileWatch()
        return
    with compiled(model, model.differentiated_twice) as watch:
        yield watch


def compilation(cell: Cell) -> str:
    """What the cell's training goes through, as its record says it."""
    return COMPILATION if cell.entrant and cell.entrant.compile else EAGER
