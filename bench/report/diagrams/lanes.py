"""Where the parts of a structure stand: which lead from the image to the noise, and which back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, pairwise

from equibench.record.anatomy import ModelPart, Structure

IMAGE, NOISE = "image", "noise"  # the two ends, as `ModelPart.follows` names them
MOST_PARTS = 9  # parts of a lane that stand apart


@dataclass(frozen=True)
class Lanes:
    """The parts of a drawing, each lane in the order of `follows`."""

    read: tuple[ModelPart, ...] = ()  # from the image, not needed for a sample
    between: tuple[ModelPart, ...] = ()  # of those, what a part of the lower lane takes in
    make: tuple[ModelPart, ...] = ()  # from the noise
    both: tuple[ModelPart, ...] = ()  # from the image to the noise, run backwards for a sample
    aside: tuple[ModelPart, ...] = ()  # led to by neither end
    loose: tuple[ModelPart, ...] = ()  # of a structure that says nothing of its order


def lanes_of(structure: Structure) -> Lanes:
    """The lanes of a structure, long ones with neighbours put together."""
    parts = structure.parts
    if not any(part.follows for part in parts):
        return Lanes(loose=tuple(grouped(parts)))
    ends = {part.name: _ends(part.name, parts) for part in parts}
    both = [part for part in parts if ends[part.name] == {IMAGE}]
    if any(part.samples for part in both):
        chain = [part for part in parts if part in both]
        return Lanes(both=tuple(grouped(chain)), aside=tuple(part for part in parts if part not in both))
    make = [part for part in parts if NOISE in ends[part.name] and part.samples]
    taken = {name for part in make for name in part.follows}
    read = [part for part in parts if part not in make and IMAGE in ends[part.name]]
    between = [part for part in read if part.name in taken]
    kept = [part for part in parts if part not in make and part not in read]
    read, make = grouped([part for part in read if part not in between]), grouped(make)
    for_one = groupby(between, key=lambda part: next(i for i, one in enumerate(make) if part.name in one.follows))
    between = [reduce(_together, some) for _, some in for_one]  # one above each part of the lower lane
    return Lanes(tuple(read), tuple(between), tuple(make), aside=tuple(kept))


def _ends(name: str, parts: Sequence[ModelPart]) -> set[str]:
    """Which ends lead to a part. The image that a generator makes leads on to what judges it, and is none."""
    by_name = {part.name: part for part in parts}
    found: set[str] = set()
    seen, waiting = {name}, [name]
    while waiting:
        for before in by_name[waiting.pop()].follows:
            if before in (IMAGE, NOISE):
                found.add(before)
            elif before in by_name and before not in seen:
                seen.add(before)
                waiting.append(before)
    return found


def grouped(parts: Sequence[ModelPart]) -> list[ModelPart]:
    """At most `MOST_PARTS` parts, as neighbours are put together: equal ones first, then the two that are smallest."""
    found = list(parts)
    while len(found) > MOST_PARTS:
        pairs = list(enumerate(pairwise(found)))
        alike = [(i, pair) for i, pair in pairs if _alike(*pair)] or pairs
        i, (one, two) = min(alike, key=lambda item: item[1][0].params + item[1][1].params)
        found[i : i + 2] = [_together(one, two)]
    return found


def _alike(one: ModelPart, two: ModelPart) -> bool:
    return (_sort(one), one.output_shapes, one.samples) == (_sort(two), two.output_shapes, two.samples)


def _sort(part: ModelPart) -> str:
    """What a part is, whatever its number."""
    return re.sub(r"\d+( to .*)?$", "", part.kind or part.name)


def _together(one: ModelPart, two: ModelPart) -> ModelPart:
    """Two neighbours as one part, under the name of the last, which others may follow."""
    same = one.kind == two.kind and _alike(one, two)
    return ModelPart(
        name=two.name,
        kind=one.kind if same else f"{_first(one)} to {_last(one, two)}",
        params=one.params + two.params,
        repeats=one.repeats + two.repeats if same else 1,
        input_shapes=(two if NOISE in two.follows else one).input_shapes,
        output_shapes=two.output_shapes,
        follows=_unique(name for name in (*one.follows, *two.follows) if name != one.name),
        trained=one.trained or two.trained,
        samples=one.samples or two.samples,
    )


def _first(part: ModelPart) -> str:
    return (part.kind or part.name).split(" to ")[0]


def _last(before: ModelPart, part: ModelPart) -> str:
    """What names the last of several parts: its number alone where it is like `before` in all else."""
    last = (part.kind or part.name).split(" to ")[-1]
    return last.split(" ")[-1] if _alike(before, part) else last


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
