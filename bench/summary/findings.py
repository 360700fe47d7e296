"""What the tests support, a finding a topic: a claim, a few sentences, and the comparisons that they rest on.

A claim says of nothing that it is better unless a test over seeds decides it, or with fewer seeds, for the trained
models alone, a test of these. What no test was made for is said to be a value of this run.
"""

from __future__ import annotations

from collections.abc import Sequence

from equibench.quantities.glossary import BITS, of
from equibench.quantities.metric import compared_kind
from equibench.quantities.text import join, number, spread
from equibench.record.paths import value_at
from equibench.summary.along import order_sentences
from equibench.summary.codes import notes_on
from equibench.summary.pairs import COVERAGE, LATENCY, RECALL, SAMPLE_MEMORY, SPEED, TRAIN_MEMORY
from equibench.summary.sections import Row, Section
from equibench.summary.spaces import of_spaces
from equibench.summary.standing import (
    ONE_PASS,
    Standing,
    leading,
    listed,
    setting_words,
    short,
    spoken,
    standings,
    start,
    times,
)
from equibench.summary.ways_findings import Evidence, of_steps, of_ways
from equibench.summary.ways_findings import TestedFinding as TestedFinding

CAUTION = (
    "With fewer than three training seeds this tells nothing of the families, nor of another training: no ranking is "
    "claimed."
)


def findings(section: Section) -> list[TestedFinding]:
    """All findings of a section, in a fixed order: quality, feature spaces, ways of sampling, likelihood, speed, steps,
    memory, diversity, order along training, and what else a reader must know.
    """
    found = standings(section)
    made = [
        _quality(section, leading(found, "quality")),
        of_spaces(section),
        of_ways(section),
        _likelihood(section, [one for one in found if one.measure.category == "likelihood"]),
        _speed(found),
        *of_steps(section),
        _memory(found),
        _diversity(section, found),
        _along(section),
        _notes(section, found),
    ]
    return [one for one in made if one]


def _scope(one: Standing) -> str:
    """What a claim holds for, where it is not for entrants over seeds."""
    if one.over_seeds:
        return ""
    return "Of these trained models: " if one.tested else "In this run, not tested: "


def _claim(one: Standing, decided: str, open_one: str) -> str:
    """`decided`, with the best row before it, or that it is not; with the scope it holds for."""
    scope, best = _scope(one), one.level[0]
    if len(one.level) == 1:
        return f"{scope}{spoken(best)} {decided}." if scope else f"{start(best)} {decided}."
    names = listed(map(spoken, one.level)) if len(one.level) < 5 else f"{len(one.level)} entrants"
    return f"Not decided between {names}{', as trained here' if scope else ''}: {open_one}."


def evidence(one: Standing) -> tuple[Evidence, ...]:
    """Every other row against the best, the larger over the smaller where those are ratios of speeds."""
    found = []
    for row in one.rows[1:]:
        effect, pair = one.effect(row, one.best), one.pair(row, one.best)
        over = f"{short(row)} / {short(one.best)}"
        if effect.is_ratio and one.measure.higher:
            effect, over = effect.inverse, f"{short(one.best)} / {short(row)}"
        elif not effect.is_ratio:
            over = f"{short(row)} above {short(one.best)}"
        measure = pair.measure.name if pair else one.measure.name
        found.append(Evidence(over, effect, pair.p_holm if pair else None, measure, bool(pair and pair.over_seeds)))
    return tuple(found)


def _value(one: Standing, row: Row) -> str:
    """The row's mean ± standard deviation, in the unit that tables show."""
    digits = 4 if one.measure.category == "likelihood" else 3
    return spread(one.stat(row), of(one.measure.path).scale, digits)


def _others(one: Standing, rows: Sequence[Row]) -> str:
    more = f", and {len(rows) - 6} more in the table" if len(rows) > 6 else ""
    return listed(f"{_value(one, row)} for {spoken(row)}" for row in rows[:6]) + more


def _told(one: Standing) -> str:
    """Which others the tests tell from the best."""
    if not one.tested or len(one.rows) < 3 or len(one.level) == 1:
        return ""
    apart = [row for row in one.rows if not any(row is level for level in one.level)]
    if not apart:
        return "No test tells any of them from the best."
    names = listed(map(spoken, apart[:6]))
    return f"The tests put {names} behind {spoken(one.best)}."


