"""Floors of the check: rows that nobody trained, so that whatever moves them is the measurement, in any direction."""

from __future__ import annotations

import math

from equibench.judge.comparison import Comparison, Verdict
from equibench.judge.matching import refuse_other_measurement
from equibench.judge.proof import OTHER_ARITHMETIC, apart, first_difference, measured_numbers
from equibench.judge.values import Row, measured, stat_of_row, why_missing
from equibench.quantities.glossary import known
from equibench.quantities.identity import name_of
from equibench.summary.sections import failed
from equibench.summary.sort import RowKey


def floor_lines(key: RowKey, baseline: Row, run: Row) -> list[Comparison]:
    """A line for each number that the baseline's floor holds: it has to be the same, but for rounding."""
    lines = []
    paths = dict.fromkeys(path for one in baseline.values() if not failed(one) for path in measured_numbers(one))
    for path in paths:
        had, has = measured(path, baseline), measured(path, run)
        if not had:
            continue
        name = name_of(next(iter(had.values())), path)
        category = quantity.category if (quantity := known(path)) else None
        line = Comparison(str(key), name, "passed", "", stat_of_row(path, had), category=category)
        if not has:
            if not all(failed(one) for one in run.values()):  # else the row's own line says so
                sentence = f"not measured any more: {why_missing(path, run)}"
                lines.append(_as(line, "regression", sentence))
            continue
        refuse_other_measurement(key, path, name, had, has)
        lines.append(_compared(path, line, had, has))
    return lines


def _compared(path: str, line: Comparison, had: Row, has: Row) -> Comparison:
    before, after = next(iter(had.values())), next(iter(has.values()))
    a, b = stat_of_row(path, had), stat_of_row(path, has)
    change = (b.mean - a.mean) / abs(a.mean) if a.mean else math.copysign(math.inf, b.mean) if b.mean else 0.0
    line = Comparison(line.row, line.number, "passed", "", a, b, line.category, change, OTHER_ARITHMETIC)
    if a.mean == b.mean:
        return _as(line, "reproduced", "a floor has no training")
    if not apart(path, before, a.mean, b.mean, OTHER_ARITHMETIC):
        return _as(line, "passed", "a floor has no training, and moved by rounding alone")
    other = first_difference(before, after)
    sentence = "a floor has no training: as it moved, the measurement did, and no number of this run compares with the "
    return _as(line, "measurement error", f"{sentence}baseline's" + (f"; {other}" if other else ""))


def _as(line: Comparison, verdict: Verdict, sentence: str) -> Comparison:
    return Comparison(
        line.row, line.number, verdict, sentence, line.baseline, line.run, line.category, line.worse_by, line.tolerance
    )
