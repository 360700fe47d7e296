"""Code of a user's own: one rule of consent, and the import of `module:name`.

A `module:name` typed on the command line is consent to run it. One that stands in a suite or a checkpoint, and every
file of a format that can run code, needs `--allow-code`, which is asked for before the file is opened or the module
imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from typing import Any

from equibench.errors import UserError, last_line


def require_consent(what: str, allowed: bool) -> None:
    """Raises UserError unless running code is `allowed`; `what` says in a sentence's subject whose code that is."""
    if not allowed:
        raise UserError(f"{what} can run any code on this machine; if you trust it, pass --allow-code")


GROUP = "equibench.entrants"  # of the entry points by which installed packages name their families


def entry_point(name: str) -> str | None:
    """The `module:Class` that an installed package declares under `name`; nothing of it is imported.

    Raises ValueError where two packages declare different ones.
    """
    try:
        found = importlib.metadata.entry_points(group=GROUP, name=name)
    except ValueError:  # a line that another package wrote wrongly
        return None
    values = {point.value: point.dist.name if point.dist else "a package" for point in found}
    if len(values) > 1:
        raise ValueError(
            f"{' and '.join(sorted(values.values()))} both name an entrant {name!r}; uninstall one of them"
        )
    return next(iter(values), None)


def import_name(name: str) -> Any:
    """What `module:name` stands for; modules are found in the working folder too, after the installed ones.

    Raises UserError where it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: a file there may have the name of a module that others import later
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever another's module raises as it is imported
        kind, words = type(error).__name__, last_line(error)
        reason = kind if words == kind else f"{kind}: {words}"
        raise UserError(
            f"cannot import {name} ({reason}); run equibench in the folder that holds the module, or install it"
        ) from None
