"""The lines of one number of one row: refused, skipped, proved, counted, or waiting for the test of its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from equibench.judge.comparison import Comparison, Verdict
from equibench.judge.decide import Undecided
from equibench.judge.gates import CATEGORIES, Gates, Limits
from equibench.judge.matching import refuse_other_measurement
from equibench.judge.noisetest import Gated, Setting, tested
from equibench.judge.proof import Proof, proof
from equibench.judge.values import (
    Row,
    as_share,
    is_counted,
    measured,
    on_scale,
    reference_shift,
    references,
    stat_as_compared,
    stat_of_row,
    why_missing,
)
from equibench.quantities.glossary import BITS, COMPARED, Quantity, of
from equibench.quantities.identity import look_up, name_of
from equibench.quantities.text import join, number
from equibench.stats import Stat
from equibench.summary.bounds import tightest_common
from equibench.summary.load import busy
from equibench.summary.sections import failed
from equibench.summary.sort import RowKey

# How many times as slow beside the reference workload a timing has to be to fail on an unsteady machine: no run of
# equal code in docs/gate.md failed by it.
UNSTEADY_TIMES = 3.0


class Compared(NamedTuple):
    """A number that a check has a line for, what is known of it, and whether it gates."""

    path: str
    quantity: Quantity
    gates: bool


def compared(key: RowKey, baseline: Row, run: Row, gates: Gates) -> list[Compared]:
    """The numbers of an entrant. Of a likelihood the tightest bound that all seeds of both sides have gates too, as
    another face of the same: the usual one is of more images, the tightest one nearer to the likelihood itself.
    """
    gated = {path for category in CATEGORIES for path in gates.gated(key.entrant, category)}
    found = [Compared(quantity.path, quantity, quantity.path in gated) for quantity in COMPARED]
    before, after = (list(measured(BITS, side).values()) for side in (baseline, run))
    if not before or not after:
        return found
    tightest, of_baseline = tightest_common(before, after), tightest_common(before, before)
    bounds = {tightest}
    if any(look_up(one, of_baseline) is None for one in after):  # a line of its own says that it is lost
        bounds.add(of_baseline)
    return [*found, *(Compared(path, of(path), BITS in gated) for path in sorted(bounds - {BITS}))]


def number_lines(key: RowKey, compared: Compared, baseline: Row, run: Row, setting: Setting) -> list[Undecided]:
    """What there is to say of a number of an entrant. Raises UserError for what cannot be compared."""
    path, quantity, gates = compared
    had: Row = measured(path, baseline)
    has: Row = measured(path, run)
    if not had:
        return [_new(key, quantity, path, has)] if has else []
    category = quantity.category or "likelihood"
    name, margin = name_of(next(iter(had.values())), path), setting.margins.get(category) if gates else None
    line = Comparison(str(key), name, "passed", "", stat_of_row(path, had), category=category, margin=margin)
    if not has:
        if all(failed(one) for one in run.values()):
            return []  # the row's own line says so
        gone = f"not measured any more: {why_missing(path, run)}"
        return [_said(line, "regression" if gates else "reported", gone)]
    refuse_other_measurement(key, path, line.number, had, has)
    lines = _seeds_without(line, path, baseline, run, has) if gates else []
    line = replace(line, run=stat_of_row(path, has))
    limits = setting.gates.limits(key.entrant, path)
    if quantity.timed:
        timed = _timed(line, path, had, has, limits if gates else None)
        if isinstance(timed, Undecided):
            return [*lines, timed]
        had, has, about = timed
        line = replace(line, baseline=stat_as_compared(quantity, path, had), run=stat_as_compared(quantity, path, has))
    else:
        about = ()
    proved = Proof((), ()) if quantity.timed or quantity.category == "cost" else proof(path, had, has)
    if proved.moved:
        moved = replace(line, worse_by=_worse_by(quantity, path, had, has, limits))
        return [*lines, Undecided(replace(moved, verdict="measurement error", sentence=proved.why), gates)]
    if len(proved.reproduced) == len(has):
        sentence = f"reproduced exactly: seed{'s' * (len(has) > 1)} {join(map(str, proved.reproduced))}"
        return [*lines, Undecided(replace(line, verdict="reproduced", sentence=sentence, worse_by=0.0), gates)]
    if proved.reproduced:
        about += (f"seed{'s' * (len(proved.reproduced) > 1)} {join(map(str, proved.reproduced))} reproduced exactly",)
    if is_counted(quantity, {**had, **has}):
        return [*lines, Undecided(_counted(line, quantity, path, had, has, limits, gates, about))]
    if not gates:
        change = _worse_by(quantity, path, had, has, limits)
        return [*lines, _said(replace(line, worse_by=change), "reported", _unasked(quantity, path, about))]
    return [*lines, tested(Gated(key, line, quantity, path, had, has, about), setting)]


def _timed(
    line: Comparison, path: str, had: Row, has: Row, limits: Limits | None
) -> Undecided | tuple[Row, Row, tuple[str, ...]]:
    """Records of one machine whose timing is to be trusted; or a line that says why there are none. `limits` are those
    of a number that gates.
    """
    theirs, ours = ({one.machine.key for one in side.values()} for side in (had, has))
    if not theirs & ours:
        sentence = f"measured on other machines: {join(sorted(theirs))} in the baseline, {join(sorted(ours))} here"
        return _said(line, "skipped", sentence)
    if len(theirs & ours) > 1:
        both = join(sorted(theirs & ours))
        return _said(line, "skipped", f"measured on several machines on both sides ({both}); give the records of one")
    about = []
    there: list[Row] = []
    for side, whose in ((had, "baseline"), (has, "run")):
        kept = {seed: one for seed, one in side.items() if one.machine.key in theirs & ours}
        about += _left_out(whose, [seed for seed in side if seed not in kept], "of another machine")
        there.append(kept)
    had, has = there
    block = of(path).block
    if not block:
        return had, has, tuple(about)
    quiet: list[Row] = []
    for side, whose in ((had, "baseline"), (has, "run")):
        reasons = {seed: why for seed, one in side.items() if (why := busy(one, block))}
        kept = {seed: one for seed, one in side.items() if seed not in reasons}
        if not kept:
            why = f"no timing of the {whose} is to be trusted: {next(iter(reasons.values()))}"
            return _of_unsteady(line, path, had, has, limits, why) if limits else _said(line, "skipped", why)
        about += _left_out(whose, list(reasons), "when the machine was not steady")
        quiet.append(kept)
    return quiet[0], quiet[1], tuple(about)


def _of_unsteady(line: Comparison, path: str, had: Row, has: Row, limits: Limits, why: str) -> Undecided:
    """A timing that is not to be trusted fails where it is so much worse that no unsteady machine explains it."""
    if not references(path, (had, has)):
        return _said(line, "skipped", why)
    times = (1 + _worse_by(of(path), path, had, has, limits)) * math.exp(-reference_shift(path, had, has))
    if times <= UNSTEADY_TIMES:
        return _said(line, "skipped", why)
    far = f"{number(times)} times as slow over the reference workload, more than an unsteady machine explains; {why}"
    return _said(replace(line, worse_by=times - 1), "regression", far)


def _left_out(whose: str, seeds: Sequence[int], why: str) -> list[str]:
    return [f"without seed{'s' * (len(seeds) > 1)} {join(map(str, seeds))} of the {whose}, {why}"] if seeds else []


def _seeds_without(line: Comparison, path: str, baseline: Row, run: Row, has: Row) -> list[Undecided]:
    """Seeds of the run that ended well and lack a number that gates, unless the baseline's lack it too."""
    without = [
        seed
        for seed, one in run.items()
        if seed not in has and not failed(one) and not (seed in baseline and seed not in measured(path, baseline))
    ]
    return [
        _said(
            replace(line, baseline=None), "regression", f"seed {seed} has none: {why_missing(path, {seed: run[seed]})}"
        )
        for seed in without
    ]


