"""What a part of the pages is made from, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equibench.report.figures.images import Picture
from equibench.summary.ladders import Ladder
from equibench.summary.sections import FiledRecord, Section


@dataclass(frozen=True)
class Whole:
    """All that a report is on. `places` are the indices of the sections that the pages show with figures and all
    tables; `detailed` are these sections.
    """

    cells: list[FiledRecord]
    sections: list[Section]
    places: list[int]
    ladders: list[Ladder]

    @property
    def detailed(self) -> list[Section]:
        return [self.sections[place] for place in self.places]


@dataclass(frozen=True)
class PagePart:
    """Values of names in the templates, and the pictures whose files go with them."""

    context: Mapping[str, Any]
    pictures: tuple[Picture, ...] = field(default=())
