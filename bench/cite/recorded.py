"""The recorded numbers of one entrant, as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from equibench.cite.citation import cite, gather
from equibench.errors import UserError, nearest
from equibench.quantities.text import join
from equibench.record.schema import Record


@dataclass(frozen=True)
class Recorded:
    """An entrant in a folder: `recorded.bits_per_dim` is the mean over its seeds."""

    entrant: str
    folder: Path
    records: tuple[Record, ...]

    @classmethod
    def read(cls, entrant: str, folder: Path) -> Recorded:
        """Raises UserError if the folder has no such entrant, or one whose cells failed: a mean over the seeds that did
        not would look better than it is.
        """
        found = gather([folder])
        mine = tuple(one for one in found if one.entrant == entrant)
        if not mine:
            raise UserError(f"unknown entrant {entrant!r}{nearest(entrant, {one.entrant for one in found})}")
        failed = [f"seed {one.seed} ({one.status}: {one.reason})" for one in mine if one.status != "ok"]
        if failed:
            raise UserError(f"{entrant} has cells that are not ok: {join(failed)}")
        return cls(entrant, folder, mine)

    def number(self, metric: str) -> float:
        """A number by its name or dotted path. Raises UserError if it is not there, or there more than once."""
        found = cite(metric, self.entrant, [self.folder])
        if len(found) != 1:
            raise UserError(
                f"{self.folder} has {metric} of {self.entrant} {len(found)} times, by data set, budget and protocol; "
                "point to the folder of one run"
            )
        return found[0].value

    def __getattr__(self, name: str) -> float:
        if name.startswith("__"):  # copying and pickling ask for these
            raise AttributeError(name)
        try:
            return self.number(name)
        except UserError as error:
            raise AttributeError(str(error)) from None
