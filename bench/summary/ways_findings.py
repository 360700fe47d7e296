"""What settings of samplers change, as findings: other ways to sample, and the number of steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from equibench.protocol import RANKING_SEEDS, SIGNIFICANCE
from equibench.quantities.metric import with_count
from equibench.quantities.text import number
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row, Section
from equibench.summary.standing import listed, short, spoken, times
from equibench.summary.verdict import turn_words
from equibench.summary.ways import SampledWay, SettingPair, common_metric, compared, other_ways, steps, turned


@dataclass(frozen=True)
class Evidence:
    """One tested comparison that a finding rests on."""

    label: str  # e.g. "diffusion / GAN"
    effect: Effect
    p_holm: float | None  # None where nothing was tested
    measure: str
    over_seeds: bool

    @property
    def decided(self) -> bool:
        return self.p_holm is not None and self.p_holm <= SIGNIFICANCE

    def named(self, before: str) -> Evidence:
        return replace(self, label=f"{before}{self.label}")


@dataclass(frozen=True)
class TestedFinding:
    """A claim, the sentences under it, and the comparisons beside it."""

    topic: str
    claim: str
    sentences: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    over_seeds: bool = True


def of_ways(section: Section) -> TestedFinding | None:
    """What another way to sample than the usual one changes, and whether the order of entrants with it."""
    metric = common_metric(section)
    found = compared(section)
    if metric is None:
        return None
    ways = {row.label: {w.setting.label for w in other_ways(row, metric)} for row in section.rankable}
    within = [pair for pair in found if pair.a.row is pair.b.row and pair.b.setting.label in ways[pair.b.row.label]]
    if not within:
        return None
    name = with_count(metric.metric, metric.n_samples)
    sentences = [_change(pair, name) for pair in within]
    over_seeds = all(len(pair.b.by_seed) >= RANKING_SEEDS for pair in within)
    changes = turned(found)
    for change in changes[:3]:
        sentences.append(turn_words(change))
    if not over_seeds:
        sentences.append("Fewer than three seeds: these are values of the trained models, not tested.")
        claim = "In this run, not tested: how a model is sampled changes its distance."
    elif changes:
        claim = "How a model is sampled changes the order of entrants."
    elif any(pair.decided for pair in within):
        claim = "How a model is sampled changes its distance, and not the order of entrants."
    else:
        claim = "Not decided: no other way of sampling is told from the usual one."
    if any(row.first.likelihood and row.first.likelihood.bits_per_dim is not None for row in section.rankable):
        sentences.append("Bits/dim belong to a model's full distribution: no way of sampling changes them.")
    shown = [Evidence(f"{short(p.a.row)}, usual / {p.b.setting.label}", p.effect, p.p_holm, name, over_seeds)
             for p in within]  # fmt: skip
    shown += [
        Evidence(f"{short(p.a.row)} / {short(p.b.row)}, {p.b.setting.label}", p.effect, p.p_holm, name, over_seeds)
        for p in changes[:3]
    ]
    return TestedFinding("ways", claim, tuple(sentences), tuple(shown), over_seeds)


def _change(pair: SettingPair, name: str) -> str:
    lower = pair.effect.value > 1
    way, whose = pair.b.setting.label, spoken(pair.b.row)
    ends = f"from {number(pair.a.distance)} to {number(pair.b.distance)}"
    if pair.p_holm is not None and not pair.decided:
        return f"Whether “{way}” changes the {name} of {whose} ({ends}) is not decided."
    return f"“{way}” {'lowers' if lower else 'raises'} the {name} of {whose} {ends}."


def of_steps(section: Section) -> list[TestedFinding]:
    """For each entrant whose network may run several numbers of times: what more steps gain."""
    metric = common_metric(section)
    if metric is None:
        return []
    pairs = compared(section)
    found = [_of_steps(row, steps(row, metric), pairs) for row in section.rankable]
    return [one for one in found if one]


def _of_steps(row: Row, sides: list[SampledWay], pairs: list[SettingPair]) -> TestedFinding | None:
    usual = next((side for side in sides if side.usual), None)
    if usual is None or usual.evaluations is None:
        return None
    tests = {pair.b.setting.label: pair for pair in pairs if pair.a.row is row and pair.b.row is row}
    others = [side for side in sides if side is not usual and side.evaluations != usual.evaluations]
    there = [(side, tests[side.setting.label]) for side in others if side.setting.label in tests]
    if not there:
        return None
    name = with_count(usual.setting.metric.metric, usual.setting.metric.n_samples)
    over_seeds = all(pair.effect.p is not None for _, pair in there)
    now = f"{usual.evaluations:,.0f}"
    more = [(side, pair) for side, pair in there if (side.evaluations or 0) > usual.evaluations]
    better = [pair for _, pair in more if pair.decided and pair.effect.value > 1]
    values = listed(f"{number(s.distance)} at {s.evaluations:,.0f}" for s in sides if s is usual or s in others)
    sentences = [f"{name} by the number of network evaluations: {values}."]
    if not over_seeds:
        sentences.append("Fewer than three seeds: these are values of the trained models, not tested.")
        side = more[-1][0] if more else there[0][0]
        claim = (
            f"In this run, not tested: {spoken(row)} has {name} of {number(usual.distance)} at {now} steps and "
            f"{number(side.distance)} at {side.evaluations:,.0f}."
        )
    elif better:
        claim = f"More steps than {now} make the samples of {spoken(row)} better."
    elif more:
        claim = f"More steps than {now} gain {spoken(row)} nothing that these seeds can show."
    else:
        worse = [pair for _, pair in there if pair.decided and pair.effect.value < 1]
        told = "make the samples of {0} worse" if len(worse) == len(there) else "of {0} are not all told from these"
        claim = f"Fewer steps than {now} {told.format(spoken(row))}."
    sentences += _price(usual, more)
    label = f"{now} steps"
    shown = tuple(
        Evidence(f"{side.evaluations:,.0f} / {label}", pair.effect.inverse, pair.p_holm, name, over_seeds)
        for side, pair in there
    )
    return TestedFinding("steps", claim, tuple(sentences), shown, over_seeds)


def _price(usual: SampledWay, more: list[tuple[SampledWay, SettingPair]]) -> list[str]:
    """What the most steps cost and gain, beside the usual number."""
    if not more:
        return []
    side, pair = more[-1]
    rates = usual.setting.images_per_sec, side.setting.images_per_sec
    if not rates[0] or not rates[1] or not rates[1].mean:
        return []
    said = "" if pair.p_holm is None else "" if pair.decided else " (the distance: not decided)"
    return [f"{side.evaluations:,.0f} steps take {times(rates[0].mean / rates[1].mean)} times as long{said}."]
