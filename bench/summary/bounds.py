"""Likelihoods that are known by bounds alone: which bound two sides are compared by, and what it is called.

A model whose bound is looser looks worse than it is, so two sides are compared by the tightest bound that was measured
for both. Bounds on fewer images than the usual one are judged by their difference to it on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from equibench.quantities.glossary import BITS
from equibench.record.paths import member_names, value_at
from equibench.record.schema import BoundResult, Likelihood, Record

SURE = 2.0  # standard errors by which a bound has to be tighter than the usual one


class _Gain(NamedTuple):
    """How much lower than the usual bound another is on the same images, in bits per dimension."""

    bits_per_dim: float
    stderr: float


def tightest_common(one: Sequence[Record], other: Sequence[Record]) -> str:
    """Path of the bits per dimension by which two sides are to be compared, such as
    "bounds.importance weighting.bits_per_dim": of the bounds that every record of both has, measured alike, the one
    that lies farthest below the usual bound on the same images, by more than its error. The usual number's path where
    there is none, or where the likelihood is no upper bound.
    """
    records = [*one, *other]
    if not one or not other or {_kind(record) for record in records} != {"upper bound"}:
        return BITS
    found: dict[str, float] = {}
    for name in _named(records[0]):
        bounds = [_named(record).get(name) for record in records]
        there = [bound for bound in bounds if bound is not None and _usable(bound)]
        if len(there) < len(records) or len({_measured(bound) for bound in there}) > 1:
            continue
        sides = [_gain(there[: len(one)]), _gain(there[len(one) :])]
        gain = sum(side.bits_per_dim for side in sides)
        if gain < -SURE * math.hypot(*(side.stderr for side in sides)):
            found[f"bounds.{name}.bits_per_dim"] = gain
    return min(found, key=found.__getitem__, default=BITS)


def bound_words(record: Record, path: str) -> str:
    """What the bits per dimension at `path` are, in words: "exact", "upper bound", or for another than the usual one
    "upper bound by importance weighting, K = 64, on 64 images". Empty where the record has none.
    """
    found = value_at(record, path.rpartition(".")[0])
    if not isinstance(found, Likelihood):
        return ""
    if not isinstance(found, BoundResult):
        return found.kind
    weights = f", K = {found.passes}" if found.name == "importance weighting" else ""
    return f"{found.kind} by {found.name}{weights}, on {found.n_images:,} images"


def count_path(path: str) -> str:
    """Where the number of test images is that the bits per dimension at `path` are of."""
    return f"{path.rpartition('.')[0]}.n_images"


def _kind(record: Record) -> str:
    found = record.likelihood
    return found.kind if found and found.bits_per_dim is not None else ""


def _named(record: Record) -> dict[str, BoundResult]:
    return dict(zip(member_names(record.bounds), record.bounds, strict=True))


def _usable(bound: BoundResult) -> bool:
    return bound.kind == "upper bound" and bound.bits_per_dim is not None


def _measured(bound: BoundResult) -> tuple[object, ...]:
    return (bound.n_images, bound.passes, tuple(sorted(bound.curve)))


def _gain(bounds: Iterable[BoundResult]) -> _Gain:
    """Mean over the seeds, whose errors are over the same images, so that more seeds do not lessen them."""
    there = list(bounds)
    gains = [(bound.bits_per_dim or 0.0) - bound.usual_bits_per_dim for bound in there]
    errors = [bound.stderr_of_difference_bits_per_dim for bound in there]
    return _Gain(sum(gains) / len(there), sum(errors) / len(there))
