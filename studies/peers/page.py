"""The page: each side's distances, bits and speeds, and which of the marks were reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from equibench.errors import UserError
from equibench.quantities.metric import metric_names, metric_of
from equibench.quantities.text import MISSING, commit, join, number, over_seeds
from equibench.record.schema import USUAL, Quality, Record, Spent
from equibench.record.surroundings import Load
from studies.peers.results import PEERS, Settings, Side, Timed, Trained

T = TypeVar("T")
# what issue 18 asks for
MOST_OF_THEIR_DISTANCE = 1 / 3
LEAST_BITS_BELOW = 0.9
LEAST_OF_THEIR_SPEED = 0.5


@dataclass(frozen=True)
class Family:
    """Results of one family, all lists by seed; distances by side and way of sampling."""

    name: str
    ours: Sequence[Record]
    theirs: Sequence[Trained]
    timed: Sequence[Timed]
    distances: Mapping[tuple[Side, str], Sequence[Quality]]

    def mean(self, side: Side, way: str) -> float:
        return statistics.fmean(needed(one.value) for one in self.distances[side, way])

    def best(self, side: Side) -> str:
        """The way of one side that has the least mean distance."""
        return min((way for whose, way in self.distances if whose == side), key=lambda way: self.mean(side, way))

    def speed(self, side: Side, way: str) -> float:
        """Images a second: the median batch of each seed, and their mean."""
        return statistics.fmean(
            one.batch_size / statistics.median((one.ours_sec if side == "ours" else one.theirs_sec)[way])
            for one in self.timed
        )

    def bits(self, side: Side) -> list[float | None]:
        if side == "theirs":
            return [one.bits_per_dim for one in self.theirs]
        return [one.likelihood.bits_per_dim if one.likelihood else None for one in self.ours]


def needed(value: T | None) -> T:
    """A value that every finished step has."""
    if value is None:
        raise UserError("a result lacks a number that the page needs; see the files of the study's folder")
    return value


class Mark(NamedTuple):
    """What is wanted, what came out, and whether it was reached."""

    what: str
    wanted: str
    found: str
    reached: bool

    def __str__(self) -> str:
        return f"| {self.what} | {self.wanted} | {self.found} | {'reached' if self.reached else '**missed**'} |"


def marks(families: Sequence[Family]) -> list[Mark]:
    """Each side by the way of sampling, of those in the table, that has the least distance."""
    lines = []
    for one in families:
        ours, theirs = one.best("ours"), one.best("theirs")
        ratio = one.mean("ours", ours) / one.mean("theirs", theirs)
        what = f"{one.name}: distance ({way_name(ours)}) over that of {one.theirs[0].title} ({theirs})"
        by_seed = [
            needed(a.value) / needed(b.value)
            for a, b in zip(one.distances["ours", ours], one.distances["theirs", theirs], strict=True)
        ]
        lines.append(Mark(what, "at most 1/3", f"{ratio:.3f}{between(by_seed)}", ratio <= MOST_OF_THEIR_DISTANCE))
    for one in families:
        pairs = list(zip(one.bits("ours"), one.bits("theirs"), strict=True))
        below = [theirs - ours for ours, theirs in pairs if ours is not None and theirs is not None]
        if below:
            gap = statistics.fmean(below)
            what = f"{one.name}: bits/dim below {one.theirs[0].title}"
            lines.append(Mark(what, "at least 0.9", f"{gap:.3f}{between(below)}", gap >= LEAST_BITS_BELOW))
    for one in families:
        if one.name == "flow":
            way = one.theirs[0].ways[0]
            by_seed = [in_turns(timed, USUAL, way) for timed in one.timed]
            ratio = statistics.fmean(by_seed)
            what = f"flow: images/s ({way_name(USUAL)}) over those of {one.theirs[0].title}, in turns"
            lines.append(Mark(what, "at least 0.5", f"{ratio:.2f}{between(by_seed, 2)}", ratio >= LEAST_OF_THEIR_SPEED))
    return lines


def in_turns(timed: Timed, ours: str, theirs: str) -> float:
    """Our images a second over theirs: the median over rounds, in which both have the same load beside them."""
    rounds = zip(timed.theirs_sec[theirs], timed.ours_sec[ours], strict=True)
    return statistics.median(their_sec / our_sec for their_sec, our_sec in rounds)


def page(settings: Settings, seeds: Sequence[int], families: Sequence[Family]) -> str:
    """docs/peers.md."""
    first, compared = families[0].ours[0], {one.name for one in families}
    left_out = [name for name in PEERS if name not in compared]
    quality = families[0].distances["ours", USUAL][0]
    metric = needed(metric_of(quality))
    versions = {name: version for one in families for name, version in one.theirs[0].versions.items()}
    threads = sorted({one.threads for family in families for one in family.theirs} | {first.machine.threads})
    return TEXT.format(
        seconds=f"{settings.seconds:g}",
        left_out=f" Not compared here: {join(left_out)}." if left_out else "",
        dataset=first.data.name,
        n_train=f"{first.data.n_train:,}",
        cap=f"{settings.params:,}",
        samples=f"{settings.samples:,}",
        reference=f"{quality.n_reference:,}",
        likelihood_images=f"{settings.likelihood_images:,}",
        seeds="seed " + str(seeds[0]) if len(seeds) == 1 else f"seeds {join(map(str, seeds))}, mean ± deviation",
        metric=metric_names([metric])[metric],
        extractor=needed(quality.features).name,
        marks="\n".join(map(str, marks(families))),
        rows="\n".join(line for one in families for line in rows(one)),
        trainings="\n".join(line for one in families for line in trainings(one)),
        peers="\n".join(f"- **{one.theirs[0].title}** ({one.name}): {one.theirs[0].settings}." for one in families),
        versions=join(f"{name} {version}" for name, version in sorted(versions.items())),
        machine=f"{first.machine.processor}, {first.machine.cores} cores, {first.machine.system}",
        threads=join(map(str, threads)),
        precision=first.machine.precision,
        commits=join(sorted({commit(record) for one in families for record in one.ours})),
    )


def rows(one: Family) -> list[str]:
    """A line for each way of sampling, theirs first."""
    least = one.mean("theirs", one.best("theirs"))
    lines = []
    for (side, way), qualities in sorted(one.distances.items(), key=lambda item: item[0][0], reverse=True):
        who = one.theirs[0].title if side == "theirs" else "ours"
        values = [needed(quality.value) for quality in qualities]
        shown = [
            one.name, who, way if side == "theirs" else way_name(way), over_seeds(values),
            over_seeds((quality.corrected for quality in qualities), missing=MISSING),
            f"{one.mean(side, way) / least:.3f}", over_seeds(one.bits(side), 4, MISSING), number(one.speed(side, way)),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def trainings(one: Family) -> list[str]:
    """A line for each side: what was trained, and what the machine did beside it."""
    spent = [needed(record.spent) for record in one.ours]
    loads = [needed(block.load) for record in one.ours for block in record.timed if block.name == "train"]
    theirs, ours = one.theirs[0], one.ours[0]
    return [
        _training(one.name, theirs.title, theirs.params, theirs.width, one.theirs, [each.load for each in one.theirs]),
        _training(one.name, "ours", spent[0].params, ours.config["width"], spent, loads),
    ]


def _training(
    family: str, who: str, params: int, width: object, spent: Sequence[Trained | Spent], loads: Sequence[Load]
) -> str:
    shown = [
        family, who, f"{params:,}", str(width), over_seeds(each.updates for each in spent),
        over_seeds(each.images for each in spent), over_seeds((each.train_sec for each in spent), 4), beside(loads),
    ]  # fmt: skip
    return f"| {' | '.join(shown)} |"


def way_name(way: str) -> str:
    return "the suite's usual way" if way == USUAL else way


def between(values: Sequence[float], digits: int = 3) -> str:
    return f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""


def beside(loads: Sequence[Load]) -> str:
    shares = [load.others_cpu_share for load in loads if load.others_cpu_share is not None]
    if not shares:
        return MISSING
    low, high = min(shares), max(shares)
    return f"{high:.0%}" if low == high else f"{low:.0%} to {high:.0%}"


TEXT = """# Against what people use, in equal seconds of training

