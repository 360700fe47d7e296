"""The verb `tune`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from equibench.cli.options import (
    PATH,
    SUITE_HELP,
    check_writable,
    console,
    extractor_options,
    load_suite,
    session_of,
    tuning_options,
)
from equibench.errors import UserError

if TYPE_CHECKING:
    from equibench.record.study import Search, Space, Study, Training
    from equibench.run.session import Session
    from equibench.suite import Entrant
    from equibench.tune.trainings import CellTrainer, TrainingStep

TRAININGS = ".trainings"  # the folder, beside the studies, of what each training left


class _TimeUpError(KeyboardInterrupt):
    """The sitting is over: what is being trained is kept, as by Ctrl-C."""


@dataclass
class _Sitting:
    """Hears how far a training is, and ends it once when the time is up."""

    minutes: float | None
    begun_sec: float = field(default_factory=lambda: monotonic())
    over: bool = False

    def look(self) -> None:
        """Raises _TimeUpError, once: the training is heard of while it is being kept, too."""
        if self.minutes is not None and not self.over and monotonic() - self.begun_sec >= 60 * self.minutes:
            self.over = True
            raise _TimeUpError


@click.command(epilog=SUITE_HELP, short_help="Choose the settings of every entrant of a suite by the same rule.")
@tuning_options
@click.option("--space", "space_file", type=PATH, help="Where to search: a .toml file. [default: the suite's own]")
@click.option("--trials", type=click.IntRange(1, 10_000), help="Trials an entrant. [default: 20, or the space's]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after so many; the next call goes on.")
@click.option("--out", type=PATH, help="Folder for the studies. [default: results/tuning/SUITE]")
@extractor_options
@click.option("--keep", is_flag=True, help="Go on with a study though other code trained what it has.")
@click.option("--dry-run", is_flag=True, help="Check everything and show what would be trained, then stop.")
def tune(**options: Any) -> None:
    """Choose the settings of every entrant of SUITE by the same rule, on images held out of its training data.

    Runs trials at a quarter of the budget, then trains the best three and the unchanged entrant at the full budget,
    with three seeds. Of those whose bits/dim are at most 0.02 above the unchanged entrant's, the one with the lowest
    Frechet distance is chosen. The study of each entrant is a JSON file; the same command resumes one that was stopped.
    docs/tuning.md says what to do with it.
    """
    from equibench.machine.device import resolve_device
    from equibench.record.study import Search
    from equibench.tune import space as spaces
    from equibench.tune.trainings import CellTrainer, TrainingStep, trial_session

    suite, data = load_suite(options)
    trained = [entrant for entrant in suite.entrant if not entrant.loaded]
    if not trained:
        raise UserError(f"every entrant of {suite.name} is loaded; give a suite with one to train")
    suite = suite.model_copy(update={"entrant": trained})
    file = spaces.load(options["space_file"], suite.name)
    trials = {"trials": options["trials"]} if options["trials"] else {}
    search = Search.model_validate({**file.search.model_dump(), **trials})
    out = options["out"] or Path("results") / "tuning" / suite.name
    device = resolve_device(options["device"])
    session = trial_session(session_of(suite, data, device, out / TRAININGS, options), search)
    trainer = CellTrainer(session)
    found = {one.name: spaces.space_of(file, one) for one in suite.entrant}
    studies = _studies(suite.entrant, session, data.sha256, found, search, out, options["keep"])
    for one in suite.entrant:  # a mistake is said before anything is trained
        trainer.plan(one, TrainingStep(studies[one.name].start, {}, search.seeds[0], search.share))
    if options["dry_run"]:
        _show_plan(studies, suite.entrant, trainer)
        return
    check_writable(out)
    try:
        _sit(studies, suite.entrant, trainer, out, _Sitting(options["minutes"]))
    except _TimeUpError:
        console().print(f"Stopped after {options['minutes']:g} minutes; the same command goes on.", soft_wrap=True)
        return


def _studies(
    entrants: Iterable[Entrant],
    session: Session,
    data_sha256: str,
    found: dict[str, Space],
    search: Search,
    out: Path,
    keep: bool,
) -> dict[str, Study]:
    """Each entrant's, to begin or to go on with."""
    from equibench.tune.study import begin, resume

    fresh = {one.name: begin(one, session, data_sha256, found[one.name], search) for one in entrants}
    return {name: resume(_file(out, name), study, keep) for name, study in fresh.items()}


def _file(out: Path, entrant: str) -> Path:
    return out / f"{entrant}.json"


