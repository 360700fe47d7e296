"""Whether two numbers may be compared or averaged, and what a number is called in a signature."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from pydantic import BaseModel

from equibench.errors import UserError, nearest
from equibench.quantities import glossary
from equibench.quantities.metric import bits_kind, metric_names, metric_of, with_count
from equibench.quantities.settings import KEY_DIGITS as KEY_DIGITS  # of hashes, too
from equibench.quantities.settings import moved_by
from equibench.record.cost import Memory
from equibench.record.paths import next_step, value_at
from equibench.record.schema import Likelihood, Quality, Record, SampleMetric

SHORT = {quantity.short: quantity.path for quantity in glossary.GLOSSARY if quantity.short}
# metrics beside the distance, by their names in a signature
ALSO = {
    quantity.path: quantity.path.removeprefix("quality.also.").replace(" ", "_")
    for quantity in glossary.GLOSSARY
    if re.fullmatch(r"quality\.also\.[^.*]+", quantity.path)
}
# what made a model and its numbers: two sides of a comparison may differ in it, as it is what they are compared over,
# the seeds of one side may not
MADE_BY = ("config", "weights", "train", "eval")
# fields of an identity in words, and whether their values can be read
FIELDS = {
    "entrant": ("entrant", True),
    "n": ("number of images", True),
    "ref": ("reference", True),
    "fx": ("feature network", True),
    "prep": ("preprocessing", False),
    "probe": ("output of the feature network for the same images", False),
    "ntrain": ("number of training images", True),
    "assigned": ("way to the samples of a class", True),
    "by": ("way to the interval", True),
    "unbiased": ("correction", True),
    "err": ("source of the error", True),
    "kind": ("kind", True),
    "passes": ("number of passes", True),
    "detail": ("detail of the likelihood", True),
    "usual": ("way to the usual bound", True),
    "anneal": ("annealing", True),
    "sampler": ("setting of the sampler", True),
    "of": ("number of images that they are the first of", True),
    "quantity": ("quantity of memory", True),
    "batch": ("batch size", True),
    "limit": ("time limit", True),
    "counter": ("counter of energy", True),
    "eval": ("precision of the measurement", True),
    "measuring": ("set of measurements", False),
    "data": ("data set", True),
    "lossy": ("compression of the images", True),
    "budget": ("budget", True),
    "config": ("config", True),
    "weights": ("checkpoint", True),
    "train": ("precision of training", True),
    "machine": ("machine", False),
}


class Difference(NamedTuple):
    """The first field of two identities that is not equal."""

    field: str
    one: str
    other: str

    @property
    def word(self) -> str:
        return FIELDS[self.field][0]

    def __str__(self) -> str:
        return f"another {self.word}" + (f" ({self.one}, {self.other})" if FIELDS[self.field][1] else "")


def look_up(record: Record, path: str) -> float | None:
    """The number at a dotted path, e.g. "speed.images_per_sec"; None where it was not measured.

    Members of a list go by their name or label ("quality.also.KD", "sampler_points.10 steps.quality.value"). Raises
    UserError for a path that no record has.
    """
    value = along(record, path)[-1]
    return None if value is None else float(value)


def name_of(record: Record, path: str) -> str:
    """What a number is called in a signature: short for the usual ones, else its path. `path_of` leads back."""
    *_, parent, _ = along(record, path)
    if path in ("quality.value", "quality.corrected"):
        metric = f"{parent.metric}_corrected" if path.endswith("corrected") else parent.metric
        return with_count(metric, parent.n_samples)
    if isinstance(parent, SampleMetric) and path in (of_it := f"quality.also.{parent.name}", f"{of_it}.value"):
        return with_count(parent.name.replace(" ", "_"), parent.n_samples)
    found = glossary.known(path)
    return found.short if found and found.short else path


def path_of(name: str) -> str:
    """The dotted path of a number by its name in a signature."""
    if found := re.fullmatch(r"(.+?)(_corrected)?_\d+k?", name):
        metric, corrected = found.groups()
        if metric in ("FD", "FID"):
            return "quality.corrected" if corrected else "quality.value"
        return next((path for path in ALSO if ALSO[path] == metric), f"quality.also.{metric}")
    return SHORT.get(name, name)


def along(record: Record, path: str) -> list[Any]:
    """The record, and what lies at each step of the path; cut short by a final None."""
    passed: list[Any] = [record]
    rest = path
    while rest:
        here = passed[-1]
        if here is None:
            return passed
        if not isinstance(here, list | dict) and (first := rest.partition(".")[0]) not in _fields(here):
            raise UserError(f"records have no {path!r}: unknown {first!r}{nearest(first, _fields(here))}")
        step, found = next_step(here, rest)
        passed.append(found)
        rest = rest[len(step) + 1 :]
    if isinstance(passed[-1], SampleMetric):
        passed.append(passed[-1].value)
    if passed[-1] is not None and not isinstance(passed[-1], int | float):
        raise UserError(f"{path!r} of a record is not a number; give the path of one, such as quality.value")
    return passed


def _fields(here: Any) -> tuple[str, ...]:
    return tuple(type(here).model_fields) if isinstance(here, BaseModel) else ()


def identity(record: Record, path: str) -> dict[str, str]:
    """All that must be equal for two numbers to be averaged, in a fixed order: the entrant, and all that moves them."""
    return {"entrant": record.entrant} | moved_by(record, path, along(record, path))


def differs(a: Record, b: Record, path: str, but: Collection[str] = ()) -> Difference | None:
    """Why the numbers at `path` of two records may not be compared: the first field in which they differ, those in
    `but` apart, as it is what they are compared over. None where they may.
    """
    found = first_difference(identity(a, path), identity(b, path), but)
    return Difference("config", *config_words(a, b)) if found and found.field == "config" else found


def first_difference(one: dict[str, str], other: dict[str, str], but: Collection[str] = ()) -> Difference | None:
    """The first field in which two identities differ, those in `but` apart; None where they are equal."""
    for field in {**one, **other}:
        if field not in but and one.get(field) != other.get(field):
            return Difference(field, one.get(field, "none"), other.get(field, "none"))
    return None


def config_words(a: Record, b: Record) -> tuple[str, str]:
    """In what two configs differ, as each has it: "learning_rate 0.002"."""
    one, other = ({"family": record.family, **record.config} for record in (a, b))
    keys = [key for key in {**one, **other} if repr(one.get(key)) != repr(other.get(key))]
    first, second = (", ".join(f"{key} {side.get(key, 'none')}" for key in keys) for side in (one, other))
    return first, second


def kind_of(record: Record, path: str) -> str:
    """What a number is, without which it cannot be read: a metric's name, the kind of a likelihood, of a memory."""
    part = value_at(record, path.rpartition(".")[0])
    if isinstance(part, Quality) and (metric := metric_of(part)):
        corrected = ", without the bias of the samples' N" if path.endswith(".corrected") else ""
        return metric_names([metric])[metric] + corrected
    if isinstance(part, Likelihood):
        return bits_kind(part)
    return part.quantity if isinstance(part, Memory) else ""
