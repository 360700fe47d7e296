"""Records of many commits, made up: a value a commit and seed, all else as in fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fixtures import make

from equibench.record.schema import Code, Record


def commit(number: int) -> str:
    """Forty hexadecimal digits, unlike those of other numbers from the first on."""
    return f"{number:04x}".ljust(40, "e")


def at_commit(number: int, like: str = "vae", seed: int = 0, /, **changes: Any) -> Record:
    """A record of a commit, which was measured on a day of its own."""
    code = Code(commit=commit(number), dirty=False, version="0.1.0")
    about = {"code": code, "created": f"2026-01-{number + 1:02d}T12:00:00Z", "invocation": f"{number:032x}"}
    return make(like, seed, **about | changes)


def over_commits(
    commits: int, distance: Callable[[int, int], float], seeds: int = 3, like: str = "vae", **changes: Any
) -> list[Record]:
    """Records of so many commits with the distance that `distance(commit, seed)` gives."""
    return [
        at_commit(number, like, seed, quality=with_distance(like, distance(number, seed)), **changes)
        for number in range(commits)
        for seed in range(seeds)
    ]


def with_distance(like: str, value: float) -> Any:
    quality = make(like).quality
    assert quality is not None
    interval = quality.interval.model_copy(update={"low": value - 2, "high": value + 2}) if quality.interval else None
    return quality.model_copy(update={"value": value, "interval": interval, "stderr": 1e-3})