def _quality(section: Section, one: Standing | None) -> TestedFinding | None:
    if one is None or len(one.rows) < 2:
        return None
    sentences = [f"{one.measure.name}: {_others(one, one.rows)}; less is better.", _told(one)]
    sentences.append(_settings(one.rows))
    quality = one.best.first.quality
    real = [row.quality(metric) for metric in section.metrics for row in section.references
            if quality and metric.n_samples == quality.n_samples]  # fmt: skip
    for stat in real:
        if stat and stat.mean > 0:
            sentences.append(
                f"Real training images have {number(stat.mean)}, where {spoken(one.best)} has "
                f"{times(one.stat(one.best).mean / stat.mean)} times that (a value, not a test)."
            )
            break
    claim = _claim(one, "makes the samples nearest to the test images", "whose samples are nearest to the test images")
    return _of("quality", claim, sentences, evidence(one), one.over_seeds)


def _settings(rows: Sequence[Row]) -> str:
    """Which setting of the samplers this holds for."""
    several = [f"{words} for {spoken(row)}" for row in rows if (words := setting_words(row)) != ONE_PASS]
    return f"Samplers have their usual settings ({listed(several)})." if several else ""


def _likelihood(section: Section, found: list[Standing]) -> TestedFinding | None:
    ranked = [one for one in found if len(one.rows) > 1]
    none = [(row, x) for row in section.ran if (x := row.first.likelihood) and x.kind == "none"]
    if not ranked and not none and not found:
        return None
    sentences: list[str] = []
    claim = "No two entrants have a likelihood of one kind."
    shown: tuple[Evidence, ...] = ()
    over_seeds = True
    if ranked:
        one = max(ranked, key=lambda one: len(one.rows))
        kind = _kind(one)
        given = kind.removeprefix("upper bound")
        bound = f"upper bound on bits/dim{given}" if one.measure.of_bounds else f"bits/dim ({kind})"
        claim = _claim(one, f"has the lowest {bound}", f"who has the lowest {bound}")
        sentences = [f"{one.measure.name}: {_others(one, one.rows)}; less is better.", _told(one)]
        closer = [row for row in one.rows[1:] if one.by_tighter(row)]
        if closer:
            sentences.append(
                f"Of {listed(map(spoken, [one.best, *closer]))} a tighter upper bound was compared, which all have."
            )
        if one.measure.of_bounds:
            sentences.append(
                "All of these are upper bounds: the order of the true values may be another, as nobody knows how loose "
                "each bound is."
            )
        rules = [(bits.mean, row) for row in section.references if (bits := row.stat(BITS)) and row.label != "oracle"]
        if rules:
            least, row = min(rules, key=lambda rule: rule[0])
            sentences.append(f"The best rule without training ({row.label}) has {number(least, 4)} bits/dim.")
        shown, over_seeds = evidence(one), one.over_seeds
    if len(found) > 1:
        names = join(one.measure.name for one in found)
        sentences.append(f"{names} are not compared: their kinds or test images differ.")
    for row, likelihood in none:
        why = (likelihood.reason or "its family defines none").removeprefix("none: ").rstrip(".")
        sentences.append(f"{start(row)} has no likelihood: {why[:1].lower() + why[1:] if why[:2] == 'A ' else why}.")
    return _of("likelihood", claim, sentences, shown, over_seeds)


def _kind(one: Standing) -> str:
    likelihood = one.best.first.likelihood
    return compared_kind(likelihood) if likelihood else "unknown"


def _named(found: list[Standing], path: str) -> Standing | None:
    there = [one for one in found if one.measure.path == path and len(one.rows) > 1]
    return max(there, key=lambda one: len(one.rows), default=None)


def _speed(found: list[Standing]) -> TestedFinding | None:
    fast, single = _named(found, SPEED), _named(found, LATENCY)
    if fast is None:
        return None
    sentences = [f"Images per second at each one's best batch size: {_others(fast, fast.rows)}.", _told(fast)]
    shown = evidence(fast)
    if single:
        sentences.append(f"Milliseconds for a single image: {_others(single, single.rows)}.")
        sentences.append(_told(single))
        shown += tuple(one.named("single image: ") for one in evidence(single))
    busy = [row for row in fast.rows if any(row is other for other in (*fast.busy, *(single.busy if single else [])))]
    if busy:
        sentences.append(
            f"Other work kept the machine busy as {listed(map(spoken, busy))} ran: do not trust these times."
        )
    claim = _claim(fast, "samples fastest", "who samples fastest")
    return _of("speed", claim, sentences, shown, fast.over_seeds)