def _show_plan(studies: dict[str, Study], entrants: Iterable[Entrant], trainer: CellTrainer) -> None:
    """What is left to train, and for how long by a rate measured now."""
    from rich.table import Table

    from equibench.machine.device import training_rate
    from equibench.measure.features.names import extractor_named
    from equibench.quantities.text import duration
    from equibench.run.estimate import estimate
    from equibench.run.pace import Pace
    from equibench.tune.study import left

    session = trainer.session
    name = session.extractor.info.name
    pace = Pace(session.data.shape, session.device, training_rate(session.device))
    table = Table("entrant", "trials", "full runs", "training", "measuring", "searched")
    total_sec = 0.0
    for one in entrants:
        counts = left(studies[one.name])
        train_sec = measure_sec = 0.0
        for many, step in counts:
            if planned := trainer.plan(one, step):
                network = extractor_named(name) or name
                cost = estimate(planned, session.data.shape, network, pace(planned), pace.measuring(planned))
                train_sec, measure_sec = train_sec + many * cost.train_sec, measure_sec + many * cost.measure_sec
        total_sec += train_sec + measure_sec
        searched = ", ".join(studies[one.name].space.ranges)
        many_words = [str(many) for many, _ in counts]
        table.add_row(one.name, *many_words, duration(train_sec), duration(measure_sec), searched)
    screen, data = console(), session.data
    screen.print(table)
    screen.print(
        f"Left to do on {len(data.train):,} training and {len(data.test):,} validation images: about "
        f"{duration(total_sec)}, by a few updates that were timed just now.",
        soft_wrap=True,
    )


def _sit(
    studies: dict[str, Study], entrants: Iterable[Entrant], trainer: CellTrainer, out: Path, sitting: _Sitting
) -> None:
    """Go on with every study, one after another, with a line for each training and the choice at the end of each."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from equibench.tune.study import go_on

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    screen = console()
    with Progress(*columns, console=screen, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=1.0)

        def train(entrant: Entrant, step: TrainingStep) -> Training:
            def tell(what: str, share: float) -> None:
                progress.update(bar, description=f"{entrant.name}: {what}", completed=share)
                sitting.look()

            sitting.look()
            progress.reset(bar)
            return trainer.train(entrant, step, tell)

        for entrant in entrants:
            study = studies[entrant.name]
            for done in go_on(_file(out, entrant.name), study, partial(train, entrant)):
                study = done.study
                screen.print(_told(study, done.training), soft_wrap=True)
            _show_choice(study, _file(out, entrant.name))


def _told(study: Study, done: Training) -> str:
    """A training that was done, in a line."""
    from equibench.quantities.text import number

    if study.full_runs:
        what = f"full run {len(study.full_runs)}, of candidate {done.candidate.number} with seed {done.seed}"
    else:
        what = f"trial {len(study.trials)} of {study.search.trials}"
    if done.distance is None:
        return f"{study.entrant}, {what}: {done.status}, {done.reason}"
    bits = "" if done.bits_per_dim is None else f", {done.bits_per_dim:.3f} bits/dim"
    return f"{study.entrant}, {what}: distance {number(done.distance)}{bits}, {done.sec or 0.0:.0f} s"


def _show_choice(study: Study, file: Path) -> None:
    """The finalists of a study that is done, and what to write into the suite."""
    from rich.table import Table

    from equibench.quantities.text import MISSING, number
    from equibench.record.study import inline_table
    from equibench.tune.study import means

    assert study.chosen is not None
    best = study.chosen.candidate
    table = Table("candidate", "mean distance", "mean bits/dim", "config", "sampler")
    for one in means(study):
        distance = MISSING if one.distance is None else number(one.distance)
        bits = MISSING if one.bits_per_dim is None else f"{one.bits_per_dim:.3f}"
        name = f"{one.candidate.number}{' (chosen)' if one.candidate == best else ''}"
        table.add_row(name, distance, bits, inline_table(one.candidate.config), inline_table(one.candidate.sampler))
    screen = console()
    screen.print(table)
    screen.print(f"{study.entrant}: candidate {best.number} has {study.chosen.why}. Its lines in the suite:")
    lines = [f"config = {inline_table(best.config)}"] if best.config else []
    lines += [f"sampler = {inline_table(best.sampler)}"] if best.sampler else []
    for line in (*lines, f'tuned = "studies/{study.suite}/{file.name}"  # a copy of {file}, beside the suite'):
        screen.print(f"  {line}", soft_wrap=True)


VERBS = (tune,)
