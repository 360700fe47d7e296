"""Findings on what sampling and training cost: speed and memory."""

from __future__ import annotations

from equibench.quantities.glossary import of
from equibench.quantities.text import join, spread
from equibench.record.paths import value_at
from equibench.summary.evidence import Ground, Sentence, TestedFinding, fact, records_of
from equibench.summary.pairs import LATENCY, SAMPLE_MEMORY, SPEED, TRAIN_MEMORY
from equibench.summary.sections import Section
from equibench.summary.standing import Standing, listed
from equibench.summary.topics import MOST_NAMED, OneNumber, claim_of, measured, topic


def of_speed(found: list[Standing]) -> TestedFinding | None:
    """Who samples fastest, in images per second and for a single image; None where no two entrants were timed."""
    fast, single = measured(found, SPEED), measured(found, LATENCY)
    if fast is None:
        return None
    parts = [OneNumber(fast, "Images per second at the best batch size of each seed: ")]
    parts += [OneNumber(single, "Milliseconds for a single image: ", "single image")] if single else []
    more = []
    for one, what in ((fast, "images per second"), (single, "milliseconds")):
        if one and one.busy:
            names, whose = listed(row.spoken for row in one.busy), "its" if len(one.busy) == 1 else "their"
            words = f"The machine was not steady as {names} ran: do not trust {whose} {what}."
            more.append(Sentence(words, [fact("timed", one.busy)]))
    return topic("speed", claim_of(fast, "samples fastest", "who samples fastest"), parts, more)


def of_memory(section: Section, found: list[Standing]) -> TestedFinding | None:
    """Who trains and samples in the least memory, MiB of each; None where that of no two entrants was measured."""
    train, sample = measured(found, TRAIN_MEMORY), measured(found, SAMPLE_MEMORY)
    parts = [_peaks(one, what) for one, what in ((train, "training"), (sample, "sampling")) if one]
    if not parts:
        return None
    verb = "trains in the least memory" if train else "samples in the least memory"
    claim = claim_of(parts[0].one, verb, f"who {verb}")
    if train and sample and len(train.level) == len(sample.level) == 1 and train.over_seeds and sample.over_seeds:
        grounds = [*claim.grounds, *claim_of(sample, "", "").grounds]
        words = (
            f"{train.best.first_words} trains and samples in the least memory."
            if sample.best is train.best
            else f"{train.best.first_words} trains in the least memory; {sample.best.spoken} samples in the least."
        )
        claim = Sentence(words, grounds)
    return topic("memory", claim, parts, _resident(section))


def _resident(section: Section) -> list[Sentence]:
    """How much the whole process held, on a processor, beside the tensors that are counted above."""
    path = "memory.train_resident_bytes"
    known = [(row, stat) for row in section.ran if (stat := row.stat(path))]
    if len(known) < 2:
        return []
    least_first = sorted(known, key=lambda one: one[1].mean)[:MOST_NAMED]
    said = [(spread(stat, of(path).scale), row.spoken, row.having(path)) for row, stat in least_first]
    grounds = [Ground("mean", path, records, said=text) for text, _, records in said]
    grown = listed(f"{text} for {who}" for text, who, _ in said)
    words = f"MiB by which the whole process grew in training (values, not tests): {grown}."
    return [Sentence(words, grounds)]


def _peaks(one: Standing, what: str) -> OneNumber:
    path = one.measure.path.replace("peak_bytes", "batch_size")
    batches = sorted({value_at(record, path) for row in one.rows for record in one.records(row)})
    grounds = tuple(Ground("fact", path, records_of(one.rows), said=str(batch)) for batch in batches)
    kinds = sorted({record.memory.quantity for row in one.rows for record in one.records(row) if record.memory})
    counted = f"{join(kinds)}, batch {listed(map(str, batches), 'or')}"
    grounds += (fact("memory.quantity", one.rows),)
    return OneNumber(one, f"MiB for {what} ({counted}): ", what, more=grounds)