def _counted(
    line: Comparison, quantity: Quantity, path: str, had: Row, has: Row, limits: Limits, gates: bool,
    about: tuple[str, ...],
) -> Comparison:  # fmt: skip
    tolerance = max(limits.tolerance if quantity.category == "cost" else limits.counted_tolerance, line.margin or 0.0)
    change = _worse_by(quantity, path, had, has, limits)
    kept: Verdict = "passed" if line.margin is None else "within"
    verdict: Verdict = ("regression" if change > tolerance else kept) if gates else "reported"
    sentence = "; ".join(["counted, without noise" if gates else "counted, and not gated", *about])
    return replace(line, verdict=verdict, sentence=sentence, worse_by=change, tolerance=tolerance if gates else None)


def _worse_by(quantity: Quantity, path: str, had: Row, has: Row, limits: Limits) -> float:
    """The change of the mean, as a share."""
    mean, lower = stat_of_row(path, had).mean, quantity.better != "higher"
    before, after = (
        Stat(tuple(on_scale(v, limits.scale, mean, lower=lower) for v in stat_as_compared(quantity, path, side).values))
        for side in (had, has)
    )
    return as_share(after.mean - before.mean, limits.scale, mean)


def _unasked(quantity: Quantity, path: str, about: tuple[str, ...]) -> str:
    name = path.rpartition(".")[2]
    return "; ".join([f"reported, not gated (--gate {name!r} gates it)" if quantity.category else "reported", *about])


def _said(line: Comparison, verdict: Verdict, sentence: str) -> Undecided:
    return Undecided(replace(line, verdict=verdict, sentence=sentence))


def _new(key: RowKey, quantity: Quantity, path: str, has: Row) -> Undecided:
    name = name_of(next(iter(has.values())), path)
    return Undecided(Comparison(str(key), name, "new", "not in the baseline", category=quantity.category))
