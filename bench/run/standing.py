"""Whether what lies in a folder, records, weights and unfinished cells, may stand for what would be made now. Where it
may not, it is made again, which is said before anything is done, and the old is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from equibench.errors import UserError
from equibench.machine.code import record_changed
from equibench.record import files as record_files
from equibench.record.schema import Record
from equibench.run import checkpoint
from equibench.run.content import checkpoint_of
from equibench.run.session import Session
from equibench.run.unfinished import Unfinished
from equibench.run.weights import trained_otherwise, unfit_weights, weights_of
from equibench.suite import Cell


class Again(NamedTuple):
    """What is there and made again: a cell's record, its weights, or what was kept of it unfinished. A record that is
    "kept", and a checkpoint that is "loaded", are not, as was asked for. `why` ends a sentence on it.
    """

    cell: Cell
    what: Literal["record", "weights", "unfinished", "kept", "loaded"]
    why: str
    record: Record | None = None  # that is to be replaced


def look_over(session: Session, retry: bool) -> list[Again]:
    """What there is of the suite's cells and does not stand for what runs now. `retry`: records that are not "ok" do
    not either. Raises UserError for what cannot be read.
    """
    found = []
    for cell in session.cells:
        path = session.path(cell)
        if path.exists():
            record = _read(path)
            why = record_changed(record, session.own(cell))
            if retry and record.status != "ok":
                found.append(Again(cell, "record", f"says {record.status!r}", record))
            elif why:
                found.append(Again(cell, "kept", why) if session.keep else Again(cell, "record", why, record))
            continue
        weights = weights_of(path)
        if not cell.loaded and cell.entrant and weights.exists() and (why := unfit_weights(weights, cell, session)):
            found.append(Again(cell, "weights", why))
        if (file := checkpoint_of(cell)) and (why := trained_otherwise(checkpoint.provenance_of(file))):
            found.append(Again(cell, "loaded", why))
        if Unfinished(session.folder(cell)).is_of_another(session.identity(cell)):
            found.append(Again(cell, "unfinished", "was made by other code, packages or settings"))
    return found


def _read(path: Path) -> Record:
    try:
        return record_files.read(path)
    except UserError as error:
        raise UserError(f"{error}; move it away and run again") from None
