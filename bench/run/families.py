"""Families by name, a user's own among them."""

from __future__ import annotations

from typing import Any

import pydantic

from equibench.errors import UserError, nearest
from equibench.usercode import import_name
from equibench.validation import explain
from equibench_models import FAMILIES, family
from equibench_models.contract import Config, Model, Options

DECLARED = ("config_type", "options_type", "about", "likelihood", "dequantization", "samplers")


def resolve_family(name: str) -> type[Model]:
    """The class of a family: a name of FAMILIES, or a user's own `module:Class`. Raises UserError."""
    if name not in FAMILIES:
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
