"""What a check judges, and by which limits: the usual ones, and what a gates file or an option lays over them.

Four categories have an error rate each, and one primary number an entrant (of memory two: training and sampling); all
else is reported, and gates only when asked. A gates file is TOML; `equibench schema gates` prints its form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from equibench.errors import UserError, nearest
from equibench.judge.compared_names import compared_path, path_of_option
from equibench.quantities.glossary import COMPARED, Category, of
from equibench.record.base import Strict

Scale = Literal["log", "relative", "absolute"]  # on which changes of a number are taken
CATEGORIES: tuple[Category, ...] = ("quality", "likelihood", "speed", "memory", "cost")
ALPHAS: dict[Category, float] = {"quality": 0.02, "likelihood": 0.01, "speed": 0.01, "memory": 0.01}
BOUNDS = "bounds."  # path of every other bound of a likelihood


class Prior(NamedTuple):
    """Noise that is assumed as long as little was measured: a standard deviation, and the d.f. that it counts for."""

    sd: float
    df: float


class Limits(NamedTuple):
    """How a number is judged. A tolerance and the prior's deviation are on the number's scale: shares, or, on the
    absolute one, the number's own unit.
    """

    scale: Scale
    tolerance: float
    prior: Prior
    least_sd: float = 0.0  # in the number's own unit: noise is never taken to be below it
    counted_tolerance: float = 0.01  # where the number was counted exactly, and has no noise


# sd of ln FD over seeds on `quick`: 1.1 to 7.2 %; of a cell's throughput between invocations 5.4 %, of latency 10 %,
# of peak resident memory 0.2 to 2.6 MB
USUAL: dict[Category, Limits] = {
    "quality": Limits("log", 0.03, Prior(0.04, 4)),
    "likelihood": Limits("absolute", 0.005, Prior(0.01, 4)),
    "speed": Limits("log", 0.05, Prior(0.06, 8)),
    "memory": Limits("log", 0.05, Prior(0.06, 8), least_sd=1.5e6),
    "cost": Limits("relative", 0.01, Prior(0.0, 0)),
}
# what differs from its category: a kernel distance may be negative, and shares have a scale of their own
NUMBERS: dict[str, Limits] = {
    "quality.also.KID": Limits("relative", 0.05, Prior(0.08, 4)),
    "quality.also.KD": Limits("relative", 0.05, Prior(0.08, 4)),
    "quality.also.precision": Limits("relative", 0.03, Prior(0.03, 4)),
    "quality.also.recall": Limits("relative", 0.10, Prior(0.25, 4)),
    "quality.also.density": Limits("relative", 0.05, Prior(0.06, 4)),
    "quality.also.coverage": Limits("relative", 0.05, Prior(0.12, 4)),
    "speed.latency_p50_sec": Limits("log", 0.05, Prior(0.10, 8)),
}
Percent = Annotated[float, Field(ge=0, lt=1000, strict=True)]
Deviation = Annotated[float, Field(gt=0, le=1e6, strict=True)]
Freedom = Annotated[float, Field(ge=1, le=1e6, strict=True)]


class NumberTable(Strict):
    """Limits of a number. Shares, such as 0.03 for 3 %; of bits per dimension, bits per dimension."""

    tolerance: Percent | None = None  # change that is no regression, whatever noise says
    prior_sd: Deviation | None = None  # assumed noise between seeds, or between invocations of speed and memory
    prior_df: Freedom | None = None  # degrees of freedom that it counts for

    @field_validator("tolerance")
    @classmethod
    def _a_share(cls, tolerance: float | None) -> float | None:
        if tolerance is not None and tolerance > 1:
            raise ValueError(
                f"must be a share, such as 0.05 for 5 %, or for a likelihood bits/dim, and at most 1, not {tolerance:g}"
            )
        return tolerance


class CategoryTable(NumberTable):
    """Limits of a category: the tolerance of all its numbers, the prior of its primary ones."""

    primary: list[str] | None = None  # names of the numbers that gate; none of the category does where it is empty
    also: list[str] | None = None  # names of numbers that gate beside them

    @field_validator("primary", "also", mode="before")
    @classmethod
    def _one_or_several(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    @field_validator("primary", "also")
    @classmethod
    def _known(cls, names: list[str] | None) -> list[str] | None:
        return names if names is None else [compared_path(name) for name in names]


class CategoryOfAll(CategoryTable):
    """The same, with the category's error rate: that of a whole check."""

    alpha: float | None = Field(None, gt=0, le=0.5, strict=True)  # chance of a false alarm in this category


