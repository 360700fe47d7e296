"""Two versions by turns on one machine: old, new, new, old, each in a process of its own, on the same weights.

What is measured of two versions at different hours differs by what the machine does meanwhile. Neighbours in time
share that: their differences, in logarithms, are what is tested, by Student's t with a prior for their noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy.special import stdtr, stdtrit

from equibench.errors import UserError, nearest
from equibench.judge.check import Check, Comparison
from equibench.judge.output import percent
from equibench.judge.power import detectable
from equibench.judge.rule import Spread
from equibench.judge.sides import Side
from equibench.quantities.text import budget_words
from equibench.record import find
from equibench.record.schema import Record
from equibench.stats import Stat, holm
from equibench.usercode import require_consent
from equibench_models import FAMILIES

ALPHA = 0.01  # of each number, over all entrants
TOLERANCE = 0.05
COUNTED_TOLERANCE = 0.01
# of a difference of two measurements of 3 % each, in logarithms: what a quiet machine gave
PRIOR = Spread(0.03 * math.sqrt(2), 4, "assumed")
BUSY = 0.25  # of all cores' time, by other processes: a note says so
TIMED = {"speed.images_per_sec": "sec_per_image", "speed.latency_p50_sec": "latency_sec"}
COUNTED = {"memory.sample_peak_bytes": "sample", "memory.train_peak_bytes": "train"}


class Weights(NamedTuple):
    """What both versions load: a checkpoint, its entrant's name and family, and the options of its sampler."""

    name: str
    family: str
    checkpoint: Path
    options: Mapping[str, Any] = {}


class Neighbours(NamedTuple):
    """What the two versions answered as neighbours (one_turn.py says what)."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]


class Paired(NamedTuple):
    """The mean difference of neighbours, in logarithms, and its test; positive where the new version is slower."""

    change: float
    noise: float  # standard deviation of one difference, estimated with the prior
    df: int
    p: float  # one-sided
    error: float  # standard error of the change
    own: float  # standard deviation of the differences themselves


def weights_at(
    results: Sequence[Path], checkpoints: Sequence[Path], only: Sequence[str] = (), allow_code: bool = False
) -> list[Weights]:
    """The checkpoints that are named, and those beside the records of `results`: of each entrant that of its first
    seed. Raises UserError where there is none, or its family is code that may not run.
    """
    from equibench import suite
    from equibench.run import checkpoint

    found = _recorded(results) if results else []
    found += [Weights(suite.name_from(path), checkpoint.provenance_of(path).family, path) for path in checkpoints]
    if not found:
        raise UserError("give weights that both versions can load: --results with what `run` wrote, or --checkpoint")
    for name in only:
        if name not in (names := [one.name for one in found]):
            raise UserError(f"unknown entrant {name!r}{nearest(name, names)}")
    found = [one for one in found if not only or one.name in only]
    if twice := next((name for name, many in Counter(one.name for one in found).items() if many > 1), None):
        raise UserError(f"there are two checkpoints of {twice}; give one of them, or --only another entrant")
    for one in found:
        checkpoint.provenance_of(one.checkpoint)  # raises for a file that cannot be read
        if one.family not in FAMILIES:
            require_consent(f"the family {one.family}, which {one.checkpoint} names,", allow_code)
    return found


def _recorded(results: Sequence[Path]) -> list[Weights]:
    first: dict[tuple[Any, ...], tuple[Path, Record]] = {}
    for file, one in find.read_all(list(results)):
        key = one.entrant, one.data.name, one.budget
        if (
            one.checkpoint
            and (file.parent / one.checkpoint).is_file()
            and (key not in first or one.seed < first[key][1].seed)
        ):
            first[key] = file, one
    if not first:
        raise UserError(
            f"no checkpoint lies beside the records in {results[0]}; give the folder that `run` wrote to, no baseline"
        )
    several = Counter(name for name, *_ in first)
    return [
        Weights(
            name if several[name] == 1 else f"{name} ({one.data.name}, {budget_words(budget)})",
            one.family or name,
            file.parent / (one.checkpoint or ""),
            one.quality.options if one.quality else {},
        )
        for (name, _, budget), (file, one) in sorted(first.items(), key=lambda item: str(item[1][0]))
    ]


def order(pairs: int) -> list[tuple[int, int]]:
    """Which side goes first in each pair: 0 is the old one. Turned round each time, so that no drift favours one."""
    return [(0, 1) if index % 2 == 0 else (1, 0) for index in range(pairs)]


def measure(
    sides: tuple[Side, Side],
    weights: Sequence[Weights],
    task: Mapping[str, Any],
    pairs: int,
    tell: Callable[[str], None] = lambda what: None,
) -> dict[str, list[Neighbours]]:
    """The pairs of each entrant. `task`: device, batch size and seconds of a turn. Raises UserError where a version
    cannot be timed.
    """
    found: dict[str, list[Neighbours]] = {}
    for index, turn in enumerate(order(pairs)):
        for one in weights:
            tell(f"pair {index + 1} of {pairs}: {one.name}")
            asked = {
                **task,
                "checkpoint": str(one.checkpoint.absolute()),
                "options": dict(one.options),
                "memory": index == 0,
            }
            answers: dict[int, Mapping[str, Any]] = {side: sides[side].turn(asked, one.name) for side in turn}
            found.setdefault(one.name, []).append(Neighbours(answers[0], answers[1]))
    return found


def judged(found: Mapping[str, Sequence[Neighbours]]) -> Check:
    """What the pairs of each entrant say: a line a number. Raises UserError where nothing was measured."""
    if not found or not all(found.values()):
        raise UserError("no turn was taken; give weights that both versions can load")
    lines = [*_timed(found), *_counted(found)]
    at = {name: place for place, name in enumerate(found)}
    return Check(tuple(sorted(lines, key=lambda line: at[line.row])), tuple(_notes(found)))


def tested(differences: Sequence[float]) -> Paired:
    """One-sided t of the mean of `differences`, whose variance is estimated together with the prior's."""
    n = len(differences)
    own = Stat(tuple(differences))
    df = int(PRIOR.df) + n - 1
    variance = (PRIOR.df * PRIOR.sd**2 + (n - 1) * (own.sd or 0.0) ** 2) / df
    se = math.sqrt(variance / n)
    return Paired(own.mean, math.sqrt(variance), df, float(stdtr(df, -own.mean / se)), se, own.sd or 0.0)


