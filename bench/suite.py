"""Suites: named sets of cells and what to measure on them, read from TOML and validated. Imports no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from equibench.entrant import FLOORS, Precision, alike
from equibench.entrant import Entrant as Entrant  # imported from here, as the suite that they are in
from equibench.entrant import name_from as name_from
from equibench.entrant import usable_name as usable_name
from equibench.errors import UserError, nearest
from equibench.extending import base_of, laid_over
from equibench.hashing import digest
from equibench.hub import is_hub_id
from equibench.measuring import MOST_COUNTED, Count, Measuring, Seconds, SuiteTable
from equibench.protocol import PROTOCOL
from equibench.record.schema import Budget, FeatureInfo
from equibench.record.study import tuning
from equibench.record.surroundings import Tuning
from equibench.toml_text import toml_of
from equibench.validation import checked, explain, read_tables, shortened
from equibench_models import FAMILIES

MOST_SPENT = 1e30  # parameters, FLOPs or images: what all computers of the world have not done
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _needs_less_where_it_extends(schema: dict[str, Any]) -> None:
    """In the schema of a file: one that extends another has to say its name alone."""
    needed = [key for key in schema.pop("required") if key != "name"]
    schema |= {"required": ["name"], "anyOf": [{"required": ["extends"]}, {"required": needed}]}


class Extension(SuiteTable):
    """What a suite takes over from another one."""

    extends: str | None = None  # a suite, by name or file, that says what this one does not; None once it is read
    without: list[str] = []  # entrants, or keys such as measure.along, that are not taken over from it


class Suite(Extension):
    """A suite as its TOML file gives it: what is trained, on which data and budgets, and how it is measured."""

    model_config = ConfigDict(json_schema_extra=_needs_less_where_it_extends)

    name: str  # what it is called in records and file names
    about: str  # a line for `equibench ls`
    dataset: str  # a name of `equibench ls`, a folder or a file
    more_datasets: list[str] = []  # on which all of it is done too; each has cells of its own
    train_images: Count | None = None  # n of the split, drawn by the protocol's seed; all by default
    test_images: Count | None = None  # likewise, of the test split
    seeds: list[Seed] = Field(min_length=1)  # of training, each with cells of its own
    budget: list[Budget] = Field(min_length=1)  # what each training may spend; each with cells of its own
    precision: Precision | None = None  # of all entrants that do not say theirs
    compile: bool | None = None  # likewise
    cuda_graph: bool | None = None  # likewise
    entrant: list[Entrant] = Field(min_length=1)  # what is compared
    cell_limit_sec: float | None = Field(None, gt=0, le=MOST_COUNTED)  # a cell that takes longer is stopped: timed out
    checkpoint_sec: Seconds = 60.0  # of training between two saves, which take less than 2 % all the same
    measure: Measuring = Measuring()  # what is measured, and with how much

    @property
    def datasets(self) -> list[str]:
        """All data sets, in the order in which they are run."""
        return [self.dataset, *self.more_datasets]

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        return usable_name(name)

    @field_validator("budget", mode="before")
    @classmethod
    def _amounts(cls, budget: Any) -> Any:
        tables = [table for table in budget if isinstance(table, dict)] if isinstance(budget, list) else []
        for table in tables:
            for key, value in table.items():
                if isinstance(value, bool) or (isinstance(value, int | float) and value > MOST_SPENT):
                    raise ValueError(f"{shortened(value)} is no {key} that a machine could spend")
        return budget

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        """Equal cells would be one record."""
        if self.without and self.extends is None:
            raise ValueError("without takes away what another suite has; say which, as extends = NAME")
        _no_double("entrant", [entrant.name for entrant in self.entrant], alike)
        _no_double("seed", self.seeds)
        _no_double("data set", self.datasets)
        _no_double("budget", [f"{one.params} parameters and {one.amount} {one.unit}" for one in self.budget])
        _no_double("feature space", [self.measure.extractor, *self.measure.more_extractors])
        _no_double("bound", [repr(bound.model_dump()) for bound in self.measure.bound])
        return self


Which = tuple[str, int, str]


@dataclass(frozen=True)
class Cell:
    """(entrant, dataset, budget, seed), or a floor, which has neither family nor budget."""

    suite: Suite
    name: str
    seed: int
    entrant: Entrant | None = None
    budget: Budget | None = None

    @property
    def loaded(self) -> bool:
        """Whether its entrant is there already, and is not trained."""
        return self.entrant is not None and self.entrant.loaded

    @property
    def which(self) -> Which:
        """What tells it from all others of its suite, in every process: name, seed, and its budget as JSON."""
        return self.name, self.seed, self.budget.model_dump_json() if self.budget else ""

    def key(
        self,
        data_sha256: str,
        features: FeatureInfo,
        machine_key: str,
        weights_sha256: str | None = None,
        more_features: Sequence[FeatureInfo] = (),
    ) -> str:
        """Hash of all that defines the cell's record. The machine is included, as another one is another measurement,
        and the feature networks, as `auto` may mean another one tomorrow.
        """
        more = [one.model_dump(exclude_none=True) for one in more_features]
        return digest(
            {
                **({"more_features": more} if more else {}),
                "protocol": PROTOCOL,
                "name": self.name,
                "seed": self.seed,
                "entrant": self.entrant.defining if self.entrant else None,
                "budget": self.budget.model_dump() if self.budget else None,
                "measure": self.suite.measure.defining,
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
    trained = [entrant.family for entrant in suite.entrant if not entrant.loaded and entrant.family not in FAMILIES]
    commands = [f"the command {entrant.command!r}" for entrant in suite.entrant if entrant.command is not None]
    named = [*trained, *commands] if families else []
    networks = [*([suite.measure.extractor] if extractor else []), *suite.measure.more_extractors]
    return list(dict.fromkeys([*named, *filter(is_own, networks)]))


def is_own(extractor: str) -> bool:
    """Whether an extractor's name is `module:function` or a TorchScript file."""
    return ":" in extractor or extractor.removesuffix("+bf16").endswith((".pt", ".pth"))


