"""The margins of --not-worse-than: by how much a run may be worse at most, and has to be shown to be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equibench.errors import UserError, nearest
from equibench.judge.gates import CATEGORIES
from equibench.quantities.glossary import Category

USUAL: tuple[Category, ...] = ("quality", "likelihood")  # what a model is, whatever machine it runs on


def margins(texts: Sequence[str]) -> dict[Category, float]:
    """Shares by category of texts such as "5%", "5", or "speed=10". Raises UserError for what is none."""
    found: dict[Category, float] = {}
    for text in texts:
        kind, mark, amount = text.rpartition("=")
        kinds = tuple(known for known in CATEGORIES if known == kind) if mark else USUAL
        if not kinds:
            raise UserError(f"unknown kind {kind!r}{nearest(kind, CATEGORIES)}; write --not-worse-than quality=5, say")
        found |= dict.fromkeys(kinds, share_in(f"--not-worse-than {kind}{mark}", amount))
    return found


def share_in(option: str, text: str) -> float:
    """A share in per cent, "5" or "5%", of an `option`, which ends with a space or an equals sign. Raises UserError."""
    try:
        found = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise UserError(f"{option}{text}: give per cent as a number, such as {option}5%")
    if not 0 < found < 1000:
        raise UserError(f"{option}{text}: give more than 0 and less than 100,000 %, such as {option}5%")
    return found
