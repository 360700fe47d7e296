"""Where settings are searched: a file of TOML with a table for each family, held against the families' own types."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field

from equibench.errors import UserError
from equibench.record.base import Scalar, Strict
from equibench.record.study import Candidate, Domain, Search, Space, Values
from equibench.record.surroundings import SAMPLER
from equibench.run.families import resolve_family, validated
from equibench.suite import Entrant
from equibench.validation import read_toml
from equibench_models.contract import Config, Options

FAMILIES_FILE = "families"  # of shipped spaces: for suites that have none of their own
Ranges = dict[str, Domain]


class SpaceFile(Strict):
    """A file of spaces, as it is written."""

    search: Search = Search()
    family: dict[str, Space] = {}  # by a name of equibench_models.FAMILIES, or one's own as module:Class
    entrant: dict[Annotated[str, Field(min_length=1)], Space] = {}  # by its name, in place of its family's


def load(path: Path | None, suite: str) -> SpaceFile:
    """The file at `path`; without one, what ships for the suite of this name, or else for the four families.

    Raises UserError for a file that is no TOML, or a key or value that does not belong.
    """
    if path is None:
        folder = Path(str(resources.files("equibench"))) / "suites" / "spaces"
        path = folder / f"{suite}.toml"
        if not path.is_file():
            path = folder / f"{FAMILIES_FILE}.toml"
    return read_toml(path, SpaceFile, "space")


def space_of(file: SpaceFile, entrant: Entrant) -> Space:
    """Where the entrant's settings are searched.

    Raises UserError where the file has nothing for it, or names a setting or a value that its family does not have.
    """
    space = file.entrant.get(entrant.name) or file.family.get(entrant.family)
    if space is None or not space.ranges:
        raise UserError(
            f"the space has nothing for entrant {entrant.name!r}; give a table [family.{_key(entrant.family)}.config] "
            "with --space, or choose others with --only"
        )
    family = resolve_family(entrant.family)

    def checked(ranges: dict[str, Domain], kind: type[Config] | type[Options], given: Values, what: str) -> Ranges:
        return {name: _checked(name, one, kind, given, entrant.name, what) for name, one in ranges.items()}

    return Space(
        config=checked(space.config, family.config_type, entrant.config, "config key"),
        sampler=checked(space.sampler, family.options_type, entrant.sampler, "sampler option"),
    )


def start(entrant: Entrant) -> Candidate:
    """The entrant as it stands, which is the first trial."""
    return Candidate(number=0, config=entrant.config, sampler=entrant.sampler)


def candidate(number: int, of: Candidate, values: Values) -> Candidate:
    """The settings `of` a candidate with `values` in place of some."""
    sampler = {name.removeprefix(SAMPLER): value for name, value in values.items() if name.startswith(SAMPLER)}
    config = {name: value for name, value in values.items() if not name.startswith(SAMPLER)}
    return Candidate(number=number, config={**of.config, **config}, sampler={**of.sampler, **sampler})


def _checked(
    name: str, found: Domain, kind: type[Config] | type[Options], given: Values, entrant: str, what: str
) -> Domain:
    """The range, with ends of the setting's own type. Raises UserError for a setting, or an end of its range, that the
    family does not have.
    """
    ends: list[Scalar] = found.choices or [found.low, found.high]
    for end in ends:
        validated(kind, {**given, name: end}, entrant, what)
    if found.choices:
        return found
    annotation = kind.model_fields[name].annotation
    types = {annotation, *get_args(annotation)}
    if float in types and found.low is not None and found.high is not None:
        return found.model_copy(update={"low": float(found.low), "high": float(found.high)})
    if int not in types:
        raise UserError(f"entrant {entrant!r}: {name} is no number; give choices in place of low and high")
    if isinstance(found.low, float) or isinstance(found.high, float):
        raise UserError(f"entrant {entrant!r}: {name} is a whole number; give whole ends of its range, or choices")
    return found


def _key(family: str) -> str:
    return family if ":" not in family else f'"{family}"'
