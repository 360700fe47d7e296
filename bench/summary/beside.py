"""What was loaded beside what was trained: shown with it and compared as a model, never ranked, as nobody knows what
it cost.
"""

from __future__ import annotations

from dataclasses import replace

from equibench.quantities.glossary import of
from equibench.quantities.text import join, number
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import holm
from equibench.summary.evidence import Evidence, Ground, Sentence, TestedFinding, fact, sides_of
from equibench.summary.pairs import SAMPLE_MEMORY, SPEED, Criterion, Pair, criteria, effect_of, pair_of, tightest
from equibench.summary.ratios import Effect
from equibench.summary.sections import Row, Section
from equibench.summary.standing import listed, times
from equibench.summary.topics import MOST_NAMED

KINDS = {
    "checkpoint": "a checkpoint",
    "torchscript": "a TorchScript file",
    "torch.export": "a file of torch.export",
    "diffusers": "a pipeline of diffusers",
    "samples": "samples alone",
    "command": "what a command wrote",
}
LIKE = ("quality.value", SPEED, SAMPLE_MEMORY)  # that no budget of training is needed to compare
WORDS = {SPEED: "samples {0} images/s", SAMPLE_MEMORY: "samples in {0} MiB"}


def source_words(record: Record) -> str:
    """What was loaded, in brackets after a name; empty where the record is older than the field."""
    return f" ({KINDS[record.loaded.kind]}, {record.loaded.source})" if record.loaded else ""


def unknown_words(row: Row) -> str:
    """What an entrant that was not trained here is, how large, and what is not known of it, in a few sentences."""
    loaded = row.first.loaded
    unknown = f" Not known: {join(loaded.unknown)}." if loaded and loaded.unknown else ""
    size = f" It samples with {loaded.params:,} parameters." if loaded and loaded.params else ""
    return f"Loaded{source_words(row.first)}, and not trained under this budget.{size}{unknown}"


def measured_alike(section: Section, measure: Criterion) -> list[Row]:
    """Rows of what was loaded that have the number which `measure` ranks others by, measured as theirs."""
    if not section.beside or not measure.rows:
        return []
    ranked, beside = {id(row) for row in measure.rows}, {id(row) for row in section.beside}
    for one in criteria(section, [*section.rankable, *section.beside]):
        if one.path == measure.path and ranked & {id(row) for row in one.rows}:
            return [row for row in one.rows if id(row) in beside]
    return []


def against_trained(section: Section) -> list[Pair]:
    """Distances of what was loaded against those of all that was trained, as of two models, after Holm's correction
    over the pairs of each metric.
    """
    found: list[Pair] = []
    for measure in criteria(section):
        if measure.path != "quality.value":
            continue
        both = [(row, trained) for row in measured_alike(section, measure) for trained in measure.rows]
        pairs = [pair for row, trained in both if (pair := pair_of(tightest(measure, row, trained), row, trained))]
        corrected = holm([pair.p for pair in pairs])
        found += [replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]
    return found


def of_loaded(section: Section) -> TestedFinding | None:
    """How what was loaded compares with the best of what was trained, and what is not known of it."""
    if not section.beside:
        return None
    tests = {(id(one.a), id(one.b), one.measure.path): one for one in against_trained(section)}
    sentences: dict[int, list[Sentence]] = {id(row): [] for row in section.beside}
    shown: list[Evidence] = []
    for measure in criteria(section):
        if measure.path in LIKE and measure.rows:
            best = sorted(measure.rows, key=lambda row: _mean(row, measure), reverse=measure.higher)[0]
            for row in measured_alike(section, measure):
                pair = tests.get((id(row), id(best), measure.path))
                sentences[id(row)].append(_compared(measure, row, best, pair))
                shown.append(_evidence(measure, row, best, pair))
    said = [one for row in section.beside for one in sentences[id(row)]] + _unknown(section.beside)
    named = listed(row.spoken for row in section.beside[:MOST_NAMED])
    more = f" and {len(section.beside) - MOST_NAMED} more" * (len(section.beside) > MOST_NAMED)
    unknown = "its budget is" if len(section.beside) == 1 else "their budgets are"
    claim = Sentence(f"Not ranked, as {unknown} unknown: {named}{more}.", [fact("loaded", section.beside)])
    return TestedFinding("loaded", claim, tuple(said), tuple(shown), over_seeds=False)


def _mean(row: Row, measure: Criterion) -> float:
    found = row.stat(measure.path)
    return found.mean if found else 0.0


def _compared(measure: Criterion, row: Row, best: Row, pair: Pair | None) -> Sentence:
    """The number of what was loaded beside the best trained one."""
    value, most = _mean(row, measure), _mean(best, measure)
    mine, theirs = row.having(measure.path), best.having(measure.path)
    shown = number(value / of(measure.path).scale)
    grounds = [Ground("mean", measure.path, mine, said=shown)]
    words = WORDS.get(measure.path, f"has {measure.name} of {{0}}").format(shown)
    trained = f"{best.spoken}, the {'fastest' if measure.path == SPEED else 'best'} that was trained"
    if most > 0 and value >= most:
        ratio = times(value / most)
        words += f", {ratio} times that of {trained}"
        grounds.append(Ground("ratio of means", measure.path, mine, theirs, ratio))
    elif value > 0 and most > 0:
        ratio = times(most / value)
        words += f", where {trained}, has {ratio} times that"
        grounds.append(Ground("ratio of means", measure.path, theirs, mine, ratio))
    if pair:
        words += f"; a test of the two models {'tells' if pair.decided else 'does not tell'} them apart"
        grounds.append(Ground("test", measure.path, mine, theirs))
    return Sentence(f"{row.first_words} {words}.", grounds)


def _evidence(measure: Criterion, row: Row, best: Row, pair: Pair | None) -> Evidence:
    label = f"{row.name} / {best.name}"
    sides = sides_of(row, best, pair.measure.path if pair else measure.path)
    if pair:
        return Evidence(label, pair.effect, pair.p_holm, measure.name, pair.over_seeds, sides)
    one, other = ([float(value_at(r, measure.path)) for r in x.having(measure.path)] for x in (row, best))
    effect = effect_of(measure.path, one, other)
    alone = Effect(effect.value, effect.is_ratio, seeds=effect.seeds)
    return Evidence(f"{of(measure.path).label}: {label}", alone, None, measure.name, over_seeds=False, sides=sides)


def _unknown(rows: list[Row]) -> list[Sentence]:
    """What nobody knows of them, those of which it is the same together."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.first.loaded.unknown if row.first.loaded else ()), []).append(row)
    found = []
    for unknown, alike in groups.items():
        names = (
            listed(row.spoken for row in alike[:MOST_NAMED]) if len(alike) <= MOST_NAMED else f"{len(alike)} entrants"
        )
        was = "was" if len(alike) == 1 else "were"
        words = f"{names[:1].upper() + names[1:] if names.startswith('the ') else names} {was} not trained in this run"
        if unknown:
            it = "it" if len(alike) == 1 else "each"
            words += f"; not known: {join(unknown)}. So {it} may have cost more, or have seen the test images"
        found.append(Sentence(f"{words}.", [fact("loaded", alike)]))
    return found
