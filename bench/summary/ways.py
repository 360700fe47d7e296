"""Settings of samplers against each other: those of one model, paired by seed, and those of two entrants.

Both sides of a comparison are on as many samples. Steps are compared in the metric that most settings have, each other
way to sample in the one of most samples that it shares with the usual settings of all entrants. Two kinds of setting
are kept apart by the number of times that the network runs: another number is a speed knob (steps), the same is another
way to sample (temperature, decoding).
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace

from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.metric import Metric
from equibench.record.paths import value_at
from equibench.record.schema import USUAL, Record
from equibench.stats import holm
from equibench.summary.evidence import Ground
from equibench.summary.ratios import Effect, ratio
from equibench.summary.sections import Row, SamplerSetting, Section


@dataclass(frozen=True)
class SampledWay:
    """An entrant as sampled with one setting."""

    row: Row
    setting: SamplerSetting

    @property
    def usual(self) -> bool:
        return self.setting.label == USUAL

    @property
    def distance(self) -> float:
        return self.setting.distance.mean

    @property
    def evaluations(self) -> float | None:
        return found.mean if (found := self.setting.network_evaluations) else None

    @property
    def path(self) -> str:
        """The path of the distance in the records."""
        return self.setting.path("distance")

    @property
    def records(self) -> tuple[Record, ...]:
        return self.row.having(self.path)

    @property
    def by_seed(self) -> dict[int, float]:
        return {r.seed: float(value_at(r, self.path)) for r in self.records}


def sided(way: SampledWay, said: str) -> list[Ground]:
    """The distance as a sentence says it, and what the setting is called."""
    found = [Ground("mean", way.path, way.records, said=said)]
    if way.setting.point:
        found.append(Ground("fact", f"{way.setting.point}.label", way.records))
    return found


@dataclass(frozen=True)
class SettingPair:
    """Two sides and the ratio of their distances, with p after Holm's correction over all that are compared here."""

    a: SampledWay
    b: SampledWay
    effect: Effect
    p_holm: float | None = None  # None with fewer than three seeds

    @property
    def between(self) -> bool:
        """Whether it is of two entrants."""
        return self.a.row is not self.b.row

    @property
    def decided(self) -> bool:
        return self.p_holm is not None and self.p_holm <= SIGNIFICANCE


def common_metric(section: Section) -> Metric | None:
    """The metric that most settings of all entrants have, of as many samples as there may be; None without any. What
    was loaded has no say in it beside what was trained.
    """
    rows = [row for row in section.ran if not row.loaded] or section.ran
    counts = Counter({(row.label, s.label, s.metric) for row in rows for s in row.settings()})
    settings = Counter(metric for _, _, metric in counts)
    return max(settings, key=lambda metric: (settings[metric], metric.n_samples, metric), default=None)


def _alike(section: Section) -> list[Metric]:
    """Metrics that the usual settings of all measured entrants have, of most samples first."""
    usual = [{s.metric for s in row.settings() if s.label == USUAL} for row in section.rankable if row.settings()]
    found = set.intersection(*usual) if usual else set()
    return sorted(found, key=lambda metric: (metric.n_samples, metric), reverse=True)


def metric_of_ways(section: Section) -> Metric | None:
    """The metric of most samples that all usual settings have, and another way to sample too; without any, the common
    one.
    """
    held = (metric for metric in _alike(section) if any(other_ways(row, metric) for row in section.rankable))
    return next(held, None) or common_metric(section)


def sides(row: Row, metric: Metric) -> list[SampledWay]:
    """The row's settings that have this metric, each once, the usual one first."""
    found: dict[str, SampledWay] = {}
    for setting in row.settings():
        if setting.metric == metric:
            found.setdefault(setting.label, SampledWay(row, setting))
    return sorted(found.values(), key=lambda side: not side.usual)


def other_ways(row: Row, metric: Metric) -> list[SampledWay]:
    """The row's settings beside the usual one for which the network runs as often."""
    found = sides(row, metric)
    if not found or not found[0].usual or found[0].evaluations is None:
        return []
    return [one for one in found[1:] if one.evaluations == found[0].evaluations]


