"""Ladders: settings that differ in nothing but the amount of their budget, and each entrant's numbers along them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equibench.hashing import digest
from equibench.quantities.glossary import BITS
from equibench.quantities.identity import identity
from equibench.quantities.metric import compared_kind, metric_names, metric_of
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import holm
from equibench.summary.laws import FEWEST_BUDGETS, FittedLaw, Run, fit
from equibench.summary.sections import Row, Section

FITTED = ("quality.value", BITS)
SENSIBLE = 1e-9, 1e12  # what is fitted: numbers beyond are none that a model gave
MOST_FLOPS = 1e30


@dataclass(frozen=True)
class Measure:
    """A number that entrants have in common: a distance of one metric, or bits/dim of one kind on as many images."""

    name: str
    path: str
    key: Hashable  # equal for what may be compared


@dataclass(frozen=True)
class Rung:
    """An entrant's numbers at one budget: those of `records`."""

    section: Section
    row: Row
    records: tuple[Record, ...]

    @property
    def amount(self) -> float:
        assert self.section.budget is not None
        return self.section.budget.amount


@dataclass(frozen=True)
class Trend:
    """One number of an entrant along a ladder, measured alike at every budget, by rising budget."""

    label: str
    measure: Measure
    rungs: tuple[Rung, ...]
    fit: FittedLaw

    @property
    def name(self) -> str:
        """What the entrant is called in tables, figures and lists."""
        return self.rungs[-1].row.name

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(record for rung in self.rungs for record in rung.records)


@dataclass(frozen=True)
class Ladder:
    """Sections of one data set, cap on parameters, machine and run, their budgets in FLOPs, by rising budget."""

    sections: tuple[Section, ...]
    series: tuple[Trend, ...]
    left_out: tuple[str, ...]  # why an entrant's number has no law, a sentence each

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(dict.fromkeys(series.measure for series in self.series))

    def of(self, measure: Measure) -> list[Trend]:
        return [series for series in self.series if series.measure == measure]


def ladders(sections: list[Section]) -> list[Ladder]:
    """All ladders with at least FEWEST_BUDGETS budgets and an entrant that has a number at so many."""
    groups: dict[tuple[Any, ...], list[Section]] = {}
    for section in sections:
        if section.budget and section.budget.unit == "flops":
            key = (section.data.sha256, section.budget.params, section.machine.key, section.run)
            groups.setdefault(key, []).append(section)
    found = [_ladder(group) for group in groups.values() if len(group) >= FEWEST_BUDGETS]
    return [ladder for ladder in found if ladder.series]


def _ladder(sections: list[Section]) -> Ladder:
    by_amount = sorted(sections, key=lambda section: section.budget.amount if section.budget else 0.0)
    names = _names(by_amount)
    series: list[Trend] = []
    left_out: list[str] = []
    for (path, *_), rungs in _rungs(by_amount).items():
        key = _key(rungs[0].records[0], path)
        row, measure = rungs[-1].row, Measure(names[key], path, key)
        if len(rungs) >= FEWEST_BUDGETS:
            series.append(Trend(row.label, measure, tuple(rungs), fit(_runs(rungs, path))))
        else:
            budgets = f"{len(rungs)} budget{'s' * (len(rungs) > 1)}"
            left_out.append(f"{measure.name} of {row.name}: no law is fitted to {budgets}; it takes {FEWEST_BUDGETS}.")
    order = {key: place for place, key in enumerate(names)}
    series.sort(key=lambda one: order[one.measure.key])
    return Ladder(tuple(by_amount), tuple(_corrected(series)), tuple(left_out))


def _runs(rungs: Sequence[Rung], path: str) -> list[Run]:
    return [
        Run(place, record.seed, record.spent.flops, float(value_at(record, path)))
        for place, rung in enumerate(rungs)
        for record in rung.records
        if record.spent
    ]


def _corrected(series: Sequence[Trend]) -> Iterator[Trend]:
    """With the p of each law after Holm's correction over all laws of the ladder that could be tested."""
    corrected = iter(holm([p for one in series if (p := one.fit.p_holds) is not None]))
    for one in series:
        known = one.fit.p_holds is not None
        yield replace(one, fit=replace(one.fit, p_holds=next(corrected))) if known else one


def _rungs(sections: list[Section]) -> dict[tuple[str, str, int], list[Rung]]:
    """The rungs of each series by path and by how the number was made and measured, the budget apart; of rows that are
    alike in that, and differ in another number, the first of each section make a series, the second another.
    """
    found: dict[tuple[str, str, int], list[Rung]] = {}
    for section in sections:
        taken: Counter[tuple[str, str]] = Counter()
        for row in section.rankable:
            for path in FITTED:
                records = tuple(record for record in row.having(path) if _usable(record, path))
                if records:
                    alike = path, digest({**identity(records[0], path), "budget": ""})
                    found.setdefault((*alike, taken[alike]), []).append(Rung(section, row, records))
                    taken[alike] += 1
    return found


def _usable(record: Record, path: str) -> bool:
    """A place on the ladder takes what was spent; a relative deviation takes something to be relative to."""
    spent, value = record.spent, value_at(record, path)
    least, most = SENSIBLE
    return spent is not None and 1 <= spent.flops <= MOST_FLOPS and least <= value <= most and bool(_key(record, path))


def _names(sections: list[Section]) -> dict[Hashable, str]:
    """The name of each number among the sections, distances first."""
    metrics = sorted({metric for section in sections for metric in section.metrics})
    found: dict[Hashable, str] = dict(metric_names(metrics).items())
    records = [record for section in sections for row in section.rankable for record in row.having(BITS)]
    kinds = sorted({(compared_kind(one), one.n_images) for record in records if (one := record.likelihood)})
    several = len({n for _, n in kinds}) > 1
    return found | {(kind, n): f"Bits/dim ({kind}{f', {n:,} images' * several})" for kind, n in kinds}


def _key(record: Record, path: str) -> Hashable:
    if path == BITS:
        assert record.likelihood is not None
        return compared_kind(record.likelihood), record.likelihood.n_images
    return metric_of(record.quality) if record.quality else None
