"""How much of a run is done, in seconds of expected work rather than in cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from equibench.run.session import Session
    from equibench.suite import Cell, Which

FLOOR_SEC = 2.0  # of a cell without training, roughly


class CellWork(NamedTuple):
    """Expected seconds of one cell."""

    train_sec: float
    measure_sec: float


@dataclass
class Workload:
    """The work of each cell, by `Cell.which`, and what of it is done; `stages` are those of measuring, in order."""

    cells: dict[Which, CellWork]
    stages: tuple[str, ...] = ()
    _finished: set[Which] = field(default_factory=set)
    _most_sec: dict[Which, float] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, tell: Callable[[str], None]) -> Workload:
        """By the estimates of `plan`. Raises UserError as it does, before anything is trained."""
        import torch

        from equibench.cli.plan import plan_of
        from equibench.run.stages import stages_wanted

        here = session.device if session.machine_key is None else torch.device("cpu")  # else it is another machine's
        cells = {cell.which: CellWork(0.0, FLOOR_SEC) for cell in session.cells}
        planned = plan_of(session.suite, session.data, here, session.extractor.info.name, tell)
        for cell, _, cost in planned.cells:
            if cell.which in cells:
                cells[cell.which] = CellWork(cost.train_sec, cost.measure_sec)
        return cls(cells, tuple(name.replace("_", " ") for name in stages_wanted(session)))

    @property
    def total_sec(self) -> float:
        return sum(sum(work) for work in self.cells.values())

    def done_sec(self, cell: Cell, what: str, share: float) -> float:
        """The work done when a cell is at this share of `what`; it never goes back."""
        which = cell.which
        if which in self.cells and which not in self._finished:
            train_sec, measure_sec = self.cells[which]
            at = 0.0
            if what.startswith("train"):
                at = share * train_sec
            elif what in self.stages:
                at = train_sec + measure_sec * self.stages.index(what) / len(self.stages)
            self._most_sec[which] = max(at, self._most_sec.get(which, 0.0))
        return self._sum_sec()

    def finish(self, cell: Cell) -> float:
        """The work done once the cell is."""
        self._finished.add(cell.which)
        return self._sum_sec()

    def _sum_sec(self) -> float:
        finished = sum(sum(self.cells.get(which, (0.0,))) for which in self._finished)
        return finished + sum(sec for which, sec in self._most_sec.items() if which not in self._finished)
