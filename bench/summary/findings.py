"""What the tests support, a finding a topic: a claim, a few sentences, and the comparisons that they rest on.

A claim says of nothing that it is better unless a test over seeds decides it, or with fewer seeds, for the trained
models alone, a test of these. What no test was made for is said to be a value of this run.
"""

from __future__ import annotations

from collections.abc import Sequence

from equibench.quantities.glossary import BITS, COVERAGE, RECALL
from equibench.quantities.metric import metric_of
from equibench.quantities.text import join, number
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.summary.along import lead_sentences, order_sentences
from equibench.summary.beside import of_loaded
from equibench.summary.bounds import count_path
from equibench.summary.codes import notes_on
from equibench.summary.cost_findings import of_memory, of_speed
from equibench.summary.equal_seconds import equal_second_sentences
from equibench.summary.evidence import Ground, Sentence, TestedFinding, fact, records_of
from equibench.summary.sections import Row, Section
from equibench.summary.spaces import of_spaces
from equibench.summary.standing import ONE_PASS, Standing, leading, named_first, setting_words, standings
from equibench.summary.topics import OneNumber, claim_of, measured, topic
from equibench.summary.ways_findings import of_steps, of_ways, recall_otherwise

CAUTION = (
    "With fewer than three training seeds this tells nothing of the families, nor of another training: no ranking is "
    "claimed."
)


def findings(section: Section) -> list[TestedFinding]:
    """All findings of a section, in a fixed order: quality, feature spaces, ways of sampling, likelihood, speed, steps,
    memory, diversity, order along training, what was loaded, and what else a reader must know.
    """
    found = standings(section)
    made = [
        _quality(section, leading(found, "quality")),
        of_spaces(section),
        of_ways(section),
        _likelihood(section, [one for one in found if one.measure.category == "likelihood"]),
        of_speed(found),
        *of_steps(section),
        of_memory(section, found),
        _diversity(section, found),
        _along(section),
        of_loaded(section),
        _notes(section, found),
    ]
    return [one for one in made if one]


def _quality(section: Section, one: Standing | None) -> TestedFinding | None:
    if one is None or len(one.rows) < 2:
        return None
    more = [*_settings(one.rows), *_real(section, one)]
    claim = claim_of(
        one, "makes the samples nearest to the test images", "whose samples are nearest to the test images"
    )
    return topic("quality", claim, [OneNumber(one, f"{one.measure.name}: ", after="; less is better")], more)


def _real(section: Section, one: Standing) -> list[Sentence]:
    """What real images have of the distance, beside the best."""
    quality = one.best.first.quality
    metric = metric_of(quality) if quality else None
    for row in section.references:
        stat = row.quality(metric) if metric else None
        if stat and stat.mean > 0:
            said = number(stat.mean)
            words = f"Real training images have {said}."
            return [Sentence(words, [Ground("mean", one.measure.path, row.having(one.measure.path), said=said)])]
    return []


def _settings(rows: Sequence[Row]) -> list[Sentence]:
    """Which setting of the samplers this holds for."""
    several = [(row, words) for row in rows if (words := setting_words(row)) != ONE_PASS]
    if not several:
        return []
    words = "; ".join(f"{words} for {row.spoken}" for row, words in several)
    paths = ("quality.options", "speed.network_evaluations")
    grounds = [Ground("fact", path, records_of([row]), said=words) for row, words in several for path in paths]
    return [Sentence(f"Samplers have their usual settings ({words}).", grounds)]


def _likelihood(section: Section, found: list[Standing]) -> TestedFinding | None:
    ranked = [one for one in found if len(one.rows) > 1]
    none = [(row, x) for row in section.ran if (x := row.first.likelihood) and x.kind == "none"]
    if not ranked and not none and not found:
        return None
    kinds = [fact("likelihood.kind", section.ran)]
    more: list[Sentence] = []
    if len(found) > 1:
        names = join(one.measure.name for one in found)
        images = [Ground("fact", "likelihood.n_images", x.records, said=x.said) for one in found for x in _counts(one)]
        more.append(Sentence(f"{names} are not compared: their kinds or test images differ.", [*kinds, *images]))
    for row, likelihood in none:
        why = (likelihood.reason or "its family defines none").removeprefix("none: ").rstrip(".")
        why = why[:1].lower() + why[1:] if why[:2] == "A " else why
        reason = [Ground("fact", "likelihood.reason", records_of([row]), said=why)] if likelihood.reason else []
        grounds = [fact("likelihood.kind", [row]), *reason]
        more.append(Sentence(f"{row.first_words} has no likelihood: {why}.", grounds))
    if not ranked:
        return TestedFinding(
            "likelihood", Sentence("No two entrants have a likelihood of one kind.", kinds), tuple(more), ()
        )
    one = max(ranked, key=lambda one: len(one.rows))
    given = one.kind.removeprefix("upper bound")
    bound = f"upper bound on bits/dim{given}" if one.measure.of_bounds else f"bits/dim ({one.kind})"
    claim = claim_of(one, f"has the lowest {bound}", f"who has the lowest {bound}")
    lead = f"{one.measure.name}: "
    more = [*_bounds(one), *_best_rule(section), *more]
    return topic("likelihood", claim, [OneNumber(one, lead, after="; less is better", more=tuple(_counts(one)))], more)


def _counts(one: Standing) -> list[Ground]:
    """How many test images the numbers are of, where the name says it."""
    likelihood = one.best.first.likelihood
    said = f"{likelihood.n_images:,}" if likelihood else ""
    return [
        Ground("fact", "likelihood.n_images", records_of([one.best]), said=said if said in one.measure.name else "")
    ]


