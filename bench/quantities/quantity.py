"""A number of a record: its path, what it is called, its unit, and which side is better."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

Category = Literal["quality", "likelihood", "cost", "speed", "memory"]


class Shown(NamedTuple):
    """How tables show a raw value: in which unit, and how much of the raw unit that is."""

    unit: str
    scale: float


# by the beginnings of paths: the timed block of a record in which a number was measured
_BLOCKS = {
    "speed.other_modes.": "other modes", "speed.latency": "latency", "speed.": "speed", "spent.": "train",
    "training.": "train",
}  # fmt: skip
MS, MIB, MILLION, PERCENT = Shown("ms", 1e-3), Shown("MiB", 2**20), Shown("M", 1e6), Shown("%", 0.01)


@dataclass(frozen=True)
class Quantity:
    """One number of a record or, with a `*` in its path, one of each member of a list or dictionary."""

    path: str
    label: str  # as tables print it, without its unit
    unit: str = ""  # of the raw value
    better: Literal["lower", "higher", ""] = ""
    category: Category | None = None  # what `check` compares it as; None: it does not
    shown: Shown | None = None  # where tables do not show the raw value
    timed: bool = False  # it depends on the machine as such, so that another machine's does not compare
    error: str = ""  # path of its standard error over samples or images
    primary: bool = False  # of its category: `check` gates it; the others of the category are reported, unless asked
    short: str = ""  # its name in a signature, where that is not its path

    @property
    def derived(self) -> bool:
        """Made of several numbers of a record; its path leads to none."""
        return self.path.startswith(("training.", "energy."))

    @property
    def block(self) -> str:
        """The timed block of a record in which it was measured: "speed", "latency", "other modes", "train"; empty where
        none was, or where it does not depend on the machine.
        """
        return next((block for begin, block in _BLOCKS.items() if self.timed and self.path.startswith(begin)), "")

    @property
    def scale(self) -> float:
        return self.shown.scale if self.shown else 1

    @property
    def unit_shown(self) -> str:
        return self.shown.unit if self.shown else self.unit

    @property
    def column(self) -> str:
        """Its name as a column, e.g. "speed_images_per_sec"."""
        return re.sub(r"\W+", "_", self.path)

    @property
    def in_raw_units(self) -> str:
        """The label with the unit of the raw value."""
        return self.label if not self.unit or self._says_unit(self.label) else f"{self.label}, {self.unit}"

    def heading(self, label: str = "") -> str:
        """The head of a table's column: the label (or another), the unit, and an arrow to the better side."""
        label = label or self.label
        unit = "" if not self.shown and self._says_unit(label) else self.unit_shown
        arrow = {"lower": " ↓", "higher": " ↑", "": ""}[self.better]
        return f"{label}{', ' if unit else ''}{unit}{arrow}"

    def _says_unit(self, label: str) -> bool:
        return bool(re.search(rf"(?<!\w){re.escape(self.unit)}(?!\w)", label, re.IGNORECASE))