def steps(row: Row, metric: Metric) -> list[SampledWay]:
    """The row's settings by how often the network runs, the usual one among them; empty where there is but one."""
    found = sides(row, metric)
    ways = {one.setting.label for one in other_ways(row, metric)}
    known = [one for one in found if one.evaluations is not None and one.setting.label not in ways]
    known.sort(key=lambda one: one.evaluations or 0.0)
    return known if len(known) > 1 and any(one.usual for one in known) else []


def compared(section: Section) -> list[SettingPair]:
    """What the settings of samplers change: each against the usual one of its entrant (a), paired by seed; then the
    usual settings of entrants against each other; then each other way to sample against every other entrant's usual
    setting (a). Each of the three is a family of tests of its own, the second for each metric, so that entrants have
    the order here that they have where usual settings alone are compared.
    """
    common = common_metric(section)
    if common is None:
        return []
    alike = _alike(section) or [common]
    ways: dict[tuple[str, str], tuple[SampledWay, SampledWay]] = {}  # each on the most samples, beside the usual one
    for row in section.rankable:
        for metric in alike:
            for way in other_ways(row, metric):
                ways.setdefault((row.label, way.setting.label), (sides(row, metric)[0], way))
    within: list[tuple[SampledWay, SampledWay]] = []
    for row in section.rankable:
        settings = sides(row, common)
        if settings and settings[0].usual:
            others = [(settings[0], other) for other in settings[1:]]
            within += [ways.get((row.label, other.setting.label), (usual, other)) for usual, other in others]
        shown = {other.setting.label for other in settings}
        within += [pair for (label, way), pair in ways.items() if label == row.label and way not in shown]
    between, usually = [], []
    for metric in list(dict.fromkeys(way.setting.metric for _, way in ways.values())) or alike[:1]:
        usual = [found[0] for row in section.rankable if (found := sides(row, metric)) and found[0].usual]
        usually += _corrected(list(itertools.combinations(usual, 2)))
        for _, way in ways.values():
            if way.setting.metric == metric:
                between += [(one, way) for one in usual if one.row is not way.row]
    return _corrected(within) + usually + _corrected(between)


def _corrected(sides_of: list[tuple[SampledWay, SampledWay]]) -> list[SettingPair]:
    found = [pair for a, b in sides_of if (pair := _pair(a, b))]
    corrected = iter(holm([pair.effect.p for pair in found if pair.effect.p is not None]))
    return [pair if pair.effect.p is None else replace(pair, p_holm=next(corrected)) for pair in found]


def _pair(a: SampledWay, b: SampledWay) -> SettingPair | None:
    one, other = a.by_seed, b.by_seed
    both = [seed for seed in one if seed in other]
    paired = a.row is b.row
    if paired and not both:
        return None
    mine, theirs = ([values[seed] for seed in both] if paired else list(values.values()) for values in (one, other))
    effect = ratio(mine, theirs, paired)
    return SettingPair(a, b, effect) if effect else None


def turned(found: list[SettingPair]) -> list[SettingPair]:
    """Those of `compared` where another way to sample (b) changes the order: an entrant that the tests put behind
    another one (a) with the usual settings of both is not behind it in this way, or one that they did not put ahead is
    ahead.
    """
    ahead = set()
    for pair in found:
        if pair.between and pair.b.usual and pair.decided:
            worse, better = (pair.b, pair.a) if pair.effect.value < 1 else (pair.a, pair.b)
            ahead.add((pair.a.setting.metric, id(better.row), id(worse.row)))
    changes = []
    for pair in found:
        if pair.between and not pair.b.usual and pair.effect.p is not None:
            metric, a, b = pair.a.setting.metric, id(pair.a.row), id(pair.b.row)
            now_ahead, now_behind = pair.decided and pair.effect.value > 1, pair.decided and pair.effect.value < 1
            if (now_ahead and (metric, b, a) not in ahead) or ((metric, a, b) in ahead and not now_behind):
                changes.append(pair)
    return changes


def seeds_suffice(section: Section) -> bool:
    """Whether all that may be ranked has seeds enough for a ranking."""
    return all(len(row.seeds) >= RANKING_SEEDS for row in section.rankable)