def cells(suite: Suite) -> Iterator[Cell]:
    """All cells in a fixed order: the floors, then seed by seed, so that a run cut short holds whole comparisons. What
    is loaded has one cell, as neither another training seed nor another budget makes another model of it.
    """
    for floor in FLOORS:
        yield Cell(suite, floor, 0)
    for seed in suite.seeds:
        for budget in suite.budget:
            for entrant in suite.entrant:
                if not entrant.loaded or (seed, budget) == (suite.seeds[0], suite.budget[0]):
                    yield Cell(suite, entrant.name, seed, entrant, budget)


def shipped() -> dict[str, Path]:
    """Suites that come with the package, by name."""
    folder = Path(str(resources.files("equibench"))) / "suites"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A shipped suite by name, or the user's own by the path of its TOML file, with what it extends and what the
    studies say that it names.

    Raises UserError as `read` does, and for a study that did not choose its entrant's settings.
    """
    found = read(name)
    return _calculated(found.model_copy(update={"entrant": [_with_tuning(entrant) for entrant in found.entrant]}))


def read(name: str) -> Suite:
    """The suite as its file, and those that it extends, say it, paths as seen from anywhere: it is a file of its own
    when it is written down.

    Raises UserError for an unknown name, a file that is no TOML, a key or value that does not belong.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".toml":
        raise UserError(f"unknown suite {name!r}{nearest(name, known)}, or give the path of a .toml file")
    with contextlib.suppress(OSError, ValueError):  # which reading it says
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file; give the path of a suite's .toml file")
    return _read(path, ())


def written(suite: Suite) -> str:
    """A suite that was read as the text of a file that says all of it, defaults among it, and extends no other."""
    values = suite.model_dump(exclude={"extends", "without"})
    entrants = [{key: value for key, value in one.items() if value != {}} for one in values["entrant"]]
    return toml_of({**values, "entrant": entrants})


def extends_another(path: Path) -> bool:
    """Whether the suite at `path` is not all in its file. Raises UserError."""
    return "extends" in read_tables(path, "suite")


def _read(path: Path, through: tuple[Path, ...]) -> Suite:
    """The suite at `path`, to which the suites at `through` led. Each is sound in itself, so that a mistake is that of
    the file that it is first met in.
    """
    values = read_tables(path, "suite")
    own = {key: values[key] for key in Extension.model_fields if key in values}
    extends = checked(own, Extension, f"suite {path}").extends
    if extends is not None:
        base = _read(base_of(path, extends, shipped(), through), (*through, path))
        values = laid_over(base.model_dump(exclude_unset=True), values, path)
    found = checked(values, Suite, f"suite {path}", named=extends is not None)
    return found.model_copy(update={"entrant": [_with_paths(entrant, path) for entrant in found.entrant]})


def _with_paths(entrant: Entrant, path: Path) -> Entrant:
    """The entrant of the suite at `path` with what it loads, and its study, as seen from anywhere."""
    if isinstance(entrant.tuned, Tuning):
        raise UserError(f"suite {path}: {entrant.name} needs the path of a study as `tuned`, not what one says")
    given = {key: getattr(entrant, key) for key in ("load", "tuned")}
    there = {key: file for key, file in given.items() if file is not None and not is_hub_id(file)}
    if not there:
        return entrant
    return entrant.model_copy(update={key: str((path.parent / file).absolute()) for key, file in there.items()})


def _calculated(suite: Suite) -> Suite:
    """The suite with what it says of the arithmetic of all in each entrant, once no other is laid over it."""
    entrants = [entrant.calculated(suite.precision, suite.compile, suite.cuda_graph) for entrant in suite.entrant]
    return suite.model_copy(update={"entrant": entrants})


def _with_tuning(entrant: Entrant) -> Entrant:
    """The entrant with what its study says, where it names one."""
    if not isinstance(entrant.tuned, str):
        return entrant
    said = tuning(Path(entrant.tuned), entrant.name, entrant.family, entrant.config, entrant.sampler)
    return entrant.model_copy(update={"tuned": said})


def changed(suite: Suite, **changes: Any) -> Suite:
    """The suite with other values, held to the same rules. Raises UserError."""
    try:
        return _calculated(Suite.model_validate({**suite.model_dump(), **changes}))
    except ValidationError as error:
        raise UserError(explain(error, Suite)) from None


def _no_double(what: str, values: Sequence[Any], by: Callable[[Any], Any] = lambda value: value) -> None:
    seen: dict[Any, Any] = {}
    for value in values:
        if by(value) in seen:
            other = seen[by(value)]
            same = f"{value!r} is there twice" if other == value else f"{other!r} and {value!r} differ too little"
            raise ValueError(f"each {what} may be there once: {same}")
        seen[by(value)] = value
