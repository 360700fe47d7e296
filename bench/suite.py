"""Suites: named sets of cells and what to measure on them, read from TOML and validated. Imports no torch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from equibench.errors import UserError, nearest
from equibench.hashing import digest
from equibench.protocol import PROTOCOL
from equibench.record.base import Scalar, Strict
from equibench.record.schema import Budget, FeatureInfo
from equibench_models import FAMILIES

FLOORS = ("real data", "uniform", "global histogram", "per-pixel histogram", "3-neighbour table")


class Entrant(Strict):
    """One competitor: a family with the fields of its config that differ from the defaults."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    family: str  # a name of equibench_models.FAMILIES, or one's own as module:Class
    config: dict[str, Scalar] = {}
    sampler: dict[str, Scalar] = {}  # options of `sample` for the headline numbers

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family not in FAMILIES and not re.fullmatch(r"[\w.]+:\w+", family):
            raise ValueError(f"unknown family {family!r}{nearest(family, FAMILIES)}, or give your own as module:Class")
        return family


class BoundSetting(Strict):
    """Another way to the likelihood than the usual one, for the families that declare it."""

    name: Literal[
        "importance weighting", "uniform dequantization", "full chain", "continuous time", "probability-flow ODE"
    ]
    images: int = Field(ge=2)  # the first of the test split
    passes: int = Field(1, ge=1)  # for importance weighting K, else draws to average
    check_steps: bool = True  # where a chain or a solver has steps, measure twice as many too


class Annealing(Strict):
    """Annealed importance sampling through the decoder, for the families that have one."""

    images: int = Field(16, ge=2)
    chains: int = Field(8, ge=1)
    temperatures: int = Field(500, ge=2)
    leapfrog_steps: int = Field(10, ge=1)
    sigma: float = Field(0.1, gt=0)  # deviation of the Gaussian observation model, images in [0, 1]


class Measuring(Strict):
    """What is measured on every cell, and with how much."""

    samples: int = Field(5000, ge=2)  # for the Frechet distance
    reference_images: int = Field(10_000, ge=2)  # of the test split
    extractor: str = "auto"  # see `equibench ls`
    splits: int = Field(10, ge=1)  # into halves, for the interval of the Frechet distance and for pairs of entrants
    resamples: int = Field(20, ge=2)  # of the bootstrap, for the distance without bias
    memorization_images: int = Field(10_000, ge=0)  # of training, and as many held out; 0: no test
    sampler_points: bool = True  # measure the other sampler settings of each family too
    sweep_samples: int = Field(5000, ge=2)  # for the distance at each of these settings, at most `samples`
    sweep_evaluations: int = Field(1000, ge=1)  # settings that take more passes through the network are left out
    likelihood_images: int = Field(10_000, ge=1)
    likelihood_passes: int = Field(1, ge=1)
    bound: list[BoundSetting] = []
    annealing: Annealing | None = None
    out_of_distribution: list[Literal["inverted", "constant", "noise", "shuffled pixels"]] = []
    out_of_distribution_images: int = Field(500, ge=2)
    speed_batch_sizes: list[int] = Field([16, 64, 256], min_length=1)  # the headline shows the fastest
    speed_modes: list[Literal["compile", "cuda graph"]] = []  # beside eager mode, which is always measured
    speed_limit_sec: float = Field(3.0, gt=0)  # for each batch size, after warm-up
    latency_limit_sec: float = Field(10.0, gt=0)  # for 100 repeats at batch 1
    memory_batch_size: int = Field(64, ge=1)


class Suite(Strict):
    """A suite as its TOML file gives it: what is trained, on which data and budgets, and how it is measured."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    about: str
    dataset: str
    train_images: int | None = Field(None, ge=1)  # the first n of the split; all by default
    test_images: int | None = Field(None, ge=1)
    seeds: list[int] = Field(min_length=1)
    budget: list[Budget] = Field(min_length=1)
    entrant: list[Entrant] = Field(min_length=1)
    cell_limit_sec: float | None = Field(None, gt=0)  # a cell that takes longer is stopped, and recorded as timed out
    checkpoint_sec: float = Field(60.0, gt=0)  # of training between two saves, which take less than 2 % all the same
    measure: Measuring = Measuring()


@dataclass(frozen=True)
class Cell:
    """(entrant, dataset, budget, seed), or a floor, which has neither family nor budget."""

    suite: Suite
    name: str
    seed: int
    entrant: Entrant | None = None
    budget: Budget | None = None

    def key(self, data_sha256: str, features: FeatureInfo, machine_key: str, weights_sha256: str | None = None) -> str:
        """Hash of all that defines the cell's record. The machine is included, as another one is another measurement,
        and the feature network, as `auto` may mean another one tomorrow.
        """
        return digest(
            {
                "protocol": PROTOCOL,
                "name": self.name,
                "seed": self.seed,
                "entrant": self.entrant.model_dump() if self.entrant else None,
                "budget": self.budget.model_dump() if self.budget else None,
                "measure": self.suite.measure.model_dump(),
                "data": data_sha256,
                "features": features.model_dump(exclude_none=True),
                "machine": machine_key,
                "weights": weights_sha256,
            }
        )


def code_in(suite: Suite, *, families: bool = True, extractor: bool = True) -> list[str]:
    """What the suite names that is a user's own code: families as `module:Class`, an extractor, a TorchScript file;
    of those that are going to be used.
    """
    named = [entrant.family for entrant in suite.entrant if families and entrant.family not in FAMILIES]
    own = [suite.measure.extractor] if extractor and is_own(suite.measure.extractor) else []
    return list(dict.fromkeys([*named, *own]))


def is_own(extractor: str) -> bool:
    """Whether an extractor's name is `module:function` or a TorchScript file."""
    return ":" in extractor or extractor.removesuffix("+bf16").endswith((".pt", ".pth"))


def cells(suite: Suite) -> Iterator[Cell]:
    """All cells in a fixed order: the floors, then seed by seed, so that a run cut short holds whole comparisons."""
    for floor in FLOORS:
        yield Cell(suite, floor, 0)
    for seed in suite.seeds:
        for budget in suite.budget:
            for entrant in suite.entrant:
                yield Cell(suite, entrant.name, seed, entrant, budget)


def shipped() -> dict[str, Path]:
    """Suites that come with the package, by name."""
    folder = Path(str(resources.files("equibench"))) / "suites"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A shipped suite by name, or the user's own by the path of its TOML file.

    Raises UserError for an unknown name, a file that is no TOML, or a key or value that does not belong.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".toml":
        raise UserError(f"unknown suite {name!r}{nearest(name, known)}, or give the path of a .toml file")
    try:
        return Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"cannot read the suite {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML ({error})") from None
    except ValidationError as error:
        raise UserError(f"suite {path}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """The first thing wrong, in one clause; for an unknown key with the nearest that is known."""
    # an unknown key explains a missing one: it may be its misspelling
    errors = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        if first["type"] == "value_error":  # of our own validators, whose sentence says it all
            return f"{where}: {first['ctx']['error']}"
        message = first["msg"][:1].lower() + first["msg"][1:]
        return f"{where}: {message} (it is {first['input']!r})"
    *parents, key = (str(part) for part in first["loc"])
    tables: dict[str, type[Strict]] = {"budget": Budget, "entrant": Entrant, "measure": Measuring}
    table = tables[parents[0]] if parents and parents[0] in tables else Suite
    return f"unknown key {where!r}{nearest(key, table.model_fields)}"