def _memory(found: list[Standing]) -> TestedFinding | None:
    train, sample = _named(found, TRAIN_MEMORY), _named(found, SAMPLE_MEMORY)
    one = train or sample
    if one is None:
        return None
    sentences: list[str] = []
    shown: tuple[Evidence, ...] = ()
    for what, there in (("Training", train), ("Sampling", sample)):
        if there:
            batch = sorted({value_at(r, there.measure.path.replace("peak_bytes", "batch_size"))
                            for row in there.rows for r in row.having(there.measure.path)})  # fmt: skip
            sizes = listed(map(str, batch), "or")
            sentences.append(f"MiB for {what.lower()} at batch {sizes}: {_others(there, there.rows)}.")
            sentences.append(_told(there))
            shown += tuple(x.named(f"{what.lower()}: ") for x in evidence(there))
    verb = "trains in the least memory" if train else "samples in the least memory"
    claim = _claim(one, verb, f"who {verb}")
    if train and sample and len(train.level) == len(sample.level) == 1 and train.over_seeds and sample.over_seeds:
        other = "in the least" if sample.best is not train.best else ""
        claim = (
            f"{start(train.best)} trains in the least memory; {spoken(sample.best)} samples {other}."
            if other
            else f"{start(train.best)} trains and samples in the least memory."
        )
    return _of("memory", claim, sentences, shown, one.over_seeds)


def _diversity(section: Section, found: list[Standing]) -> TestedFinding | None:
    recall, coverage = _named(found, RECALL), _named(found, COVERAGE)
    one = recall or coverage
    if one is None:
        return None
    sentences: list[str] = []
    shown: tuple[Evidence, ...] = ()
    for what, there in (("Recall", recall), ("Coverage", coverage)):
        if there:
            real = [stat for row in section.references if (stat := row.stat(there.measure.path))]
            beside = f"; real training images have {number(real[0].mean)}" if real else ""
            sentences += [f"{what}: {_others(there, there.rows)}{beside}; more is better.", _told(there)]
            shown += tuple(x.named(f"{what.lower()}: ") for x in evidence(there))
    name = "recall" if recall else "coverage"
    claim = _claim(
        one,
        f"covers most of the real images' variety ({name})",
        f"who covers most of the real images' variety ({name})",
    )
    return _of("diversity", claim, sentences, shown, one.over_seeds)


def _along(section: Section) -> TestedFinding | None:
    sentences = order_sentences(section)
    if not sentences:
        return None
    return TestedFinding("along", "Which entrant leads changes with the unit that is counted.", tuple(sentences), ())


def _notes(section: Section, found: list[Standing]) -> TestedFinding | None:
    """What a reader must know of the records."""
    notes = []
    if not any(len(one.rows) > 1 for one in found):
        notes.append("Fewer than two entrants have comparable results within their budget: nothing is ranked.")
    elif any(not one.over_seeds for one in found if len(one.rows) > 1):
        notes.append(CAUTION)
    broken = [(row, cell.record) for row in section.entrants for cell in row.cells if cell.record.failures]
    notes += [f"{row.label}, seed {one.seed}, is incomplete: {one.reason}." for row, one in broken if not row.failed]
    notes += [f"{row.label}: {note}" for row in section.ran for note in notes_on([cell.record for cell in row.cells])]
    left_out = [row for row in section.entrants if row not in section.rankable]
    if left_out:
        named = join(f"{r.label}, seed {join(map(str, r.seeds))} ({r.first.status})" for r in left_out)
        notes.append(f"Not ranked: {named}.")
    return TestedFinding("notes", "What to know of these records.", tuple(notes), ()) if notes else None


def _of(
    topic: str, claim: str, sentences: Sequence[str], shown: tuple[Evidence, ...], over_seeds: bool
) -> TestedFinding:
    return TestedFinding(topic, claim, tuple(one for one in sentences if one), shown, over_seeds)
