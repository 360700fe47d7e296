"""What needs no test: equal weights on one machine give equal numbers, or the measurement has changed.

A seed proves something where both sides have its weights, bit by bit, on one machine. Then a number that is another one
is none of the model's doing. If arithmetic, libraries and versions are equal too, not a digit may differ beyond the
last ones; else, or on a GPU whose kernels may add in any order, rounding may move it by `OTHER_ARITHMETIC`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from equibench.judge.values import Row
from equibench.quantities.glossary import of
from equibench.quantities.identity import MADE_BY, differs, look_up, name_of
from equibench.quantities.numbers import numbers
from equibench.quantities.text import number
from equibench.record.schema import Record

ROUNDING = 1e-6  # share of a number that its last digits are
OTHER_ARITHMETIC = 1e-3  # of a number: how far other arithmetic may move it
SHARES = ("precision", "recall", "density", "coverage")  # of images: a few near a border may change sides
_MEASURED = ("quality.", "likelihood.", "bounds.", "sampler_points.", "ways.", "out_of_distribution_bits_per_dim.",
             "decoder_likelihood.", "real_data_at.", "distance_parts.")  # fmt: skip
_ABOUT = ("interval.low", "interval.high", "n_samples", "n_reference", "n_images", "n_train", "passes", "p",
          "usual_bits_per_dim", "images_per_sec")  # fmt: skip


class Proof(NamedTuple):
    """What the seeds of a run prove of one number. `moved`: seeds with the baseline's weights and another number."""

    reproduced: tuple[int, ...]
    moved: tuple[int, ...]
    why: str = ""  # of the first that moved: both values, and the first difference of what surrounded them


def proof(path: str, baseline: Row, run: Row) -> Proof:
    """The proof for the number at `path`, over the seeds for which both sides have it."""
    reproduced, moved, why = [], [], ""
    for seed in provable(baseline, run):
        before, after = baseline[seed], run[seed]
        a, b = look_up(before, path), look_up(after, path)
        if a is None or b is None:
            continue
        if apart(path, before, a, b, _allowed(before, after)):
            moved.append(seed)
            why = why or _why(path, before, after, a, b)
        else:
            reproduced.append(seed)
    return Proof(tuple(reproduced), tuple(moved), why)


def provable(baseline: Row, run: Row) -> list[int]:
    """Seeds whose weights are the baseline's, on the baseline's machine."""
    return [
        seed
        for seed in sorted(set(baseline) & set(run))
        if (a := baseline[seed]).machine.key == (b := run[seed]).machine.key
        and a.weights_sha256 is not None
        and a.weights_sha256 == b.weights_sha256
    ]


def moved_besides(baseline: Row, run: Row, but: set[str]) -> Iterator[tuple[str, Proof]]:
    """All other measured numbers than those in `but` that moved though the weights did not, by their paths."""
    seeds = {seed: set(measured_numbers(run[seed])) for seed in provable(baseline, run)}
    paths = dict.fromkeys(path for seed in seeds for path in measured_numbers(baseline[seed]))
    for path in (path for path in paths if path not in but):
        both = [seed for seed, there in seeds.items() if path in there]
        same = [seed for seed in both if differs(baseline[seed], run[seed], path, MADE_BY) is None]
        found = proof(path, {s: baseline[s] for s in same}, {s: run[s] for s in same})
        if found.moved:
            yield path, found


def measured_numbers(one: Record) -> list[str]:
    """Paths of the numbers that weights and measurement decide on. Errors and counts are left out, and so is what the
    code alone decides on, as FLOPs.
    """
    measured = (path for path in numbers(one) if _of_a_point(path).startswith(_MEASURED) and not of(path).timed)
    by_the_clock = one.budget is not None and one.budget.unit == "sec"  # when its points were reached
    return [path for path in measured if not _is_about(path) and not (by_the_clock and path.startswith("along."))]


def _of_a_point(path: str) -> str:
    """For a number along training, its path at its point; any other path as it is."""
    return re.sub(r"^along\..+?\.(?=quality\.|likelihood\.)", "", path)


def _is_about(path: str) -> bool:
    return path.endswith(tuple(f".{name}" for name in _ABOUT)) or path.rpartition(".")[2].startswith("stderr")


def apart(path: str, one: Record, a: float, b: float, share: float) -> bool:
    """Whether two values of a number differ by more than that share of it, or what its error makes of such a share."""
    size = max(abs(a), abs(b))
    what = _of_a_point(path)
    if share >= OTHER_ARITHMETIC:
        if what.startswith(("distance_parts.", *(f"quality.also.{name}" for name in SHARES))):
            size = max(size, 1.0)
        if what.startswith("quality.also."):  # a kernel distance may be near nothing, with an error that is not
            size = max(size, 50 * abs(look_up(one, f"{path}.stderr") or 0.0))
    return abs(a - b) > share * size


def first_difference(one: Record, other: Record) -> str | None:
    """The first field of what surrounded two measurements that both records have and that is not equal, in a clause."""
    for part in ("numerics", "libraries"):
        mine, theirs = getattr(one, part), getattr(other, part)
        if mine is not None and theirs is not None and (found := _field(part, _values(mine), _values(theirs))):
            return found
    return _field("versions", one.versions, other.versions)


def _field(part: str, mine: Mapping[str, object], theirs: Mapping[str, object]) -> str | None:
    for name in {**mine, **theirs}:
        if mine.get(name) != theirs.get(name):
            return f"{part}.{name} is {mine.get(name)} in the baseline and {theirs.get(name)} here"
    return None


def _values(part: BaseModel) -> dict[str, object]:
    """Fields of a part, those of its dictionaries by themselves."""
    found: dict[str, object] = {}
    for name, value in part:
        found |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _allowed(before: Record, after: Record) -> float:
    return ROUNDING if repeats(before) and first_difference(before, after) is None else OTHER_ARITHMETIC


def repeats(one: Record) -> bool:
    """Whether the same work on the same machine gives the same bits: on a GPU if its kernels were told to."""
    return one.machine.device == "cpu" or bool(one.numerics is not None and one.numerics.deterministic)


def _why(path: str, before: Record, after: Record, a: float, b: float) -> str:
    name = name_of(before, path)
    known = before.numerics is not None and after.numerics is not None
    other = first_difference(before, after)
    if other is None:
        other = "nothing that was recorded of arithmetic, libraries and versions differs"
        other += "" if known else " (arithmetic was not recorded on both sides)"
    code = before.code.sources_sha256, after.code.sources_sha256
    if all(code) and code[0] != code[1]:
        other += f"; the code is {code[0]:.8} in the baseline and {code[1]:.8} here"
    return (
        f"seed {before.seed} has the baseline's weights, machine and settings, and its {name} is {number(b, 6)} after "
        f"{number(a, 6)}: the measurement changed, not the model; {other}"
    )
