"""What settings of samplers change, as findings: other ways to sample, and the number of steps."""

from __future__ import annotations

from equibench.protocol import RANKING_SEEDS
from equibench.quantities.glossary import BITS
from equibench.quantities.metric import with_count
from equibench.quantities.text import number
from equibench.summary.evidence import ComparedNumber, Evidence, Ground, Sentence, TestedFinding, fact
from equibench.summary.sections import Row, Section
from equibench.summary.standing import Standing, listed, times, usual_way
from equibench.summary.verdict import turn_words
from equibench.summary.ways import SampledWay, SettingPair, common_metric, compared, other_ways, sided, steps, turned

MOST_CHANGES, MOST_RATIOS = 6, 3  # changes of the order that are said, and whose ratios are shown
FEW_SEEDS = "Fewer than three seeds: these are values of the trained models, not tested."


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
    sentences = [_change(pair) for pair in within]
    changes = sorted(turned(found), key=lambda change: not change.decided)
    tests = [_test(pair) for pair in (*within, *changes)]
    over_seeds = all(len(pair.b.by_seed) >= RANKING_SEEDS for pair in within)
    for change in changes[:MOST_CHANGES]:
        sentences.append(turn_words(change))
    if not over_seeds:
        sentences.append(Sentence(FEW_SEEDS, [fact("seed", section.rankable)]))
        claim = "In this run, not tested: how a model is sampled changes its distance."
    elif any(change.decided for change in changes):
        claim = "How a model is sampled changes the order of entrants."
    elif changes:
        claim = "How a model is sampled changes which entrants the tests tell apart."
    elif any(pair.decided for pair in within):
        claim = "How a model is sampled changes its distance, and not the order of entrants."
    else:
        claim = "Not decided: no other way of sampling is told from the usual one."
    likely = [row for row in section.rankable if row.stat(BITS)]
    if likely:
        words = "Bits/dim belong to a model's full distribution: no way of sampling changes them."
        sentences.append(Sentence(words, [fact(BITS, likely)]))
    shown = [
        Evidence(
            f"{p.a.row.name}, {usual_way(p.a.row) or 'usual'} / {p.b.setting.label}",
            p.effect,
            p.p_holm,
            _name(p),
            over_seeds,
            _sides(p),
        )
        for p in within
    ]
    shown += [
        Evidence(
            f"{p.a.row.name} / {p.b.row.name}, {p.b.setting.label}", p.effect, p.p_holm, _name(p), over_seeds, _sides(p)
        )
        for p in changes[:MOST_RATIOS]
    ]
    return TestedFinding("ways", Sentence(claim, tests), tuple(sentences), tuple(shown), over_seeds)


def recall_otherwise(one: Standing) -> list[Sentence]:
    """The highest recall that an entrant has when sampled in another way than usual, where it is above the best's."""
    found = [
        (stat.mean, row, setting.label, setting.point)
        for row in one.rows
        for setting in row.settings()
        if setting.point.startswith("ways.") and (stat := row.stat(f"{setting.point}.{one.measure.path}"))
    ]
    if not found:
        return []
    most, row, way, point = max(found, key=lambda way: way[0])
    if most <= one.stat(one.best).mean:
        return []
    said = number(most)
    words = f"Sampled by “{way}”, {row.spoken} has a recall of {said} (a value, not a test)."
    path = f"{point}.{one.measure.path}"
    records = row.having(path)
    return [Sentence(words, [Ground("mean", path, records, said=said), Ground("fact", f"{point}.label", records)])]


def _test(pair: SettingPair) -> Ground:
    return Ground("test", pair.b.path, pair.b.records, pair.a.records)


def _sides(pair: SettingPair) -> tuple[ComparedNumber, ComparedNumber]:
    return ComparedNumber(pair.a.records, pair.a.path), ComparedNumber(pair.b.records, pair.b.path)


def _name(pair: SettingPair) -> str:
    return with_count(pair.b.setting.metric.metric, pair.b.setting.metric.n_samples)


def _change(pair: SettingPair) -> Sentence:
    lower, name = pair.effect.value > 1, _name(pair)
    way, whose = pair.b.setting.label, pair.b.row.spoken
    said = number(pair.a.distance), number(pair.b.distance)
    grounds = [*sided(pair.a, said[0]), *sided(pair.b, said[1]), _test(pair)]
    ends = f"from {said[0]} to {said[1]}"
    if pair.p_holm is not None and not pair.decided:
        return Sentence(f"Whether “{way}” changes the {name} of {whose} ({ends}) is not decided.", grounds)
    return Sentence(f"“{way}” {'lowers' if lower else 'raises'} the {name} of {whose} {ends}.", grounds)


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
    shown_sides = [s for s in sides if s is usual or s.evaluations != usual.evaluations]
    values = listed(f"{number(s.distance)} at {s.evaluations:,.0f}" for s in shown_sides)
    grounds = [ground for s in shown_sides for ground in (*sided(s, number(s.distance)), _evaluations(s))]
    tested = [_evaluations(usual), *(_test(pair) for _, pair in there)]
    sentences = [Sentence(f"{name} by the number of network evaluations: {values}.", grounds)]
    if not over_seeds:
        sentences.append(Sentence(FEW_SEEDS, [fact("seed", [row])]))
        side = more[-1][0] if more else there[0][0]
        claim = (
            f"In this run, not tested: {row.spoken} has {name} of {number(usual.distance)} at {now} steps and "
            f"{number(side.distance)} at {side.evaluations:,.0f}."
        )
        tested += [x for way in (usual, side) for x in (*sided(way, number(way.distance)), _evaluations(way))]
    elif better:
        claim = f"More steps than {now} make the samples of {row.spoken} better."
    elif more:
        claim = f"These seeds do not show that {row.spoken} gains from more than {now} steps."
    else:
        worse = [pair for _, pair in there if pair.decided and pair.effect.value < 1]
        told = "make the samples of {0} worse" if len(worse) == len(there) else "of {0} are not all told from these"
        claim = f"Fewer steps than {now} {told.format(row.spoken)}."
    sentences += _price(usual, more)
    label = f"{now} steps"
    shown = tuple(
        Evidence(
            f"{side.evaluations:,.0f} / {label}", pair.effect.inverse, pair.p_holm, name, over_seeds, _sides(pair)[::-1]
        )
        for side, pair in there
    )
    return TestedFinding("steps", Sentence(claim, tested), tuple(sentences), shown, over_seeds)


def _evaluations(way: SampledWay) -> Ground:
    """How often the network runs, as a sentence says it."""
    path = way.setting.path("network_evaluations")
    return Ground("fact", path, way.row.having(path), said=f"{way.evaluations:,.0f}")


def _price(usual: SampledWay, more: list[tuple[SampledWay, SettingPair]]) -> list[Sentence]:
    """What the most steps cost and gain, beside the usual number."""
    if not more:
        return []
    side, pair = more[-1]
    rates = usual.setting.images_per_sec, side.setting.images_per_sec
    if not rates[0] or not rates[1] or not rates[1].mean:
        return []
    said = "" if pair.p_holm is None else "" if pair.decided else " (the distance: not decided)"
    longer = times(rates[0].mean / rates[1].mean)
    paths = [way.setting.path("images_per_sec") for way in (usual, side)]
    ground = Ground(
        "ratio of means", paths[0], usual.row.having(paths[0]), side.row.having(paths[1]), longer, over=paths[1]
    )
    words = f"{side.evaluations:,.0f} steps take {longer} times as long{said}."
    return [Sentence(words, [ground, _evaluations(side), _test(pair)])]
