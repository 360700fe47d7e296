"""The gates file of a user's repository: TOML, read and held to its rules."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from equibench.errors import UserError, first_line
from equibench.judge.gates import Gates
from equibench.validation import explain

MOST_BYTES = 2**20


def read(path: Path | None) -> Gates:
    """The gates of a file; the usual ones without. Raises UserError for a file that cannot be read, is no TOML, or says
    what no gates file may.
    """
    if path is None:
        return Gates()
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a null byte in the name
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"cannot read the gates file {path} ({reason})") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES:,} bytes; it is no gates file")
    try:
        return Gates.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        raise UserError(f"gates file {path}: {explain(error, Gates)}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8; save it in that encoding") from None
    except RecursionError:
        raise UserError(f"gates file {path}: its tables are nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise UserError(f"{path} is not valid TOML ({first_line(error)[:200]})") from None
