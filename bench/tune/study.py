"""A study as it goes: what is to be trained next, and what is done with what that gave. All that it knows is in its
file, which is written after every training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from equibench.errors import UserError
from equibench.machine.code import changed_since, code_version, package_versions
from equibench.machine.provenance import describe_machine
from equibench.record import study as study_files
from equibench.record.base import Scalar
from equibench.record.study import Candidate, Chosen, Search, Space, Study, Training, Values
from equibench.run.families import resolve_family, settings_of
from equibench.run.session import Session
from equibench.suite import Entrant
from equibench.tune import rule, suggest
from equibench.tune.space import candidate, start
from equibench.tune.trainings import TrainingStep

# what a study must have in common with what is asked for to go on -> how a sentence calls it
SAME = {
    "protocol": "protocol", "suite": "suite", "entrant": "entrant",
    "family": "family", "start": "config or sampler of the entrant", "budget": "budget", "data_sha256": "data set",
    "data": "validation split", "features": "feature network", "space": "space", "search": "[search] or --trials",
}  # fmt: skip


class Advance(NamedTuple):
    """A training that was done, and the study with it."""

    training: Training
    study: Study


def begin(entrant: Entrant, session: Session, data_sha256: str, space: Space, search: Search) -> Study:
    """A study in which nothing was trained yet; `session` is that of its trainings. Raises UserError without optuna."""
    return Study(
        suite=session.suite.name,
        entrant=entrant.name,
        family=entrant.family,
        start=start(entrant),
        budget=session.suite.budget[0],
        data=session.data.info(),
        data_sha256=data_sha256,
        features=session.extractor.info,
        space=space,
        search=search,
        versions={**package_versions(), suggest.PACKAGE: suggest.version()},
        machine=describe_machine(session.device),
        code=code_version([entrant.family] if ":" in entrant.family else []),
    )


def resume(file: Path, fresh: Study, keep: bool = False) -> Study:
    """The study at `file`, to go on with, or else the `fresh` one. More trials than before may be asked for until the
    first full run. With `keep` it goes on though other code or packages trained what is there.

    Raises UserError where what is there is another study, and where it cannot be read.
    """
    if not file.exists():
        return fresh
    held = study_files.read(file)
    if not held.full_runs and len(held.trials) <= fresh.search.trials:
        held = held.model_copy(update={"search": held.search.model_copy(update={"trials": fresh.search.trials})})
    others = [words for name, words in SAME.items() if getattr(held, name) != getattr(fresh, name)]
    if fresh.budget.unit == "sec" and held.machine.key != fresh.machine.key:
        others.append("machine")
    if others:
        raise UserError(f"{file} holds a study of another {', '.join(others)}; move it away, or give another --out")
    made = [held.code, *held.other_code][-1]
    versions, own = dict(held.versions), list(fresh.code.own_sha256)
    then, now = versions.pop(suggest.PACKAGE, "missing"), fresh.versions[suggest.PACKAGE]
    why = changed_since(made, versions, own)
    if then != now:
        why = why or f"was made with {suggest.PACKAGE} {then}, now {now}"
    if why and held.trials and held.chosen is None:
        if not keep:
            raise UserError(f"the study {file} {why}; give another --out, or --keep to go on all the same")
        return held.model_copy(update={"versions": fresh.versions, "other_code": [*held.other_code, fresh.code]})
    return held


def next_step(study: Study) -> TrainingStep | None:
    """The training that comes next; None where all are done."""
    search, trials = study.search, study.trials
    if len(trials) < search.trials:
        if not trials:
            return TrainingStep(study.start, _values(study, study.start), search.seeds[0], search.share)
        told = rule.told(trials, search)
        values = suggest.suggestion(study.space.ranges, told, len(trials), search)
        return TrainingStep(candidate(len(trials), study.start, values), values, search.seeds[0], search.share)
    planned = [(one, seed) for seed in search.seeds for one in rule.finalists(trials, search)]
    if len(study.full_runs) == len(planned):
        return None
    one, seed = planned[len(study.full_runs)]
    return TrainingStep(one, _values(study, one), seed, 1.0)


def after(study: Study, done: Training) -> Study:
    """The study with one training more, and with its choice where that was the last."""
    if len(study.trials) < study.search.trials:
        return study.model_copy(update={"trials": [*study.trials, done]})
    study = study.model_copy(update={"full_runs": [*study.full_runs, done]})
    return study if next_step(study) else study.model_copy(update={"chosen": _chosen(study)})


def go_on(file: Path, study: Study, train: Callable[[TrainingStep], Training]) -> Iterator[Advance]:
    """Do what is left of the study, a training at a time, and keep it at `file` after each. Raises UserError where it
    cannot be written, and what `train` raises.
    """
    while step := next_step(study):
        done = train(step)
        study = after(study, done)
        try:
            study_files.write(file, study)
        except OSError as error:
            raise UserError(
                f"cannot write {file} ({error.strerror}); make room or give another --out, and run again: what was "
                "trained is kept"
            ) from None
        yield Advance(done, study)


def left(study: Study) -> list[tuple[int, TrainingStep]]:
    """How many trials are left, and full runs at most, each with one to go by."""
    search = study.search
    finals = len(rule.finalists(study.trials, search)) if len(study.trials) >= search.trials else search.best + 1
    trial = TrainingStep(study.start, _values(study, study.start), search.seeds[0], search.share)
    return [
        (search.trials - len(study.trials), trial),
        (finals * len(search.seeds) - len(study.full_runs), trial._replace(share=1.0)),
    ]


def means(study: Study) -> Sequence[rule.Mean]:
    """The finalists of a study, each over its full runs."""
    return rule.means(rule.finalists(study.trials, study.search), study.full_runs, study.search)


def _chosen(study: Study) -> Chosen:
    one, why = rule.choice(means(study), study.search)
    return Chosen(candidate=one, why=why, settings=_settings(study, one))


def _settings(study: Study, one: Candidate) -> Values:
    return settings_of(resolve_family(study.family), one.config, one.sampler)


def _values(study: Study, one: Candidate) -> dict[str, Scalar]:
    """What a candidate has of what is searched; of the entrant as it stands its defaults among them."""
    whole = {**_settings(study, one), **one.config}
    return {name: whole.get(name) for name in study.space.ranges}
