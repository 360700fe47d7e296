"""The check for CI: is a run worse than its baseline? Records of both in, one line a number out. No torch.

What cannot be compared is refused in one sentence (another protocol, data, feature network, number of samples, sampler)
or skipped with one (speed and memory of another machine); nothing is compared in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from equibench.errors import UserError
from equibench.judge.gates import (
    KNOWN_FROM,
    TOLERANCES,
    Outcome,
    Spread,
    Tolerance,
    between_processes,
    between_trainings,
    counted,
    pooled,
)
from equibench.judge.matching import exactly_equal, matched, refuse_other_data, refuse_other_measurement
from equibench.judge.values import measured, sample_of, stat_of_row, why_missing
from equibench.protocol import SIGNIFICANCE
from equibench.quantities.glossary import GATED, Category, Quantity
from equibench.quantities.identity import name_of
from equibench.quantities.text import budget_words, join
from equibench.record import find
from equibench.record.schema import Record
from equibench.stats import Stat, holm
from equibench.summary.sections import failed
from equibench.summary.sort import RowKey, Rows

Verdict = Literal["reproduced", "passed", "regression", "skipped", "new"]
FLOOR_TOLERANCE = 1e-3  # floors have no training: they move with the measurement alone, in either direction


@dataclass(frozen=True)
class Comparison:
    """The comparison of one number of one row; of the row itself where `number` is "row"."""

    row: str
    number: str
    verdict: Verdict
    sentence: str
    baseline: Stat | None = None
    run: Stat | None = None
    worse_by: float | None = None  # share of the baseline's mean
    tolerance: float | None = None
    p: float | None = None  # one-sided, after Holm's correction over the whole check


@dataclass(frozen=True)
class Check:
    lines: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> list[Comparison]:
        return [line for line in self.lines if line.verdict == "regression"]


class _Pending(NamedTuple):
    """A line that still waits for Holm's correction."""

    line: Comparison
    outcome: Outcome


def check(
    results: Sequence[Path],
    baseline: Sequence[Path],
    *,
    allow_vanished: bool = False,
    tolerances: Mapping[Category, Tolerance] = TOLERANCES,
) -> Check:
    """Compare the records at `results` with those at `baseline`. Raises UserError for what cannot be compared."""
    run, base = ([found for _, found in find.read_all(list(paths))] for paths in (results, baseline))
    return compare(base, run, allow_vanished=allow_vanished, tolerances=tolerances)


def compare(
    baseline: Sequence[Record],
    run: Sequence[Record],
    *,
    allow_vanished: bool = False,
    tolerances: Mapping[Category, Tolerance] = TOLERANCES,
) -> Check:
    """The same on records. Raises UserError for what cannot be compared."""
    before, after = matched(baseline, run)
    both = [key for key in before if key in after]
    lines: list[Comparison | _Pending] = []
    notes: list[str] = []
    spreads = _spreads(before, after, both)
    for key in both:
        refuse_other_data(key, before[key], after[key])
        status = _status(key, before[key], after[key])
        lines += status
        if key.role == "floor":
            lines += _floor(key, before[key], after[key])
            continue
        notes += _notes(key, before[key], after[key])
        for gate in GATED:
            assert gate.category
            lines += _gate(key, gate, before[key], after[key], tolerances[gate.category], spreads[gate.path])
    for key in before:
        if key not in after:
            sentence = f"it vanished: the baseline has it with {budget_words(key.budget)}, the run does not"
            lines.append(Comparison(str(key), "row", "skipped" if allow_vanished else "regression", sentence))
    lines += [
        Comparison(str(key), "row", "new", f"it is new: the baseline has none with {budget_words(key.budget)}")
        for key in after
        if key not in before
    ]
    decided = _decide(lines)
    if not any(line.verdict in ("reproduced", "passed", "regression") for line in decided):
        raise UserError("no number could be compared: " + "; ".join(dict.fromkeys(line.sentence for line in decided)))
    return Check(decided, tuple(notes))


def _gate(
    key: RowKey,
    gate: Quantity,
    baseline: Mapping[int, Record],
    run: Mapping[int, Record],
    tolerance: Tolerance,
    spread: Spread,
) -> list[Comparison | _Pending]:
    had, has = measured(gate.path, baseline), measured(gate.path, run)
    if not had:
        return (
            [Comparison(str(key), name_of(next(iter(has.values())), gate.path), "new", "not in the baseline")]
            if has
            else []
        )
    name = name_of(next(iter(had.values())), gate.path)
    line = Comparison(str(key), name, "passed", "", stat_of_row(gate.path, had))
    if not has:
        if all(failed(one) for one in run.values()):
            return []  # the row's own line says so
        return [replace(line, verdict="regression", sentence=f"not measured any more: {why_missing(gate.path, run)}")]
    refuse_other_measurement(key, gate.path, name, [*had.values(), *has.values()])
    line = replace(line, run=stat_of_row(gate.path, has))
    if gate.category in ("speed", "memory"):
        machines = {one.machine.key for one in had.values()} & {one.machine.key for one in has.values()}
        if len(machines) != 1:
            theirs, ours = ({one.machine.key for one in side.values()} for side in (had, has))
            sentence = f"measured on other machines: {join(sorted(theirs))} in the baseline, {join(sorted(ours))} here"
            return [replace(line, verdict="skipped", sentence=sentence)]
        had, has = ({s: r for s, r in side.items() if r.machine.key in machines} for side in (had, has))
        outcome = between_processes(
            gate, sample_of(gate, had), sample_of(gate, has), tolerance, spread, len(had) >= KNOWN_FROM
        )
    elif gate.category == "cost":
        outcome = counted(gate, sample_of(gate, had), sample_of(gate, has), tolerance)
    elif seeds := exactly_equal(gate.path, had, has):
        sentence = f"reproduced exactly: seed{'s' * (len(seeds) > 1)} {join(map(str, seeds))}"
        return [replace(line, verdict="reproduced", sentence=sentence, worse_by=0.0)]
    else:
        outcome = between_trainings(gate, sample_of(gate, had), sample_of(gate, has), tolerance)
    return [_Pending(line, outcome)]