Written by `python -m studies.peers`; the package says how. Each of our families and a model of another library trained
for {seconds} s on the same machine, on the {n_train} training images of {dataset}, with at most {cap} parameters
each ({seeds}). Ours are the entrants of the suite `quick`, trained by `equibench run`
with the budget in seconds.{left_out}

| mark | wanted | found | |
| :--- | :--- | :--- | :--- |
{marks}

For these, each side is taken by the way of sampling, of those in the next table, that has the least distance.

## Distances, bits, speed

{metric} of {samples} samples of each way against {reference} test images, by `equibench measure` for
both sides; the next column is the same without the bias of the samples' number. Bits/dim are of {likelihood_images}
test images, and upper bounds on both sides: Glow's by uniform dequantization, ours by the family's usual way. Images/s
are of batches of 64 that both sides drew in turns.

| family | whose | sampled | distance | without bias | over their least | bits/dim | images/s |
| :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: |
{rows}

## Trainings

Seconds hold the drawing of batches, not installing, importing and building. What other work took of the processor
meanwhile is in the last column.

| family | whose | parameters | width | updates | images | seconds | other work |
| :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |
{trainings}

## Settings

Peers have the settings that their libraries give, not tuned to {seconds} s, which are few for some of them; their width
alone was chosen, the largest within the cap. They train and sample in float32, as they do by default, by one loop on
images in memory; ours in {precision}, as they do by default. Distances are of the feature network {extractor}.

{peers}

Versions: {versions}. Our code: {commits}. Machine: {machine}; threads of both sides: {threads}.
"""
