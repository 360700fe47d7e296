"""Answers for a reproducibility checklist, each out of the records, or "not recorded".

The questions are those that machine-learning venues ask of results (data, splits, settings, runs, error bars, compute,
code), in our own words; a venue's form asks them in its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from equibench.archive.environment import code_words
from equibench.cite.citation import of_row
from equibench.cite.methods import methods
from equibench.errors import UserError
from equibench.quantities import glossary
from equibench.quantities.text import amount, budget_words, duration, join, number, settings, tuning_words
from equibench.record.base import Scalar
from equibench.record.schema import Record
from equibench.report.pages.fill import markdown
from equibench.summary.sections import Section, failed

NOT_RECORDED = "not recorded"
Answer = Sequence[str]  # one sentence, or a list of points


def answers(sections: Sequence[Section]) -> str:
    """A Markdown page of questions and answers on the records of all sections of a report."""
    rows = [row for section in sections for row in (*section.entrants, *section.floors)]
    records = list({cell.path: cell.record for row in rows for cell in row.cells}.values())
    entrants = [one for one in records if one.role == "entrant"]
    parts: dict[str, dict[str, Callable[[Sequence[Record]], Answer]]] = {
        "Claims and models": {
            "What was compared?": _compared,
            "What is each model, in a sentence?": _models,
            "How were the numbers made?": _methods,
        },
        "Data": {
            "Which data, in what size, and how is it identified?": _data,
            "How were training and test images told apart?": _splits,
            "Was data left out or changed?": _changed,
            "Was any of it held back to choose settings?": _held_back,
        },
        "Settings": {
            "Which settings did each entrant have?": _settings,
            "How were they chosen, and at what cost?": _tuning,
            "Were weights of others used?": _pretrained,
        },
        "Runs and error bars": {
            "How many runs, with which seeds?": _seeds,
            "Were runs left out?": _failures,
            "Which numbers, with which error, and what is that over?": lambda _: _numbers(sections),
        },
        "Compute": {
            "On which machines?": _machines,
            "How much did training take?": _training,
            "How much did all of it take, and how much energy?": _total,
        },
        "Code": {
            "Which code?": lambda found: [code_words(found)],
            "Which versions of other software?": _versions,
            "What of the arithmetic is fixed?": _arithmetic,
            "How is it run again?": _again,
        },
    }
    lines = [
        "# Answers for a reproducibility checklist",
        "",
        f"Out of {len(records)} records of equibench, {len(entrants)} of trained entrants. What no record holds is "
        f'"{NOT_RECORDED}"; what none can hold, such as the limits of a claim, is for the authors to say.',
    ]
    for part, questions in parts.items():
        lines += ["", f"## {part}"]
        for question, answer in questions.items():
            found = [text for text in answer(records) if text]
            lines += ["", f"**{question}**", ""]
            lines += [plain(found[0])] if len(found) == 1 else [f"- {plain(text)}" for text in found]
            lines += [] if found else [NOT_RECORDED]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """A text as Markdown in which nothing is markup."""
    return markdown(text)


def _trained(records: Sequence[Record]) -> list[Record]:
    return [one for one in records if one.role == "entrant"]


def _compared(records: Sequence[Record]) -> Answer:
    names = join(dict.fromkeys(one.entrant for one in _trained(records))) if _trained(records) else "no entrant"
    budgets = join(dict.fromkeys(budget_words(one.budget) for one in _trained(records))) if _trained(records) else ""
    floors = dict.fromkeys(one.entrant for one in records if one.role == "floor")
    beside = f" Beside them stand floors that need no training: {join(floors)}." if floors else ""
    return [f"{names}, each with {budgets or 'no training budget'}.{beside}"]


def _models(records: Sequence[Record]) -> Answer:
    found: dict[str, str] = {}
    for one in _trained(records):
        if one.portrait:
            found.setdefault(
                one.family or one.entrant, f"{one.portrait.title}: {one.portrait.concept} {one.portrait.structure}"
            )
    return list(found.values())


def _methods(records: Sequence[Record]) -> Answer:
    try:
        return methods(records).split("\n\n")
    except UserError:
        return []


def _data(records: Sequence[Record]) -> Answer:
    return _each(
        f"{d.name}: {d.n_train:,} training and {d.n_test:,} test images of {d.shape[0]} x {d.shape[1]} x {d.shape[2]}"
        f" (channels, height, width), {f'{len(d.classes)} classes, ' if d.classes else ''}sha256 {d.sha256}"
        for d in (one.data for one in records)
    )


def _splits(records: Sequence[Record]) -> Answer:
    return _each(
        f"{one.data.name}: {one.data.split or f'as its source has them; more is {NOT_RECORDED}'}" for one in records
    )


def _changed(records: Sequence[Record]) -> Answer:
    lossy = [
        f"{one.data.name} went through compression with loss ({one.data.lossy})." for one in records if one.data.lossy
    ]
    return _each(lossy) or [f"No compression with loss is recorded. Images that were left out: {NOT_RECORDED}."]


def _settings(records: Sequence[Record]) -> Answer:
    def words(one: Record) -> str:
        sampler = one.quality.options if one.quality else {}
        return f"{one.entrant}: {settings(one.config)}" + (f"; sampler: {settings(sampler)}" if sampler else "")

    return _each(words(one) for one in _trained(records) if one.config)


def _tuning(records: Sequence[Record]) -> Answer:
    def words(one: Record) -> str:
        assert one.tuning is not None
        cost = f", {number(one.tuning.train_sec)} s of training" if one.tuning.train_sec is not None else ""
        return f"{one.entrant}: {tuning_words(one.tuning)}{cost}; chosen: {settings(one.tuning.chosen)}"

    return _each(words(one) for one in _trained(records) if one.tuning)


def _held_back(records: Sequence[Record]) -> Answer:
    return _each(
        f"{one.entrant}: a share of the training images, as its study {one.tuning.study} says; no test images"
        for one in _trained(records)
        if one.tuning
    )


def _pretrained(records: Sequence[Record]) -> Answer:
    spaces = (one.quality.features for one in records if one.quality and one.quality.features)
    return _each(
        f"The feature network {space.name} (sha256 {space.weights_sha256}), to measure distances in."
        for space in spaces
    )


def _seeds(records: Sequence[Record]) -> Answer:
    found: dict[str, set[int]] = {}
    for one in _trained(records):
        if not failed(one):
            found.setdefault(one.entrant, set()).add(one.seed)
    return [f"{name}: {len(seeds)} of training, seed {join(map(str, sorted(seeds)))}" for name, seeds in found.items()]


def _failures(records: Sequence[Record]) -> Answer:
    wrong = [
        f"{one.entrant}, seed {one.seed}: {one.status} ({one.reason or NOT_RECORDED})"
        for one in records
        if one.status != "ok"
    ]
    return wrong or ["No record is of a run that failed. Runs whose records are not here are not known."]


def _numbers(sections: Sequence[Section]) -> Answer:
    found = []
    for section in sections:
        where = f"{section.run.label or f'setting {section.letter}'}, " if len(sections) > 1 else ""
        for row in (*section.ran, *section.references):
            for path in glossary.PRIMARY:
                try:
                    one = of_row([cell.record for cell in row.cells], path)
                except UserError as error:
                    found.append(f"{where}{row.label}: {error}")
                    continue
                if one:
                    over, many = one.spread or f"its error is {NOT_RECORDED}", len(one.seeds)
                    runs = f"{many} run{'s' * (many > 1)}"
                    found.append(f"{where}{row.label}: {one.metric} = {one.shown} ({over}; {runs})")
    return found


def _machines(records: Sequence[Record]) -> Answer:
    return _each(
        f"{m.processor}{'' if m.device == 'cpu' else f' with {m.device}'}, {m.cores} cores, {m.threads} threads used, "
        f"{m.memory_bytes / 2**30:.0f} GiB, {m.precision}, {m.system}"
        for m in (one.machine for one in records)
    )


def _training(records: Sequence[Record]) -> Answer:
    found: dict[str, list[Record]] = {}
    for one in _trained(records):
        if one.spent:
            found.setdefault(one.entrant, []).append(one)
    return [
        f"{name}, a run: {duration(_mean(one.spent.train_sec for one in of if one.spent))}, "
        f"{number(_mean(one.spent.flops for one in of if one.spent))} FLOPs, "
        f"{amount(_mean(one.spent.images for one in of if one.spent))} images, "
        f"{number(_mean(one.spent.params for one in of if one.spent) / 1e6)} M parameters"
        for name, of in found.items()
    ]


def _total(records: Sequence[Record]) -> Answer:
    walls = [one.clock["wall"] for one in records if "wall" in one.clock]
    joules = [
        x.energy.joules
        for one in records
        for x in (one.spent, one.speed)
        if x and x.energy and x.energy.joules is not None
    ]
    earlier = sum(max(len(one.attempts) - 1, 0) for one in records)
    return [
        f"{duration(sum(walls))} for {len(walls)} records, training and measuring."
        if walls
        else f"Time: {NOT_RECORDED}.",
        f"Energy of training and of timed sampling: {number(sum(joules))} J." if joules else f"Energy: {NOT_RECORDED}.",
        f"Earlier tries at these cells: {earlier}." if any(one.attempts for one in records) else "",
        f"Runs before these, whose records are not here: {NOT_RECORDED}.",
    ]


def _versions(records: Sequence[Record]) -> Answer:
    libraries = [one.libraries.model_dump(exclude_none=True, exclude={"others"}) for one in records if one.libraries]
    return [*_each(_pairs(one.versions) for one in records if one.versions), *_each(map(_pairs, libraries))]


def _arithmetic(records: Sequence[Record]) -> Answer:
    known = [one.numerics.model_dump(exclude_none=True, exclude={"environment"}) for one in records if one.numerics]
    return _each(map(_pairs, known))


def _again(records: Sequence[Record]) -> Answer:
    found = []
    for name in dict.fromkeys(one.suite for one in records):
        mine = [one for one in records if one.suite == name]
        commits = dict.fromkeys(one.code.commit for one in mine if one.code.commit)
        seeds = ",".join(map(str, sorted({one.seed for one in mine if one.role == "entrant"})))
        found.append(
            f"The suite {name}: check out commit {join(commits) if commits else NOT_RECORDED}, install what "
            f"requirements.txt lists, and type: equibench run {shlex.quote(name)}{f' --seeds {seeds}' if seeds else ''}"
        )
    return [*found, "One number: equibench verify 'SIGNATURE' --results ARCHIVE.zip --rerun"]


def _each(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _pairs(found: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())
