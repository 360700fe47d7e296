"""Who has the lowest distance at equal seconds of training: at the moment when the first of all trainings has used its
budget, and slower ones are still on their way.
"""

from __future__ import annotations

import math

import numpy as np

from equibench.protocol import SIGNIFICANCE
from equibench.quantities.metric import Metric, metric_names
from equibench.quantities.text import number, p_number, p_words
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.along import FEW_SEEDS, LEAST_DISTANCE, distances, lowest, metrics, pair_ps, target_of
from equibench.summary.evidence import Ground, Sentence, records_of
from equibench.summary.load import busy
from equibench.summary.sections import Row, Section


def equal_second_sentences(section: Section) -> list[Sentence]:
    """Where another entrant leads at equal seconds than at the end of the budget, and whether seeds tell the two apart:
    by Welch's test of logarithms, with Holm's correction over all pairs of entrants. Nothing where the machine was not
    steady, as seconds compare only where it was.
    """
    found = []
    for metric, name in metric_names(metrics(section)).items():
        rows = [row for row in section.rankable if target_of(row, metric) is not None]
        if any(busy(record, "train") for record in records_of(rows)):
            continue
        ends = [(cell.record.along[-1].train_sec, row, cell.record) for row in rows for cell in row.cells]
        if not ends:
            continue
        moment_sec, first, quickest = min(ends, key=lambda end: end[0])
        stats = [stat for row in rows if (stat := _stat(row, metric, moment_sec))]
        if len(stats) < len(rows):
            continue
        leads = lowest(stats)
        last = lowest([stat for row in rows if (stat := _stat(row, metric, math.inf))])
        if leads == last:
            continue
        said = number(moment_sec, 3)
        words = (
            f"After {said} s of training, when {first.spoken} has used its budget, {rows[leads].spoken} has the lowest "
            f"{name}; at the end of the budget {rows[last].spoken} has."
        )
        told = _told(rows, stats, leads, last)
        moment = Ground("greatest", f"along.{quickest.along[-1].label}.train_sec", (quickest,), said=said)
        found.append(Sentence(f"{words} {told}", [*told.grounds, moment]))
    return found


def distance_at(record: Record, metric: Metric, moment_sec: float) -> float | None:
    """The distance at a moment of the training, between two points by interpolation in the logarithms of both; after
    the last one its own. None before the first.
    """
    points = [(sec, max(value, LEAST_DISTANCE)) for sec, value in distances(record, metric, "train_sec") if sec > 0]
    if not points or moment_sec < points[0][0]:
        return None
    sec, values = np.log(np.array(points)).T
    return math.exp(np.interp(math.log(moment_sec), sec, values))


def _stat(row: Row, metric: Metric, moment_sec: float) -> Stat | None:
    """Distances of the row's trainings at that moment; None where one is not known."""
    found = [distance_at(cell.record, metric, moment_sec) for cell in row.cells]
    known = [value for value in found if value is not None]
    return Stat(tuple(known)) if len(known) == len(found) else None


def _told(rows: list[Row], stats: list[Stat], leads: int, last: int) -> Sentence:
    """Whether the seeds tell the two apart at that moment, with a ground "p" where they do."""
    one, other = rows[leads], rows[last]
    sides = "along.*.train_sec", records_of([one]), records_of([other])
    untold = [Ground("test", *sides)]
    if (ps := pair_ps({"": stats})) is None:
        return Sentence(FEW_SEEDS, untold)
    p = ps["", frozenset((leads, last))]
    if p > SIGNIFICANCE:
        return Sentence(f"The seeds do not tell {one.spoken} from {other.spoken} at that moment.", untold)
    return Sentence(f"At that moment the seeds tell the two apart ({p_words(p)}).", [Ground("p", *sides, p_number(p))])
