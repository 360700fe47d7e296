"""What findings are made of: sentences with the numbers of the records that they rest on, and tested comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from equibench.protocol import SIGNIFICANCE
from equibench.record.schema import Record
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row

How = Literal[
    "mean",  # over seeds, with the standard deviation where it is said
    "ratio of means",
    "greatest",  # of one number over seeds
    "p",  # of a test between the two sides, after Holm's correction
    "fact",  # what the records say there, in words
    "test",  # that a comparison was made between the two sides, and how it came out
]


class Ground(NamedTuple):
    """What a sentence rests on: `said` is the number as it stands there, empty for what is no number."""

    how: How
    path: str  # in the records
    records: tuple[Record, ...]
    against: tuple[Record, ...] = ()  # the other side of a ratio or a test
    said: str = ""
    over: str = ""  # path of the other side, where it is another


class Sentence(str):
    """A sentence of a finding, and all that it rests on."""

    grounds: tuple[Ground, ...]

    def __new__(cls, text: str, grounds: Iterable[Ground]) -> Sentence:
        found = super().__new__(cls, text)
        found.grounds = tuple(grounds)
        return found


def records_of(rows: Iterable[Row]) -> tuple[Record, ...]:
    return tuple(cell.record for row in rows for cell in row.cells)


def fact(path: str, rows: Iterable[Row]) -> Ground:
    """What the rows' records say at `path`, in words."""
    return Ground("fact", path, records_of(rows))


class ComparedNumber(NamedTuple):
    """One of the two numbers of a comparison: the records that have it, and where."""

    records: tuple[Record, ...]
    path: str


def sides_of(one: Row, other: Row, path: str) -> tuple[ComparedNumber, ComparedNumber]:
    """The numbers of two rows at the same place."""
    return ComparedNumber(one.having(path), path), ComparedNumber(other.having(path), path)


@dataclass(frozen=True)
class Evidence:
    """One tested comparison that a finding rests on."""

    label: str  # e.g. "diffusion / GAN"
    effect: Effect
    p_holm: float | None  # None where nothing was tested
    measure: str
    over_seeds: bool
    # in the order of the label: the ratio's two, or the difference's
    sides: tuple[ComparedNumber, ComparedNumber] = field(compare=False)  # as what sentences rest on

    @property
    def decided(self) -> bool:
        return self.p_holm is not None and self.p_holm <= SIGNIFICANCE

    def named(self, before: str) -> Evidence:
        return replace(self, label=f"{before}{self.label}")


@dataclass(frozen=True)
class TestedFinding:
    """A claim, the sentences under it, and the comparisons beside it."""

    topic: str
    claim: Sentence
    sentences: tuple[Sentence, ...]
    evidence: tuple[Evidence, ...]
    over_seeds: bool = True
