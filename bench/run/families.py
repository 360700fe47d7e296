"""Families by name, a user's own among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic

from equibench.errors import UserError, nearest
from equibench.record.base import Scalar
from equibench.record.surroundings import SAMPLER
from equibench.suite import Entrant
from equibench.usercode import import_name
from equibench.validation import explain
from equibench_models import FAMILIES, LOADED, family
from equibench_models.contract import Config, Model, Options, Shape

DECLARED = ("config_type", "options_type", "about", "likelihood", "dequantization", "samplers")


def resolve_family(name: str) -> type[Model]:
    """The class of a family: a name of FAMILIES or LOADED, or a user's own `module:Class`. Raises UserError."""
    if name not in FAMILIES and name not in LOADED:
        import_name(name)
    try:
        found = family(name)
    except TypeError as error:
        raise UserError(f"{error}, which says what a family needs") from None
    lacking = [*sorted(found.__abstractmethods__), *(x for x in DECLARED if not hasattr(found, x))]
    if lacking:
        listed = ", ".join(lacking)
        raise UserError(f"the family {name} lacks {listed}; equibench_models.contract.Model says what each is")
    return found


def validated(kind: type[Config] | type[Options], fields: dict[str, Any], entrant: str, what: str) -> dict[str, Any]:
    """The whole config of a family, or all options of its sampler, from the fields that differ from the defaults.

    `what` is "config key" or "sampler option". Raises UserError for an unknown one, with the nearest, and for a value
    that is out of range.
    """
    for key in fields:
        if key not in kind.model_fields:
            raise UserError(f"entrant {entrant!r}: unknown {what} {key!r}{nearest(key, kind.model_fields)}")
        if isinstance(fields[key], bool) and kind.model_fields[key].annotation is not bool:
            raise UserError(f"entrant {entrant!r}: {key} must be no true or false, which stand for no number here")
    try:
        return kind.model_validate(fields).model_dump()
    except pydantic.ValidationError as error:
        raise UserError(f"entrant {entrant!r}: {explain(error, kind)}") from None


def check_sides(family_name: str, shape: Shape) -> None:
    """Raises UserError for images `(C, H, W)` that a shipped family cannot be built for."""
    if family_name in FAMILIES and (min(shape) < 1 or shape[1] % 4 or shape[2] % 4):
        raise UserError(
            f"the family {family_name} is built for sides that are multiples of 4, and not for images of "
            f"{shape[1]}x{shape[2]}; give others"
        )


def settings_of(family: type[Model], config: Mapping[str, Scalar], sampler: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """All settings of an entrant, those that no one gave with their defaults, but for what the budget decides: fields
    of the config by their names, options of the sampler behind SAMPLER. Raises pydantic.ValidationError.
    """
    knobs = {"width", *getattr(family.config_type, "knobs", ())} - config.keys()
    whole = family.config_type.model_validate(config).model_dump(exclude=knobs)
    options = family.options_type.model_validate(sampler).model_dump()
    found = {**whole, **{f"{SAMPLER}{name}": value for name, value in options.items()}}
    return {name: value if isinstance(value, str | int | float | None) else str(value) for name, value in found.items()}


def check_tuned(entrant: Entrant, family: type[Model]) -> None:
    """Raises UserError for an entrant that is no longer what its study chose, as a default of its family has changed.
    That it has the config which the study chose is seen as the suite is loaded. A field that was added after the study
    must not be given: its default is taken to do what the family did before.
    """
    if entrant.tuning is None:
        return
    now, then = settings_of(family, entrant.config, entrant.sampler), entrant.tuning.chosen
    given = {*entrant.config, *(f"{SAMPLER}{option}" for option in entrant.sampler)}
    if others := sorted(name for name in {*then, *given} if name not in now or now[name] != then.get(name)):
        first = others[0]
        raise UserError(
            f"entrant {entrant.name!r} is not what its study {entrant.tuning.study} chose: {first} is "
            f"{now.get(first, 'not there')!r}, and was {then.get(first, 'not there')!r}; tune it again, or take "
            "`tuned` away"
        )
