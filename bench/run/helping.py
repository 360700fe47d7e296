"""What processes of torchrun but the first do: help with each entrant that its cell's process trains and measures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from equibench.errors import UserError, first_line
from equibench.run.arithmetic import multiplying_as
from equibench.run.course import DivergedError
from equibench.run.families import resolve_family
from equibench.run.obtain import help_to_train
from equibench.run.ranks import Team, TeamExtractor, begun_cells
from equibench.run.session import Session
from equibench.run.train import StoppedError
from equibench.suite import Cell
from equibench.terminal import visible


def check_shared(session: Session) -> None:
    """Raises UserError for an entrant whose training the processes of the session cannot share."""
    ranks = session.ranks.ranks if session.ranks else 1
    for cell in session.cells:
        if cell.entrant is None or cell.loaded:
            continue
        family = resolve_family(cell.entrant.family)
        if not family.shared:
            raise UserError(
                f"the family {cell.entrant.family} does not say (shared = True) that its update keeps to a part of the "
                "batch; run it without torchrun"
            )
        batch_size = family.config_type.model_validate(cell.entrant.config).batch_size
        if batch_size < ranks:
            raise UserError(
                f"{cell.name} trains on batches of {batch_size}, which {ranks} processes cannot share, as each "
                "needs an image; give torchrun fewer processes or the entrant a larger batch_size"
            )


def help_with_cells(session: Session) -> None:
    """Until the run is over. A cell whose process has ended, which is seen as it is waited for, is left: the first
    process knows why.
    """
    assert session.ranks is not None
    for which, join in begun_cells(session.ranks, session.device):
        (cell,) = (one for one in session.cells if one.which == which)
        _help_with(cell, session, join)


def _help_with(cell: Cell, session: Session, join: Callable[[], Team]) -> None:
    team, rank = None, session.ranks.rank if session.ranks else 0
    try:
        team = join()
        here = replace(session, team=team)
        while (order := team.next_order()) != "end":
            if order == "train":
                with multiplying_as(cell):
                    help_to_train(cell, here)
            else:
                TeamExtractor(**vars(session.extractor), team=team).help()
    except (DivergedError, StoppedError):
        return
    except RuntimeError as error:
        if not _another_ended(error):  # what the first process hears is only that this one is gone
            why = visible(first_line(error))
            print(f"equibench: process {rank} cannot help with {visible(cell.name)}: {why}", file=sys.stderr)
    finally:
        if team is not None:
            team.leave()


def _another_ended(error: RuntimeError) -> bool:
    """Whether it is how torch.distributed says that a process it was talking to is gone."""
    said = str(error).lower()
    return any(words in said for words in ("closed by peer", "connection reset", "remote process", "broken pipe"))