def _bounds(one: Standing) -> list[Sentence]:
    """What it means that bounds were compared."""
    found = []
    closer = [one.best, *(row for row in one.rows[1:] if one.by_tighter(row))]
    if len(closer) > 1:
        paths = sorted({pair.measure.path for row in closer[1:] if (pair := one.pair(row, one.best))})
        counts = [count_path(path) for path in paths]
        said = {path: f"{value_at(one.best.first, path):,}" for path in counts}
        images = [Ground("fact", path, records_of(closer), said=count) for path, count in said.items()]
        words = (
            f"{named_first(closer)} were compared by a tighter upper bound, which "
            f"{'both' if len(closer) == 2 else 'all of these'} have for {join(dict.fromkeys(said.values()))} "
            "of the test images; what other images would change is not in its interval."
        )
        found.append(Sentence(words, [*(fact(path, closer) for path in paths), *images]))
    if one.measure.of_bounds:
        found.append(
            Sentence(
                "All of these are upper bounds, each above the true value by an unknown amount: the order of the true "
                "values may be another.",
                [fact("likelihood.kind", one.rows)],
            )
        )
    return found


def _best_rule(section: Section) -> list[Sentence]:
    rules = [(bits.mean, row) for row in section.references if (bits := row.stat(BITS)) and row.label != "oracle"]
    if not rules:
        return []
    least, row = min(rules, key=lambda rule: rule[0])
    said = number(least, 4)
    words = f"The best rule without training ({row.name}) has {said} bits/dim."
    return [Sentence(words, [Ground("mean", BITS, row.having(BITS), said=said)])]


def _diversity(section: Section, found: list[Standing]) -> TestedFinding | None:
    numbers = {"recall": measured(found, RECALL), "coverage": measured(found, COVERAGE)}
    parts = [_covers(section, one, name) for name, one in numbers.items() if one]
    if not parts:
        return None
    words = f"covers most of the real images' variety ({parts[0].called})"
    other = recall_otherwise(numbers["recall"]) if numbers["recall"] else []
    return topic("diversity", claim_of(parts[0].one, words, f"who {words}"), parts, other)


def _covers(section: Section, one: Standing, name: str) -> OneNumber:
    path = one.measure.path
    real = next((row for row in section.references if row.stat(path)), None)
    if real is None or (stat := real.stat(path)) is None:
        return OneNumber(one, f"{name.capitalize()}: ", name, "; more is better")
    said = number(stat.mean)
    ground = Ground("mean", path, real.having(path), said=said)
    after = f"; real training images have {said}; more is better"
    return OneNumber(one, f"{name.capitalize()}: ", name, after, (ground,))


def _along(section: Section) -> TestedFinding | None:
    by_unit, by_share = order_sentences(section), lead_sentences(section)
    by_second = equal_second_sentences(section)
    sentences = [*by_unit, *by_share, *by_second]
    if not sentences:
        return None
    grounds = [ground._replace(said="") for ground in sentences[0].grounds]
    if by_unit:
        words = "Which of two entrants needs less to reach a distance changes with the unit that is counted."
    elif len(_told_ahead(by_share)) > 1:
        words = "Which entrant has the lowest distance changes along training."
    elif _told_ahead(by_second):
        words = "Which entrant has the lowest distance at equal seconds is another than at the end of the budget."
    elif not by_share:
        words = "Not decided: which entrant has the lowest distance at equal seconds of training."
    else:
        words = "Not decided: which entrant has the lowest distance at each share of the training."
    return TestedFinding("along", Sentence(words, grounds), tuple(sentences), ())


def _told_ahead(sentences: Sequence[Sentence]) -> set[str]:
    """Entrants that tests put ahead, as grounds of these sentences."""
    return {ground.records[0].entrant for one in sentences for ground in one.grounds if ground.how == "p"}


def _notes(section: Section, found: list[Standing]) -> TestedFinding | None:
    """What a reader must know of the records."""
    notes: list[Sentence] = []
    seeds = fact("seed", section.entrants)
    if not any(len(one.rows) > 1 for one in found):
        words = "Fewer than two entrants have comparable results within their budget: nothing is ranked."
        notes.append(Sentence(words, [fact("status", section.entrants)]))
    elif any(not one.over_seeds for one in found if len(one.rows) > 1):
        notes.append(Sentence(CAUTION, [seeds]))
    for row in section.ran:
        records = [cell.record for cell in row.cells]
        notes += [_incomplete(row, one) for one in records if one.failures]
        notes += [Sentence(f"{row.first_words}: {note}", _noted(note, row)) for note in notes_on(records)]
    shown = {id(row) for row in (*section.rankable, *section.beside)}
    left_out = [row for row in section.entrants if id(row) not in shown]
    if left_out:
        named = join(f"{r.name}, seed {join(map(str, r.seeds))} ({r.first.status})" for r in left_out)
        grounds = [Ground("fact", "seed", records_of([r]), said=str(seed)) for r in left_out for seed in r.seeds]
        notes.append(Sentence(f"Not ranked: {named}.", [fact("status", left_out), *grounds]))
    if not notes:
        return None
    return TestedFinding("notes", Sentence("What to know of these records.", [seeds]), tuple(notes), ())


def _incomplete(row: Row, one: Record) -> Sentence:
    grounds = [
        Ground("fact", "seed", (one,), said=str(one.seed)),
        Ground("fact", "reason", (one,), said=str(one.reason)),
    ]
    return Sentence(f"{row.first_words}, seed {one.seed}, is incomplete: {one.reason}.", grounds)


def _noted(note: str, row: Row) -> list[Ground]:
    return [Ground("fact", path, records_of([row]), said=note) for path in ("code", "versions", "libraries")]
