"""The study: how an entrant's settings were chosen, as one JSON file that is written again after every training.

Values are raw and in SI units, as in a record. This module imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from equibench import atomic
from equibench.errors import UserError
from equibench.protocol import PROTOCOL
from equibench.record.base import Scalar, Strict
from equibench.record.schema import Budget, DataInfo, FeatureInfo, Status
from equibench.record.surroundings import SAMPLER, Code, Machine, Tuning

STUDY_VERSION: Literal[1] = 1  # of the rule and of the form: other rules choose other settings
MOST_TRIALS = 10_000
MOST_BYTES = 2**26
Values = dict[str, Scalar]  # by field of the config, or by SAMPLER and an option of `sample`
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Domain(Strict):
    """Where a setting is searched: between two ends, or among choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False  # drawn evenly by its logarithm
    choices: list[Scalar] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("takes choices, or low and high, not both")
            if len({json.dumps(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError("has a choice twice")
        elif self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        elif isinstance(self.low, bool) or isinstance(self.high, bool) or self.low >= self.high:
            raise ValueError(f"needs a low below its high, not {self.low!r} and {self.high!r}")
        elif self.log and self.low <= 0:
            raise ValueError("needs a low above 0, as it is drawn by its logarithm")
        return self


class Search(Strict):
    """How much is searched, the same for all entrants."""

    trials: int = Field(20, ge=1, le=MOST_TRIALS)  # the entrant as it stands is the first of them
    share: float = Field(0.25, gt=0, le=1)  # of the budget, that a trial may spend
    best: int = Field(3, ge=1)  # trials whose settings are trained at the whole budget
    seeds: list[Seed] = Field([0, 1, 2], min_length=1)  # of the full runs; trials have the first
    startup_trials: int = Field(8, ge=1)  # so many are drawn at random before the sampler goes by what was found
    seed: Seed = 0  # of the sampler
    validation_share: float = Field(0.25, gt=0, lt=1)  # of the training images, at most 10,000, held out
    samples: int | None = Field(None, ge=2)  # for the distance; by default 1,500, or 5/4 of the features' dimensions
    likelihood_images: int = Field(2000, ge=2)  # of the validation images, at most
    worse_bits_per_dim: float = Field(0.02, ge=0)  # than the entrant as it stands, at most


class Space(Strict):
    """Where the settings of a family, or of one entrant, are searched."""

    config: dict[str, Domain] = {}
    sampler: dict[str, Domain] = {}

    @property
    def ranges(self) -> dict[str, Domain]:
        """All of them by the names of `Values`."""
        return {**self.config, **{f"{SAMPLER}{name}": found for name, found in self.sampler.items()}}


class Candidate(Strict):
    """Settings of an entrant: those that its suite would give."""

    number: int = Field(ge=0)  # 0 is the entrant as it stands, any other the trial that was its first
    config: dict[str, Scalar]
    sampler: dict[str, Scalar]


class Training(Strict):
    """One training of a study, and what it gave on the validation images. One that failed has no distance."""

    candidate: Candidate
    values: Values  # of what is searched
    seed: int
    share: float  # of the budget
    status: Status | Literal["refused"]  # refused: it cannot be fitted to the budget
    reason: str | None = None  # of any status but "ok"
    distance: float | None = None  # FD or FID, from the validation images
    bits_per_dim: float | None = None  # of them; None where the family has no likelihood
    flops: float | None = None  # of one that failed, what it was allowed
    train_sec: float | None = None
    sec: float | None = None  # with measuring
    resolved: dict[str, Scalar] = {}  # the whole config


class Chosen(Strict):
    """What the rule chose."""

    candidate: Candidate
    why: str
    settings: Values  # all, with those that no one gave: the entrant has to have them still


class Study(Strict):
    """A whole study: what was searched and how, every training, and the choice once all are done."""

    study_version: Literal[1] = STUDY_VERSION
    protocol: str = PROTOCOL
    suite: str
    entrant: str
    family: str
    start: Candidate  # the entrant as it stands
    budget: Budget
    data: DataInfo  # training and validation images, in place of test images
    data_sha256: str  # of the data set that the suite names, with its test images
    features: FeatureInfo
    space: Space
    search: Search
    versions: dict[str, str]  # of packages, that of the sampler among them
    machine: Machine  # of the first training
    code: Code  # likewise
    other_code: list[Code] = []  # that trained some of it, where the user kept what was there
    trials: list[Training] = []
    full_runs: list[Training] = []
    chosen: Chosen | None = None

    @property
    def flops(self) -> float | None:
        """The FLOPs of all trainings; None where the budget did not count them."""
        return _sum([one.flops for one in self.trainings])

    @property
    def train_sec(self) -> float | None:
        """The seconds of all trainings that ended well enough to say it."""
        return _sum([one.train_sec for one in self.trainings])

    @property
    def trainings(self) -> list[Training]:
        return [*self.trials, *self.full_runs]


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def write(path: Path, study: Study) -> None:
    """Put the study at `path`, in place of what is there. Raises OSError."""
    text = json.dumps(study.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    atomic.write(path, (text + "\n").encode(errors="backslashreplace"))


def read(path: Path) -> Study:
    """Raises UserError for a file that cannot be read, or is no study of this version."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Study, str]:
    """The study, and the sha256 of its file."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read the study {path} ({reason}); `equibench tune` writes one") from None
    try:
        return Study.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"{path} is not a study of equibench ({where + ': ' if where else ''}{first['msg']})") from None


def tuning(
    path: Path, entrant: str, family: str, config: Mapping[str, Scalar], sampler: Mapping[str, Scalar]
) -> Tuning:
    """What the study at `path` says of an entrant, whose settings it must have chosen.

    Raises UserError where it has not, or is not finished.
    """
    study, sha256 = _read(path)
    chosen = study.chosen
    if chosen is None:
        raise UserError(f"the study {path} is not finished; go on with `equibench tune`, or take `tuned` away")
    held = chosen.candidate
    for what, here, there in (
        ("the family", family, study.family),
        ("the config", dict(config), held.config),
        ("the sampler", dict(sampler), held.sampler),
    ):
        if here != there:
            raise UserError(
                f"entrant {entrant!r} has {what} {_shown(here)}, and its study {path} chose {_shown(there)}; give it "
                "that, or take `tuned` away"
            )
    return Tuning(
        trials=len(study.trials),
        full_runs=len(study.full_runs),
        flops=study.flops,
        train_sec=study.train_sec,
        study=f"{study.suite}/{study.entrant}",
        study_sha256=sha256,
        chosen=chosen.settings,
    )


def _shown(value: str | dict[str, Scalar]) -> str:
    return value if isinstance(value, str) else inline_table(value)


def inline_table(values: Mapping[str, Scalar]) -> str:
    """Settings as an inline table of TOML."""
    if not values:
        return "{}"
    # JSON's scalars are TOML's, but for null, which no field of a suite's file can be given
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"
