"""Entrants as a suite declares them: what is trained, or what is there already and is loaded. Imports no torch."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from equibench.errors import nearest
from equibench.measuring import Count, SuiteTable
from equibench.record.base import Scalar
from equibench.record.surroundings import Tuning
from equibench.usercode import entry_point
from equibench.validation import shortened
from equibench_models import FAMILIES, LOADED

CLASSES = "classes"  # the field of a config that says how many an entrant is conditioned on
SAMPLES = "samples"  # in place of a family, where there are samples and no model
FLOORS = ("real data", "uniform", "global histogram", "per-pixel histogram", "3-neighbour table")
Precision = Literal["bf16", "fp32"]  # that networks multiply in
OUTSIDE = (*LOADED, SAMPLES)  # in place of a family, of what other tools made
MOST_NAME_BYTES = 100  # a file's name may have 255, of which seed, key and endings need some


class GeneratorSetting(SuiteTable):
    """What goes into a generator that another tool saved, and what comes out: its file says neither."""

    noise: list[Count] = Field(min_length=1)  # shape of the noise behind one image
    distribution: Literal["normal", "uniform"] = "normal"  # of the noise; uniform in [-1, 1]
    low: float = -1.0  # black in its output
    high: float = 1.0  # white
    batch_size: Count | None = None  # the only one that it takes, where it was traced with one

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low, which is black, has to be below high, which is white, and {self.low} is not")
        return self


class Entrant(SuiteTable):
    """One competitor: a family with the fields of its config that differ from the defaults, to be trained; or one that
    is there already, a file or folder to load or a command that writes samples, which is measured alone.
    """

    name: str  # in records, tables and file names; of the same name in an extended suite: changes that one
    family: str = ""  # a shipped one, an installed entry point, or one's own as module:Class; not of what is loaded
    load: str | None = None  # a path, in a file from the suite's, or hub:...; see docs/own-models.md
    command: str | None = None  # writes samples: {out}, {n} and {seed} in it are filled in
    generator: GeneratorSetting | None = None  # of a TorchScript or torch.export file
    config: dict[str, Scalar] = {}  # fields of the family's config; those left out keep their defaults
    labels: bool = False  # class-conditional: told the labels of the data, whose number goes into the config
    sampler: dict[str, Scalar] = {}  # options of `sample` for the headline numbers
    precision: Precision | None = None  # bf16 where the hardware multiplies it by default, else fp32
    compile: bool | None = None  # train through torch.compile
    cuda_graph: bool | None = None  # on a GPU, launch the kernels of an update all at once
    tuned: str | Tuning | None = None  # the file of the study that chose these settings; once read, what it says

    @property
    def defining(self) -> dict[str, Any]:
        """What of it defines its record: not where its file lies, whose content does, and not that it has labels, whose
        number is in the config.
        """
        unset = {
            name for name in ("command", "generator", "precision", "compile", "cuda_graph") if not getattr(self, name)
        }
        return self.model_dump(exclude={"tuned", "load", "labels", *unset})

    def with_classes(self, classes: Scalar) -> Self:
        """The same, told the labels of so many classes."""
        return self.model_copy(update={"config": {**self.config, CLASSES: classes}})

    def as_run(self, config: Mapping[str, Scalar], family: str = "") -> Self:
        """The entrant as it was where a run resolved its config to `config`: one that is told labels has the number of
        classes, and one that is loaded is of `family`.
        """
        if self.loaded:
            precision = None if family == SAMPLES else self.precision
            return self.model_copy(update={"family": family, "precision": precision})
        return self.with_classes(config[CLASSES]) if self.labels and config.get(CLASSES) else self

    def calculated(self, precision: Precision | None, compile: bool | None, cuda_graph: bool | None) -> Entrant:
        """The entrant with what its suite says of the arithmetic of all, where that applies and it says nothing."""
        given = {
            "precision": None if self.has_no_model else precision,
            "compile": None if self.loaded else compile,
            "cuda_graph": None if self.loaded else cuda_graph,
        }
        return self.model_copy(update={key: value for key, value in given.items() if getattr(self, key) is None})

    @property
    def has_no_model(self) -> bool:
        """Whether all that there is of it are samples, or a command that writes some."""
        return self.command is not None or self.family == SAMPLES

    @property
    def loaded(self) -> bool:
        """Whether it is there already, and is not trained."""
        return self.load is not None or self.command is not None

    @property
    def tuning(self) -> Tuning | None:
        """What its study says; None for one that names none, or whose suite was not loaded from a file."""
        return self.tuned if isinstance(self.tuned, Tuning) else None

    @field_validator("name")
    @classmethod
    def _no_floor(cls, name: str) -> str:
        if alike(name) in {alike(floor.replace(" ", "-")) for floor in FLOORS}:
            raise ValueError(f"{name!r} is the name of a floor; give another")
        return usable_name(name)

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family in FAMILIES or family in OUTSIDE or re.fullmatch(r"[\w.]+:\w+|", family):
            return family
        installed = entry_point(family)
        if installed is None:
            raise ValueError(f"unknown family {family!r}{nearest(family, FAMILIES)}, or give your own as module:Class")
        return installed

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        """Trained or loaded, and nothing given that it has no use for."""
        if self.load is not None and self.command is not None:
            raise ValueError("has both load and command; keep the one that gives its samples")
        if not self.family and not self.loaded:
            raise ValueError("has nothing to train or to load; give it a family, or load = FILE, or command = TEXT")
        if self.family in OUTSIDE and not self.loaded:
            raise ValueError(f"is of no family that could be trained ({self.family}); give its file as load = FILE")
        trained = ("config", "tuned", "compile", "cuda_graph", "labels")
        useless = [key for key in trained if getattr(self, key)] if self.loaded else []
        if useless:
            raise ValueError(f"is loaded, not trained, so that it has no {useless[0]}; take it away")
        if self.precision and self.has_no_model:
            raise ValueError("has samples and no model that could multiply in a precision; take it away")
        if self.command is not None and "{out}" not in self.command:
            raise ValueError("has a command without {out}, which stands for the folder or file that it writes")
        try:
            shlex.split(self.command or "")
        except ValueError as error:
            raise ValueError(f"has a command that no shell could read ({error}); close its quotation") from None
        if self.generator and self.load is None:
            raise ValueError("has a generator's noise but no file of one; give it as load = FILE")
        return self


def usable_name(name: str) -> str:
    """`name` where files may be called by it. Raises ValueError with a sentence otherwise."""
    if not re.fullmatch(r"[\w.+-]+", name):
        raise ValueError(f"{shortened(name)} is no usable name; use letters, digits and . _ + - only")
    if name[0] in ".-":
        raise ValueError(f"{shortened(name)} begins with {name[0]!r}; a name begins with a letter, a digit, _ or +")
    if len(name.encode()) > MOST_NAME_BYTES:
        raise ValueError(f"{shortened(name)} is too long; give a name of at most {MOST_NAME_BYTES} bytes")
    return name


def name_from(path: Path) -> str:
    """A name for an entrant, after a file."""
    name = re.sub(r"[^\w.+-]", "-", path.stem).lstrip(".-")
    name = name.encode()[:MOST_NAME_BYTES].decode(errors="ignore") or "checkpoint"
    try:
        return Entrant(name=name, family=SAMPLES, load="").name
    except ValidationError:  # a floor's
        return f"{name}-checkpoint"


def alike(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFKC", name).casefold()