def _timed(found: Mapping[str, Sequence[Neighbours]]) -> Iterator[Comparison]:
    for path, key in TIMED.items():
        tests = {
            name: tested([math.log(pair.new[key]) - math.log(pair.old[key]) for pair in pairs])
            for name, pairs in found.items()
        }
        corrected = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
        for name, test in tests.items():
            pairs, worse_by = found[name], math.expm1(test.change)
            limit = float(stdtrit(test.df, 1 - ALPHA / len(tests)))  # at the strictest step of the correction
            could = math.expm1(detectable(test.error, test.df, limit, math.log1p(TOLERANCE)))
            why = f"{len(pairs)} pairs by turns, noise {100 * test.noise:.2g} % a pair, {test.df} d.f."
            worse = corrected[name] <= ALPHA and worse_by > TOLERANCE
            seen = f"a change of {percent(could)} would be seen in 8 of 10 cases"
            yield Comparison(
                row=name,
                number=path,
                verdict="regression" if worse else "passed",
                sentence=f"{'slower by more than noise explains' if worse else seen}: {why}",
                baseline=Stat(tuple(_shown(path, pair.old[key]) for pair in pairs)),
                run=Stat(tuple(_shown(path, pair.new[key]) for pair in pairs)),
                category="speed",
                worse_by=worse_by,
                tolerance=TOLERANCE,
                p=corrected[name],
                alpha=ALPHA,
                fails_from=max(TOLERANCE, math.expm1(limit * test.error)),
                detectable=could,
                df=test.df,
                sources=(PRIOR, Spread(test.own, len(pairs) - 1, "pairs")),
            )


def _shown(path: str, sec: float) -> float:
    return 1 / sec if path == "speed.images_per_sec" else sec


def _counted(found: Mapping[str, Sequence[Neighbours]]) -> Iterator[Comparison]:
    """Peak bytes, which are counted once a side and have no noise."""
    for path, key in COUNTED.items():
        for name, pairs in found.items():
            old, new = pairs[0].old["memory"], pairs[0].new["memory"]
            if reason := old.get("reason") or new.get("reason"):
                yield Comparison(name, path, "skipped", f"its tensors could not be counted ({reason})")
                continue
            before, after = float(old[key]), float(new[key])
            worse_by = after / before - 1 if before else math.inf if after else 0.0
            yield Comparison(
                row=name,
                number=path,
                verdict="regression" if worse_by > COUNTED_TOLERANCE else "passed",
                sentence="peak of live tensors, counted, without noise",
                baseline=Stat((before,)),
                run=Stat((after,)),
                category="memory",
                worse_by=worse_by,
                tolerance=COUNTED_TOLERANCE,
                fails_from=COUNTED_TOLERANCE,
            )


def _notes(found: Mapping[str, Sequence[Neighbours]]) -> Iterator[str]:
    answers = [[pair[side] for pairs in found.values() for pair in pairs] for side in (0, 1)]
    old, new = answers[0][0], answers[1][0]
    for which, one in (("old", old), ("new", new)):
        yield f"{which}: version {one['version']} at {one['sources']}, PyTorch {one['torch']}, {one['threads']} threads"
    if old["sources_sha256"] == new["sources_sha256"]:
        yield "both versions have the same sources, so that nothing but noise was measured"
    if old["torch"] != new["torch"]:
        yield "the versions of PyTorch differ, which may be what a difference shows"
    for which, side in zip(("old", "new"), answers, strict=True):
        for said in dict.fromkeys(note for one in side for note in one["notes"]):
            yield f"the {which} version: {said}; it was left out"
    shares = [one["others_cpu_share"] for side in answers for one in side]
    mean, most = sum(shares) / len(shares), max(shares)
    busy = "; on a quiet machine smaller changes would show" if mean > BUSY else ""
    yield f"other work took {100 * mean:.0f} % of the processor's time, at most {100 * most:.0f} % in one turn{busy}"


def raw(found: Mapping[str, Sequence[Neighbours]]) -> list[dict[str, Any]]:
    """All that was measured, for JSON: seconds, bytes and load of each turn."""
    left_out = ("notes",)
    return [
        {"entrant": name, "pair": index + 1, "side": side, **{k: v for k, v in answer.items() if k not in left_out}}
        for name, pairs in found.items()
        for index, pair in enumerate(pairs)
        for side, answer in zip(("old", "new"), pair, strict=True)
    ]