def _decide(lines: Sequence[Comparison | _Pending]) -> tuple[Comparison, ...]:
    """Correct the p-values of all gates together, and turn outcomes into verdicts."""
    p = iter(holm([x.outcome.p for x in lines if isinstance(x, _Pending) and x.outcome.p is not None]))
    decided = []
    for pending in lines:
        if isinstance(pending, Comparison):
            decided.append(pending)
            continue
        line, outcome = pending
        corrected = None if outcome.p is None else next(p)
        worse = outcome.candidate and (corrected is None or corrected <= SIGNIFICANCE)
        decided.append(
            replace(
                line,
                verdict="regression" if worse else "passed",
                sentence=outcome.why,
                worse_by=outcome.worse_by,
                tolerance=outcome.tolerance,
                p=corrected,
            )
        )
    return tuple(decided)


def _floor(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> list[Comparison]:
    """A floor that moves says that the measurement changed, in whatever direction."""
    lines = []
    for path in ("quality.value", "likelihood.bits_per_dim"):
        had, has = measured(path, baseline), measured(path, run)
        if not had or not has:
            continue
        name = name_of(next(iter(had.values())), path)
        refuse_other_measurement(key, path, name, [*had.values(), *has.values()])
        a, b = stat_of_row(path, had), stat_of_row(path, has)
        change = (b.mean - a.mean) / abs(a.mean) if a.mean else math.copysign(math.inf, b.mean) if b.mean else 0.0
        kept: Verdict = "passed" if change else "reproduced"
        verdict: Verdict = "regression" if abs(change) > FLOOR_TOLERANCE else kept
        sentence = "a floor has no training"
        if verdict == "regression":
            sentence += ": as it moved, the measurement did, and no number of this run compares with the baseline's"
        lines.append(Comparison(str(key), name, verdict, sentence, a, b, change, FLOOR_TOLERANCE))
    return lines


def _status(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> list[Comparison | _Pending]:
    """Cells that are not ok, unless the baseline says the same of that seed."""
    if not any(one.status in ("ok", "incomplete") for one in baseline.values()):
        why = next(iter(baseline.values())).status
        return [Comparison(str(key), "row", "skipped", f"its baseline was {why}: there is nothing to be worse than")]
    lines: list[Comparison | _Pending] = []
    for one in run.values():
        if one.status != "ok":
            known = one.seed in baseline and _ended_alike(baseline[one.seed], one)
            sentence = f"seed {one.seed} {one.status}: {one.reason or 'no reason was recorded'}"
            sentence += ", as in the baseline" if known else ""
            lines.append(Comparison(str(key), "row", "skipped" if known else "regression", sentence))
    return lines


def _ended_alike(before: Record, after: Record) -> bool:
    """Whether two cells that are not ok failed in the same way, in the same stages."""
    return before.status == after.status and before.failures.keys() >= after.failures.keys()


def _notes(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> list[str]:
    """What a reader of the verdicts should know of a row."""
    notes = []
    old, new = next(iter(baseline.values())).config, next(iter(run.values())).config
    changed = [f"{k} {old.get(k)} -> {new.get(k)}" for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
    if changed and new:
        notes.append(f"{key}: its config changed: {join(changed)}")
    other = [
        str(seed)
        for seed in sorted(set(baseline) & set(run))
        if (a := baseline[seed]).machine.key == (b := run[seed]).machine.key
        and a.weights_sha256 != b.weights_sha256
        and a.weights_sha256
        and b.weights_sha256
    ]
    if other and key.budget and key.budget.unit != "sec":
        notes.append(
            f"{key}: seed{'s' * (len(other) > 1)} {join(other)} gave other weights than in the baseline, on the same "
            "machine: the code, its versions or its determinism changed"
        )
    return notes


def _spreads(before: Rows, after: Rows, both: Sequence[RowKey]) -> dict[str, Spread]:
    """Spread within rows of each gate's number over all rows: that of the logarithm for speed and memory."""
    return {
        gate.path: pooled(
            [
                sample_of(gate, has)
                for key in both
                for side in (before, after)
                if key.role == "entrant" and (has := measured(gate.path, side[key]))
            ]
        )
        for gate in GATED
    }
