"""What processes of torchrun but the first do: help with each entrant that its cell's process trains and measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from equibench.errors import UserError
from equibench.run.arithmetic import multiplying_as
from equibench.run.course import DivergedError
from equibench.run.families import resolve_family
from equibench.run.obtain import help_to_train
from equibench.run.ranks import Team, TeamExtractor, begun_cells, known_by
from equibench.run.session import Session
from equibench.run.train import StoppedError
from equibench.suite import Cell


def check_shared(session: Session) -> None:
    """Raises UserError for an entrant whose training several processes cannot share."""
    for cell in session.cells:
        if cell.entrant is None or cell.loaded:
            continue
        if not resolve_family(cell.entrant.family).shared:
            raise UserError(
                f"the family {cell.entrant.family} does not say (shared = True) that its update keeps to a part of the "
                "batch; run it without torchrun"
            )


def help_with_cells(session: Session) -> None:
    """Until the run is over. A cell whose process has ended, which is seen as it is waited for, is left: the first
    process knows why.
    """
    assert session.ranks is not None
    for about, join in begun_cells(session.ranks, session.device):
        (cell,) = (one for one in session.cells if known_by(one) == about)
        _help_with(cell, session, join)


def _help_with(cell: Cell, session: Session, join: Callable[[], Team]) -> None:
    team = None
    try:
        team = join()
        here = replace(session, team=team)
        while (order := team.next_order()) != "end":
            if order == "train":
                with multiplying_as(cell):
                    help_to_train(cell, here)
            else:
                TeamExtractor(**vars(session.extractor), team=team).help()
    except (RuntimeError, DivergedError, StoppedError):  # the first kind where another process has ended
        return
    finally:
        if team is not None:
            team.leave()
