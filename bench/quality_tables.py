"""Tables on sample quality: every metric with its error, and which entrants the samples tell apart."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from bench import intervals
from bench.formatting import MISSING, number
from bench.layout import Column, Entry, Notes, Table, fill_table, value_entry
from bench.metric import Metric, metric_names, metric_of
from bench.per_cell import RUN, Run, runs_of
from bench.record import Interval, Quality, SampleMetric
from bench.sections import Row, Section
from bench.stats import RANKING_SEEDS, SIGNIFICANCE, holm, welch

BETTER = {"precision", "recall", "density", "coverage"}  # where higher is better


def quality(section: Section) -> Table:
    """All sample metrics, a line a cell. The errors are of evaluation: of other samples of the same trained model."""
    notes = Notes()
    runs = [run for run in runs_of([*section.ran, *section.references]) if run[1].quality]
    names = list(dict.fromkeys(one.name for _, record in runs if record.quality for one in record.quality.also))
    columns: list[Column[Run]] = [
        *RUN,
        ("metric", "Distance", lambda run: _metric(run[1].quality)),
        ("distance", "at this N ↓", lambda run: _distance(run[1].quality, notes)),
        ("stderr", "Standard error", lambda run: value_entry(_quality(run).stderr, 2)),
        ("corrected", "without bias of N ↓", lambda run: _with(run[1].quality, notes)),
        *(_also(name, notes) for name in names),
        ("nearer_train", "Share nearer to training than to held-out images", lambda run: _memorization(_quality(run))),
    ]
    return fill_table("quality", columns, runs, lambda run: run[1], notes)


@dataclass(frozen=True)
class Pair:
    """Two entrants and the difference of their distances, with its p before and after Holm's correction."""

    a: Row
    b: Row
    metric: Metric
    difference: float
    p: float
    basis: str
    p_holm: float = 1.0


def pairs(section: Section) -> Table:
    """Each pair of entrants: the difference of their Frechet distances, and whether it is decided.

    With three seeds or more the test is Welch's over seeds; with fewer it is of the two trained models alone, by halves
    of their samples that were split alike. Holm's correction over the pairs of one metric.
    """
    names = metric_names(section.metrics)
    found: list[Pair] = []
    for metric in section.metrics:
        family = _pairs(section.rankable, metric)
        corrected = holm([pair.p for pair in family])
        found += [replace(pair, p_holm=p) for pair, p in zip(family, corrected, strict=True)]

    def verdict(pair: Pair) -> Entry:
        if pair.p_holm > SIGNIFICANCE:
            return value_entry("not decided")
        return value_entry(f"{(pair.a if pair.difference < 0 else pair.b).label} is lower")

    columns: list[Column[Pair]] = [
        ("entrant", "Entrant", lambda pair: value_entry(pair.a.label)),
        ("other", "Other", lambda pair: value_entry(pair.b.label)),
        ("metric", "Distance", lambda pair: value_entry(names[pair.metric])),
        ("difference", "Difference", lambda pair: value_entry(pair.difference, 4)),
        ("p_holm", "p (Holm)", lambda pair: value_entry(pair.p_holm, 2)),
        ("verdict", "Verdict", verdict),
        ("basis", "Holds for", lambda pair: value_entry(pair.basis)),
    ]
    return fill_table("pairs", columns, found, lambda _: None)


def _pairs(rows: list[Row], metric: Metric) -> list[Pair]:
    found = []
    for a, b in itertools.combinations(rows, 2):
        mine, theirs = a.quality(metric), b.quality(metric)
        if mine is None or theirs is None:
            continue
        difference = mine.mean - theirs.mean
        if min(mine.n, theirs.n) >= RANKING_SEEDS:
            found.append(Pair(a, b, metric, difference, welch(mine, theirs), "entrants, over training seeds"))
            continue
        first, second = a.first.quality, b.first.quality  # two trainings say nothing of a third: two models, then
        if first and second and first.halves and len(first.halves) == len(second.halves):
            difference = (first.value or 0.0) - (second.value or 0.0)
            p = intervals.paired_p(first.halves, second.halves, difference)
            found.append(Pair(a, b, metric, difference, p, f"two trained models, seed {a.first.seed}"))
    return found


def _quality(run: Run) -> Quality:
    assert run[1].quality is not None
    return run[1].quality


def _metric(quality: Quality | None) -> Entry:
    metric = metric_of(quality) if quality else None
    return value_entry(metric_names([metric])[metric] if metric else None)


def _between(interval: Interval | None) -> tuple[str, dict[str, float | str | None]]:
    if interval is None:
        return "", {"_low": None, "_high": None, "_method": None}
    text = f"{number(interval.low, 4)} to {number(interval.high, 4)}"
    return text, {"_low": interval.low, "_high": interval.high, "_method": interval.method}


def _distance(quality: Quality | None, notes: Notes) -> Entry:
    if quality is None or quality.value is None:
        return notes.missing((quality and quality.reason) or "Not measured.")
    text, more = _between(quality.interval)
    return Entry(number(quality.value, 4), quality.value, text, more)


def _with(quality: Quality | None, notes: Notes) -> Entry:
    if quality is None or quality.corrected is None:
        return notes.missing((quality and quality.reason) or "Not measured.")
    text, more = _between(quality.corrected_interval)
    return Entry(number(quality.corrected, 4), quality.corrected, text, more)


def _also(name: str, notes: Notes) -> Column[Run]:
    def entry(run: Run) -> Entry:
        one: SampleMetric | None = next((one for one in _quality(run).also if one.name == name), None)
        if one is None:
            return Entry(MISSING)
        if one.value is None:
            return notes.missing(one.reason or "Not measured.")
        error = "" if one.stderr is None else f"± {number(one.stderr, 2)}"
        return Entry(number(one.value, 3), one.value, error, {"_stderr": one.stderr})

    column = name.replace(" ", "_").lower()
    return column, f"{name} {'↑' if name in BETTER else '↓'}", entry


def _memorization(quality: Quality) -> Entry:
    test = quality.memorization
    if test is None:
        return Entry(MISSING)
    error = f"± {number(test.stderr, 2)}, p = {number(test.p, 2)}"
    more = {"_stderr": test.stderr, "_p": test.p, "_images": test.n_train}
    return Entry(number(test.share_nearer_train, 3), test.share_nearer_train, error, more)
