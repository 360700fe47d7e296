"""Same-noise drift as lines of a check: one an entrant, over the seeds that both sides have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from equibench.judge.comparison import Comparison, Verdict
from equibench.judge.drift import Arrays, Drift, drift
from equibench.judge.gates import SameNoise
from equibench.judge.values import Row
from equibench.quantities.text import join
from equibench.record import files as record_files
from equibench.record.schema import Record
from equibench.summary.sections import failed
from equibench.summary.sort import RowKey

NUMBER = "same-noise samples"
ArraysOf = Callable[[Record], Arrays]


class Sides(NamedTuple):
    """How the arrays beside a record are got, of the baseline and of the run."""

    baseline: ArraysOf
    run: ArraysOf


def arrays_beside(found: Sequence[tuple[Path, Record]]) -> ArraysOf:
    """The arrays beside any of these records. What it gives raises UserError for arrays that are damaged or of another
    record.
    """
    places = {record.key: path for path, record in found}
    return lambda record: record_files.read_arrays(places[record.key], record)


def noise_lines(key: RowKey, baseline: Row, run: Row, arrays: Sides, gate: SameNoise) -> list[Comparison]:
    """One line, or none where no seed is in both with samples of the same noise, or the gate is off."""
    shared = [
        seed
        for seed in sorted(set(baseline) & set(run))
        if all(one.fixed_noise and not failed(one) for one in (baseline[seed], run[seed]))
    ]
    if not gate.gate or not shared:
        return []
    found = {
        seed: drift(
            baseline[seed],
            run[seed],
            arrays.baseline(baseline[seed]),
            arrays.run(run[seed]),
            trainings=gate.trainings,
            other_machines=gate.other_machines,
        )
        for seed in shared
    }
    # those that say most come first: one seed that fails is not hidden by others that do not
    (seed, most), *others = sorted(found.items(), key=lambda item: _rank(item[1]))
    alike = [other for other, one in others if _rank(one) == _rank(most)]
    seeds = join(map(str, sorted([seed, *alike])))
    return [Comparison(str(key), NUMBER, _verdict(most), f"seed{'s' * bool(alike)} {seeds}: {most.sentence}")]


def _rank(one: Drift) -> tuple[bool, bool, float]:
    """Smaller for what a reader should hear of first."""
    return (not one.failed, not one.judged, -(one.found.share if one.found else 0.0))


def _verdict(one: Drift) -> Verdict:
    if one.failed:
        return "measurement error" if one.cause == "sampling" else "regression"
    if one.found is None:
        return "skipped"
    if not one.judged:
        return "reported"
    return "reproduced" if one.kind == "same" else "passed"
