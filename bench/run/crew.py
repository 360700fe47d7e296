"""Several cells at once: who does them, and the loop that gives them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from equibench.record import files as record_files
from equibench.record.schema import Record
from equibench.run import claims
from equibench.run.session import Session
from equibench.run.taking import Beat, Finished, LostError, take
from equibench.suite import Cell

LOOK_SEC = 1.0  # between two looks at cells that others are working on, and at who works here


class Word(NamedTuple):
    """What is heard of a cell that is being done, named by the path that its record has or will have: how far it is, or
    that the record is there.
    """

    path: Path
    doing: str
    share: float
    done: bool = False


class Crew(Protocol):
    """Does cells, each in a process of its own, on this machine or another. A cell is named by its record's path."""

    @property
    def places(self) -> int:
        """How many cells it takes at once."""

    def begin(self, cell: Cell, path: Path) -> None:
        """Begin with the cell, or as soon as there is a place for it. Raises UserError."""

    def listen(self, sec: float) -> list[Word]:
        """What is heard of the cells, after at most `sec` seconds. Raises UserError for a user's mistake and where a
        machine fails.
        """

    def doing(self, path: Path) -> tuple[str, float]:
        """What is being done of a cell, and the share done, as was last heard."""

    def drop(self, path: Path) -> None:
        """Stop work on a cell, which another process has taken over."""

    def close(self) -> None:
        """Stop all work, of which what can be kept is."""


class _Taken(NamedTuple):
    """A cell that the crew does."""

    cell: Cell
    claim: claims.Claim
    beat: Beat


def work_at_once(
    session: Session, crew: Crew, again: dict[Path, Record], tell: Callable[[Cell, str, float], None]
) -> Iterator[Finished]:
    """The session's cells as they are done, begun in their order. `again`: records to replace, by their paths. Raises
    UserError.
    """
    todo, held, taken = list(session.cells), list[Cell](), dict[Path, _Taken]()
    observer, looked_sec = claims.Observer(), time.monotonic()
    try:
        while todo or held or taken:
            while todo and len(taken) < crew.places:
                cell = todo.pop(0)
                path = session.path(cell)
                there = take(cell, session, observer, again.get(path))
                if there is None:
                    held.append(cell)
                    again.pop(path, None)  # what the other makes of it stands
                elif isinstance(there, Finished):
                    yield there
                else:
                    taken[path] = _Taken(cell, there, Beat(there))
                    crew.begin(cell, path)
            if taken:
                for word in crew.listen(LOOK_SEC):
                    if word.path in taken and word.done:
                        cell, claim, _ = taken.pop(word.path)
                        claim.give_back()
                        yield Finished(cell, word.path, record_files.read(word.path), found=False)
                    elif word.path in taken:
                        tell(taken[word.path].cell, word.doing, word.share)
                held += _lost(taken, crew)
            elif held:
                tell(held[0], "done by another process", 0.0)
                time.sleep(LOOK_SEC)
            if held and time.monotonic() - looked_sec >= LOOK_SEC:
                looked_sec = time.monotonic()
                todo, held = [*todo, *held], []
    finally:
        crew.close()
        for one in taken.values():
            one.claim.give_back()


def _lost(taken: dict[Path, _Taken], crew: Crew) -> list[Cell]:
    """Show that all of `taken` are being worked on, but those that another process took over as this one was stopped
    for long, which are dropped.
    """
    lost = []
    for path, one in list(taken.items()):
        try:
            one.beat(*crew.doing(path))
        except LostError:
            crew.drop(path)
            lost.append(taken.pop(path).cell)
    return lost
