"""What makes the distance of an entrant, by class of the test images: shares over seeds, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equibench.quantities.text import join
from equibench.record.anatomy import DistanceParts
from equibench.stats import Stat, stat_of
from equibench.summary.sections import Row, Section

SHARES = ("class_shares", "real_shares", "sample_shares", "reached_shares")  # of record.anatomy.DistanceParts
CLEARLY = 1.5  # times a class's share of the test images that sentences call much, or 1 over that few
NAMED = 3  # classes that a sentence names at most
REACHED = 0.9  # of a class's images: where no class has less, none is called the worst


@dataclass(frozen=True)
class ClassParts:
    """One class of the test images; shares over the seeds of a row, None where they were not measured."""

    name: str
    of_distance: Stat | None
    of_images: Stat | None
    of_samples: Stat | None
    reached: Stat | None  # of its images, those that a sample comes near


def path_of(share: str, name: str) -> str:
    """Where a share of a class lies in the records."""
    return f"distance_parts.{share}.{name}"


def classes(row: Row) -> list[ClassParts]:
    """The classes that the row's records know, in their order; empty where labels are not known."""
    found = [cell.record.distance_parts for cell in row.cells]
    names = dict.fromkeys(name for parts in found if parts for name in (*parts.real_shares, *parts.class_shares))
    return [ClassParts(name, *(row.stat(path_of(share, name)) for share in SHARES)) for name in names]


def classes_in(parts: DistanceParts) -> list[ClassParts]:
    """The same of one set of samples."""

    def share(field: str, name: str) -> Stat | None:
        return stat_of([getattr(parts, field).get(name)])

    return [ClassParts(name, *(share(field, name) for field in SHARES)) for name in parts.real_shares]


def class_sentences(
    found: Sequence[ClassParts], who: str, real: str = "test images", usual: Mapping[str, float] | None = None
) -> list[str]:
    """What the shares by class say of the entrant `who`: which classes make the distance, which ones it makes too
    seldom or too often, and which ones its samples come near least; `real` is what it is compared with. `usual` are the
    shares that classes have in the distance of real training images: no more than those is a weakness of no entrant.
    """
    return [*_of_distance(found, real, usual or {}), *_of_samples(found, who, real), *_of_reached(found, real)]


def usual_shares(section: Section) -> dict[str, float]:
    """The share of each class in the distance of real training images; empty where that was not measured."""
    row = real_row(section)
    return {one.name: one.of_distance.mean for one in classes(row) if one.of_distance} if row else {}


def real_row(section: Section) -> Row | None:
    """The row of real training images whose distance was told apart by class; None where there is none."""
    return next((row for row in section.references if any(one.of_distance for one in classes(row))), None)


def real_sentence(section: Section) -> str | None:
    """How much of the classes real training images reach, which is what to hold samples against; None where it was not
    measured.
    """
    for row in section.references:
        shares = [one.reached.mean for one in classes(row) if one.reached]
        if shares and row.first.quality:
            least, most = _percent(min(shares)), _percent(max(shares))
            many = f"{row.first.quality.n_samples:,} real training images come near"
            part = least if least == most else f"{least} to {most}"
            return f"For comparison: {many} {part} of the test images of each class."
    return None


def _of_distance(found: Sequence[ClassParts], real: str, usual: Mapping[str, float]) -> list[str]:
    known = [(one.name, one.of_distance.mean, one.of_images.mean) for one in found if one.of_distance and one.of_images]
    if len(known) < 2:
        return []
    clearly = (x for x in known if x[1] >= CLEARLY * max(x[2], usual.get(x[0], 0.0)))
    much = sorted(clearly, key=lambda x: x[2] - x[1])[:NAMED]
    if not much:
        of = f"both of the {real} and of the distance of real images" if usual else f"of the {real}"
        return [f"No class stands out: none makes {CLEARLY:g} times its share {of}."]
    (name, part, images), *others = much
    first = f"Class {name} makes {_percent(part)} of the distance and has {_percent(images)} of the {real}"
    rest = [f"{_class(name)} makes {_percent(part)} and has {_percent(images)}" for name, part, images in others]
    return [f"{'; '.join([first, *rest])}."]


def _of_samples(found: Sequence[ClassParts], who: str, real: str) -> list[str]:
    known = [(one.name, one.of_samples.mean, one.of_images.mean) for one in found if one.of_samples and one.of_images]
    if len(known) < 2:
        return []
    few = sorted((x for x in known if x[1] * CLEARLY <= x[2]), key=lambda x: x[1] - x[2])[:NAMED]
    many = sorted((x for x in known if x[1] >= CLEARLY * x[2]), key=lambda x: x[2] - x[1])[:NAMED]
    if not few and not many:
        return [f"The samples of {who} lie among the classes in about the shares that the {real} have."]

    clauses = [
        f"too {how} lie nearest to {_against(some, real)}" for how, some in (("few", few), ("many", many)) if some
    ]
    return [f"Of the samples of {who}, {', and '.join(clauses)}."]


def _against(some: Sequence[tuple[str, float, float]], real: str) -> str:
    """Classes with a share each and what it stands against; of what that one is, the first says."""
    of = (f" of the {real}", *("" for _ in some[1:]))
    return join(
        f"{_class(name)} ({_percent(part)}, against {_percent(images)}{what})"
        for (name, part, images), what in zip(some, of, strict=True)
    )


def _of_reached(found: Sequence[ClassParts], real: str) -> list[str]:
    known = [(one.name, one.reached.mean) for one in found if one.reached]
    if len(known) < 2:
        return []
    least, most = (pick(share for _, share in known) for pick in (min, max))
    if least >= REACHED:
        return [f"Samples come near {_percent(least)} or more of the {real} of every class."]
    if _percent(least) == _percent(most):
        return [f"Samples come near {_percent(least)} of the {real} of {'every' if least else 'any'} class."]
    worst = [name for name, share in known if _percent(share) == _percent(least)]
    named = join(_class(name) for name in worst[:NAMED]) if len(worst) <= NAMED else f"{len(worst)} classes"
    best = f"of the class that they come near most, {_percent(most)}"
    return [f"Samples come near {_percent(least)} of the {real} of {named}, the fewest; {best}."]


def _class(name: str) -> str:
    return f"class {name}"


def _percent(share: float) -> str:
    """A share in words: none of them is called 0 % but what is none."""
    if share == 0:
        return "none"
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"