class EntrantTable(Strict):
    """What differs for an entrant."""

    quality: CategoryTable = CategoryTable()
    likelihood: CategoryTable = CategoryTable()
    speed: CategoryTable = CategoryTable()
    memory: CategoryTable = CategoryTable()
    cost: CategoryTable = CategoryTable()
    number: dict[str, NumberTable] = {}  # limits by the name of a number

    @field_validator("number")
    @classmethod
    def _known(cls, tables: dict[str, NumberTable]) -> dict[str, NumberTable]:
        called: dict[str, str] = {}
        for name in tables:
            other = called.setdefault(compared_path(name), name)
            if other != name:
                raise ValueError(f"{other!r} and {name!r} are the same number; give its limits once")
        return {path: tables[name] for path, name in called.items()}

    @model_validator(mode="after")
    def _own_numbers(self) -> Self:
        for category in CATEGORIES:
            table: CategoryTable = getattr(self, category)
            for path in (*(table.primary or ()), *(table.also or ())):
                if of(path).category != category:
                    raise ValueError(f"{path} is no number of {category}, but of {of(path).category}")
        return self


class Window(Strict):
    """Where a number of fixed weights has to lie, two-sided: beyond it the measurement is another, not the model."""

    entrant: str
    number: str
    weights_sha256: str  # its first digits, as the record gives it
    low: float | None = Field(None, strict=True)
    high: float | None = Field(None, strict=True)

    @field_validator("number")
    @classmethod
    def _known(cls, name: str) -> str:
        return compared_path(name)

    @field_validator("weights_sha256")
    @classmethod
    def _digits(cls, text: str) -> str:
        if not re.fullmatch("[0-9a-f]{8,64}", text):
            raise ValueError(f"must be the first 8 to 64 digits (0-9, a-f) that the record gives, not {text!r}")
        return text

    @model_validator(mode="after")
    def _an_end_at_least(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError(f"the window of {self.entrant} has neither low nor high; give one of them, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the window of {self.entrant} ends at {self.high:g}, below its low of {self.low:g}")
        return self


class SameNoise(Strict):
    """How samples of the same noise are judged, image by image."""

    gate: bool = Field(True, strict=True)
    other_machines: bool = Field(
        False, strict=True
    )  # judge across processors and devices too, which round differently by themselves
    trainings: bool = Field(False, strict=True)  # judge other weights of a training with the same seed and settings too


class Gates(EntrantTable):
    """A gates file: all of it may be left out."""

    quality: CategoryOfAll = CategoryOfAll()
    likelihood: CategoryOfAll = CategoryOfAll()
    speed: CategoryOfAll = CategoryOfAll()
    memory: CategoryOfAll = CategoryOfAll()
    cost: CategoryTable = CategoryTable()
    entrant: dict[str, EntrantTable] = {}  # by the entrant's name
    window: list[Window] = []
    same_noise: SameNoise = SameNoise()

    def alpha(self, category: Category) -> float:
        """The error rate of a category, before what cannot be compared leaves its own to the others."""
        table = getattr(self, category)
        return getattr(table, "alpha", None) or ALPHAS.get(category, 0.0)

    def shares(self, there: Sequence[Category]) -> dict[Category, float]:
        """The error rates of the categories that are there: those that are not leave theirs to the others in
        proportion.
        """
        whole, left = (sum(map(self.alpha, some)) for some in (ALPHAS, there))
        return {category: self.alpha(category) * whole / left for category in there}

    def gated(self, entrant: str, category: Category) -> list[str]:
        """Paths of the numbers of a category that gate."""
        own, common = getattr(self._of(entrant), category), getattr(self, category)
        usual = [quantity.path for quantity in COMPARED if quantity.category == category and quantity.primary]
        primary = next((t.primary for t in (own, common) if t.primary is not None), usual)
        also: list[str] = next((t.also for t in (own, common) if t.also is not None), [])
        return list(dict.fromkeys([*primary, *also]))

    def limits(self, entrant: str, path: str) -> Limits:
        """How the number at `path` of an entrant is judged; another bound of a likelihood as the usual one."""
        quantity = of(path)
        assert quantity.category or path.startswith(BOUNDS)
        category: Category = quantity.category or "likelihood"
        found = NUMBERS.get(path, USUAL[category])
        is_primary = quantity.primary or path.startswith(BOUNDS)
        for table in (self, self._of(entrant)):
            whole, own = getattr(table, category), table.number.get(path)
            found = _laid_over(found, whole if is_primary else NumberTable(tolerance=whole.tolerance))
            found = _laid_over(found, own) if own else found
        return found

    def has_prior(self, entrant: str, path: str) -> bool:
        """Whether someone gave the noise of this entrant's number, or that of all entrants."""
        category = of(path).category or "likelihood"
        both = (self, self._of(entrant))
        tables = [one for table in both for one in (table.number.get(path), getattr(table, category))]
        return any(one is not None and one.prior_sd is not None for one in tables)

    def _of(self, entrant: str) -> EntrantTable:
        return self.entrant.get(entrant, EntrantTable())

    def with_options(self, tolerances: Sequence[str] = (), also: Sequence[str] = ()) -> Self:
        """With tolerances as on the command line ("quality=5" in per cent, "likelihood=0.01" in bits/dim), and with
        more numbers that gate. Raises UserError for what is none.
        """
        changes: dict[Category, dict[str, Any]] = {}
        for text in tolerances:
            category, amount = tolerance_in(text)
            changes.setdefault(category, {})["tolerance"] = amount
        for name in also:
            quantity = of(path_of_option(name))
            assert quantity.category
            known = getattr(self, quantity.category).also or []
            there = changes.setdefault(quantity.category, {}).setdefault("also", [*known])
            there.append(quantity.path)
        tables: dict[str, Any] = {
            category: getattr(self, category).model_copy(update=new) for category, new in changes.items()
        }
        return self.model_copy(update=tables)


def _laid_over(limits: Limits, table: NumberTable) -> Limits:
    sd, df = limits.prior
    prior = Prior(sd if table.prior_sd is None else table.prior_sd, df if table.prior_df is None else table.prior_df)
    limits = limits._replace(prior=prior)
    if table.tolerance is None:
        return limits
    return limits._replace(tolerance=table.tolerance, counted_tolerance=table.tolerance)


def tolerance_in(text: str) -> tuple[Category, float]:
    """A tolerance as on the command line: its category, and its amount on the category's scale. Raises UserError."""
    kind, _, amount = text.partition("=")
    category = next((known for known in CATEGORIES if known == kind), None)
    if category is None:
        raise UserError(f"unknown kind of tolerance {kind!r}{nearest(kind, CATEGORIES)}; write quality=10, say")
    return category, amount_in(text, category, amount)


def amount_in(option: str, category: Category, text: str) -> float:
    """An amount on a category's scale: per cent, or, of a likelihood, bits per dimension. Raises UserError."""
    in_bits = category == "likelihood"
    try:
        found = float(text.strip().removesuffix("bits" if in_bits else "%")) / (1 if in_bits else 100)
    except ValueError:
        found = math.nan
    if found < 0 or found >= 1000:
        most = "1,000 bits per dimension" if in_bits else "100,000 %"
        raise UserError(f"{option}: a tolerance is at least 0 and less than {most}")
    if math.isnan(found):
        example = "bits per dimension as a number, such as likelihood=0.01" if in_bits else (
            f"per cent as a number, such as {category}=10"
        )  # fmt: skip
        raise UserError(f"{option}: give {example}")
    return found
