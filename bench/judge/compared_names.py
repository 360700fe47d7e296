"""The numbers that a check compares, by the names that a gates file and options give them."""

from __future__ import annotations

from equibench.errors import UserError, nearest
from equibench.quantities.glossary import COMPARED

_OTHER_NAMES = {"FD": "quality.value", "FID": "quality.value", "latency": "speed.latency_p50_sec",
                "NFE": "speed.network_evaluations", "throughput": "speed.images_per_sec"}  # fmt: skip
NAMES: dict[str, str] = {
    **{quantity.path: quantity.path for quantity in COMPARED},
    **{quantity.path.rpartition(".")[2]: quantity.path for quantity in COMPARED if quantity.path != "quality.value"},
    **_OTHER_NAMES,
}


def compared_path(name: str) -> str:
    """The path of a number that a check compares, by its name: "FD", "recall", "images_per_sec", or the path itself.

    Raises ValueError for an unknown one.
    """
    if name not in NAMES:
        raise ValueError(f"unknown number {name!r}{nearest(name, short_names())}")
    return NAMES[name]


def path_of_option(name: str) -> str:
    """The same for an option of the command line. Raises UserError."""
    try:
        return compared_path(name)
    except ValueError as error:
        raise UserError(str(error)) from None


def short_names() -> list[str]:
    """What numbers may be called."""
    return [name for name in NAMES if "." not in name]
