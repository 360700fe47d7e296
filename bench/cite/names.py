"""What a number may be asked for by: every name that the report prints, its name in a signature, its dotted path.

A name as printed needs no care for case, arrows, brackets and what stands in them: "Latency p50, ms ↓", "latency p50"
and "latency" are the same number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from equibench.errors import UserError, nearest
from equibench.quantities import glossary
from equibench.quantities.glossary import BITS, COMPARED, GLOSSARY, Quantity
from equibench.quantities.identity import look_up, name_of, path_of
from equibench.quantities.metric import with_count
from equibench.quantities.numbers import numbers
from equibench.quantities.text import join
from equibench.record.paths import member_name, value_at
from equibench.record.schema import USUAL, Quality, Record
from equibench.summary.names import entrant_name

# words of every day that are no label, and labels that several numbers have
EVERYDAY = {
    "fd": "quality.value", "fid": "quality.value", "frechet distance": "quality.value",
    "bits per dim": BITS, "bits per dimension": BITS, "bpd": BITS,
    "images/s": "speed.images_per_sec", "speed": "speed.images_per_sec", "throughput": "speed.images_per_sec",
    "latency": "speed.latency_p50_sec", "parameters": "spent.params", "images": "spent.images",
    "time": "spent.train_sec", "training time": "spent.train_sec", "training flops": "spent.flops",
    "without bias of the samples n": "quality.corrected", "fd without bias of the samples n": "quality.corrected",
}  # fmt: skip
# words that do not say which of these is meant
SEVERAL = {
    "memory": ("memory.train_peak_bytes", "memory.sample_peak_bytes"),
    "energy": ("spent.energy.joules", "speed.energy.joules"),
    "batch size": ("config.batch_size", "speed.batch_size"),
}
DISTANCE = re.compile(r"(FD|FID)(_corrected)?(_\d+k?)?")
WAYS = ("ways", "sampler_points")  # parts of a record with numbers of the same model, sampled in another way
ALONE = [quantity for quantity in GLOSSARY if "*" not in quantity.path]
# lists and dictionaries whose members the report's tables have a row each for, and the number of that row
ROWS = (r"bounds\.(.+)\.bits_per_dim", r"out_of_distribution_bits_per_dim\.(.+)", r"portrait\.numbers\.(.+)")


class Asked(NamedTuple):
    """Records of one entrant, and where in them the numbers of a way to sample lie: "ways.mean decoding", or ""."""

    records: list[Record]
    part: str


def entrant_called(name: str, records: Sequence[Record]) -> Asked:
    """An entrant by its name, in a suite or in the report, or a way to sample by the label that its row of the report
    has, such as "VAE, mean decoding". Raises UserError with the nearest name for one that is not there.
    """
    if named := [one for one in records if one.entrant == name] or [one for one in records if name in _printed(one)]:
        return Asked(named, "")
    for one in records:
        for part in WAYS:
            for member in getattr(one, part):
                if name in {f"{shown}, {member_name(member)}" for shown in (one.entrant, *_printed(one))}:
                    same = [other for other in records if other.entrant == one.entrant]
                    return Asked(same, f"{part}.{member_name(member)}")
    labels = {f"{one.entrant}, {member_name(member)}" for one in records for member in one.ways}
    raise UserError(f"unknown entrant {name!r}{nearest(name, {one.entrant for one in records} | labels)}")


def _printed(one: Record) -> tuple[str, str]:
    """What the report calls an entrant, trained or loaded."""
    return entrant_name(one.entrant), entrant_name(one.entrant, loaded=True)


def path_called(metric: str, records: Sequence[Record], whose: str, part: str = "") -> str:
    """The dotted path of a number of `records` by any of its names; within `part`, that of a way to sample.

    Raises UserError with the nearest name for one that is unknown, that says too little, or that a way to sample has
    not of its own.
    """
    asked = plain(metric)
    known = _by_name(records)
    if counted := _of_another_count(asked.partition(" (")[0], records, part.partition(".")[2] or USUAL):
        return counted
    path = known.get(asked) or known.get(asked.partition(" (")[0]) or _by_label(asked, records, whose)
    if path is None:
        raise UserError(f"{whose} has no number {metric!r}{nearest(metric, _common(records))}")
    if not part:
        return path
    inside = f"{part}.{path.removeprefix('speed.')}"
    if not glossary.known(inside):
        raise UserError(f"{whose} has no {metric} of its own: only the entrant's usual way to sample has one")
    return inside


def _of_another_count(asked: str, records: Sequence[Record], label: str) -> str | None:
    """The path of a distance of so many samples, such as FD_1500, of the way to sample with this label: where that is
    not the headline's number of samples, of the sampler's settings, or of the end of the training.
    """
    if not re.fullmatch(r"(FD|FID)_\d+k?", asked):
        return None
    for one in records:
        if one.quality and with_count(one.quality.metric, one.quality.n_samples) == asked:
            return None
        found: list[tuple[str, Quality | None]] = [
            (f"sampler_points.{label}", point.quality) for point in one.sampler_points if point.label == label
        ]
        found += [(f"along.{point.label}", point.quality) for point in one.along if label == USUAL and point.share == 1]
        for path, quality in found:
            if quality and with_count(quality.metric, quality.n_samples) == asked:
                return f"{path}.quality.value"
    return None


def names(name: str, path: str) -> set[str]:
    """What a number may be asked for by: its path, its name in a signature, that without a count of images, and the end
    of its path where that is not the end of many.
    """
    short = set() if "*" in glossary.of(path).path else {path.rpartition(".")[2]}
    return {path, name, re.sub(r"_\d+k?$", "", name), *short}


def plain(metric: str) -> str:
    """A path of a metric as `numbers` gives it, to the metric and not to its value."""
    return metric.removesuffix(".value") if "quality.also." in metric else metric


def why_missing(path: str, records: Sequence[Record]) -> str:
    """The reason that the records give for having no number at `path`, without its full stop."""
    for one in records:
        steps = path.split(".")
        for end in range(len(steps), 0, -1):
            here = value_at(one, ".".join(steps[:end])) if _leads(one, path) else None
            if found := getattr(here, "reason", None):
                return str(found).rstrip(".")
        if found := one.failures.get(steps[0]) or (one.reason if one.status != "ok" else None):
            return str(found).rstrip(".")
    return "it was not measured, and no reason was recorded"


def _leads(one: Record, path: str) -> bool:
    try:
        look_up(one, path)
    except UserError:
        return False
    return True


def _by_name(records: Sequence[Record]) -> dict[str, str]:
    """Paths by their names in signatures and records: of what was measured first, then of what might have been."""
    found: dict[str, str] = {}
    for one in records:
        for path in sorted(numbers(one), key=lambda path: path.count(".")):
            for name in names(name_of(one, path), path):
                found.setdefault(name, path)
            for row in ROWS:
                if of_row := re.fullmatch(row, path):
                    found.setdefault(of_row[1], path)
    for one in records:
        for quantity in ALONE:
            if not quantity.derived and value_at(one, quantity.path.rpartition(".")[0]) is not None:
                for name in names(name_of(one, quantity.path), quantity.path):
                    found.setdefault(name, quantity.path)
    return found


def _by_label(asked: str, records: Sequence[Record], whose: str) -> str | None:
    """The path of a number by what a person calls it. Raises UserError where that is said of several."""
    said = _folded(asked)
    measured = {one.quality.metric for one in records if one.quality}
    if distance := DISTANCE.fullmatch(asked.partition(" ")[0]):
        return None if measured and (distance[1] not in measured or distance[3]) else path_of(f"{distance[0]}_0")
    if several := SEVERAL.get(said):
        choices = join(f"{glossary.of(path).label!r} ({path})" for path in several)
        raise UserError(f"{asked!r} is said of several numbers of {whose}: {choices}; say which")
    found = [quantity for quantity in ALONE if asked in (quantity.label, quantity.heading())] or [
        quantity for quantity in ALONE if said in {_folded(word) for word in _labels(quantity)}
    ]
    if said in EVERYDAY and not (len(found) == 1 and asked == found[0].label):
        return EVERYDAY[said]
    if found and all(quantity.derived for quantity in found):
        raise UserError(
            f"{found[0].label!r} is made of several numbers of a record, which can be cited each; the report's tables "
            "hold it as CSV, with what it is made of"
        )
    paths = [quantity.path for quantity in found if not quantity.derived]
    if len(paths) > 1:
        raise UserError(f"{asked!r} is said of several numbers of {whose}: {join(paths)}; say which")
    return paths[0] if paths else None


def _labels(quantity: Quantity) -> tuple[str, ...]:
    return quantity.label, quantity.heading(), quantity.in_raw_units, quantity.column


def _folded(name: str) -> str:
    """A name without what is written in many ways: case, arrows, brackets with what stands in them, signs."""
    return " ".join(re.findall(r"[a-z0-9/%]+", re.sub(r"\([^()]*\)", " ", name).casefold()))


def _common(records: Sequence[Record]) -> list[str]:
    """Names to choose from: those of the report's first table and of the metrics beside it."""
    paths = [quantity.path for quantity in COMPARED] + ["spent.flops", "spent.train_sec"]
    found: dict[str, None] = {}
    for path in paths:
        having = (one for one in records if value_at(one, path.rpartition(".")[0]) is not None)
        if one := next(having, None):
            found[name_of(one, path).rpartition(".")[2]] = None
    return list(found)
