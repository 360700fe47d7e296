"""Code of a user's own: one rule of consent, and the import of `module:name`.

A `module:name` typed on the command line is consent to run it. One that stands in a suite or a checkpoint, and every
file of a format that can run code, needs `--allow-code`, which is asked for before the file is opened or the module
imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from equibench.errors import UserError


def require_consent(what: str, allowed: bool) -> None:
    """Raises UserError unless running code is `allowed`; `what` says in a sentence's subject whose code that is."""
    if not allowed:
        raise UserError(f"{what} can run any code on this machine; if you trust it, pass --allow-code")


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
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "without a word"
        raise UserError(
            f"cannot import {name} ({type(error).__name__}: {reason}); run equibench in the folder that holds the "
            "module, or install it"
        ) from None
