"""What all parts of a record have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Scalar = str | int | float | bool | None


class Strict(BaseModel):
    """Frozen, and refuses unknown keys: a misspelt key is an error, never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
