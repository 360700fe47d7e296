"""The loop over the cells of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from equibench.record.schema import Record
from equibench.run.cell import run_cell
from equibench.run.plan import plan
from equibench.run.session import Session
from equibench.suite import Cell, cells


class Finished(NamedTuple):
    """A cell that is done; `found`: its record was there already."""

    cell: Cell
    path: Path
    record: Record
    found: bool


def run_cells(session: Session, tell: Callable[[Cell, str, float], None]) -> Iterator[Finished]:
    """Run the suite's cells in their order, each as it is asked for. `tell` hears of each what is being done, and the
    share done. Raises UserError, before anything is trained, for a mistake in any entrant.
    """
    todo = list(cells(session.suite))
    if not session.loaded:
        for cell in todo:
            if cell.entrant is not None:
                plan(cell, session.data.shape)
    # of the time now, what no record's clock holds yet: it is the next one's
    begun = psutil.Process().create_time()
    for cell in todo:
        found = session.path(cell).exists()
        path, record = run_cell(cell, session, partial(tell, cell), time.time() - begun)
        begun += 0.0 if found else record.clock["wall"]
        yield Finished(cell, path, record, found)
