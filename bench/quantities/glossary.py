"""What is known of each number of a record."""

from __future__ import annotations

from typing import Literal

Category = Literal["quality", "likelihood", "cost", "speed", "memory"]
# The end of a path, longer ones first -> the unit of the raw value there.
UNITS = {
    "images_per_sec": "images/s",
    "_sec": "s",
    "_bytes": "bytes",
    "bits_per_dim": "bits/dim",
    "_nats": "nats",
    "flops": "FLOPs",
    "flops_per_image": "FLOPs per image",
    "params": "parameters",
    "images": "images",
    "updates": "updates",
}


def unit_of(path: str) -> str:
    """Unit of the raw value at a path of a record; empty for a plain number."""
    if path.startswith("clock."):
        return "s"
    if path.startswith("out_of_distribution_bits_per_dim."):
        return "bits/dim"
    return next((unit for end, unit in UNITS.items() if path.endswith(end)), "")
