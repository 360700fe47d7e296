"""The verb `run`: trains and measures a suite, and what a person sees of that."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli import endings
from equibench.cli.engines import device_here, engine_options, run_or_help, use_threads
from equibench.cli.options import (
    AS_JSON,
    PATH,
    SUITE_HELP,
    check_writable,
    console,
    extractor_options,
    given_again,
    load_suites,
    print_json,
    session_of,
    suite_options,
)
from equibench.cli.plan import plan_of, print_plans, working
from equibench.errors import UserError, first_line
from equibench.measure.features.names import extractor_named
from equibench.protocol import RANKING_SEEDS
from equibench.terminal import visible

if TYPE_CHECKING:
    from rich.progress import TaskID

    from equibench.cli.screen import Screen
    from equibench.data.sets import Dataset
    from equibench.run.crew import Crew
    from equibench.run.session import Session
    from equibench.run.standing import Again
    from equibench.run.taking import Finished
    from equibench.suite import Cell, Suite, Which

NO_REPORT = "EQUIBENCH_NO_REPORT"


@click.command(epilog=SUITE_HELP, short_help="Train or load every cell of a suite, and measure it.")
@suite_options
@click.option("--out", type=PATH, help="Folder for records. [default: results/SUITE]")
@click.option(
    "--from", "loaded", type=PATH, multiple=True, help="Measure this checkpoint or these samples, without training."
)
@extractor_options
@engine_options
@click.option("--retry", is_flag=True, help="Repeat the cells that did not end ok.")
@click.option("--keep", is_flag=True, help="Take records and weights as they are, though other code made them.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan, then stop.")
@click.option("--report", "page", type=PATH, help="Folder for the report. [default: reports/SUITE, or OUT-report]")
@click.option("--no-report", is_flag=True, envvar=NO_REPORT, help=f"Write no report. [env: {NO_REPORT}]")
@AS_JSON
def run(**options: Any) -> None:
    """Train or load every cell of SUITE, measure it, and write one record each.

    A run that was stopped goes on where it was, in the middle of a training too, and several runs may share a folder.
    Each cell has a process of its own; one that fails becomes a record with the reason, which --retry tries again.
    Records that other code or packages made are made again, which is said first; the old ones are kept, out of sight.
    At the end the report is written too, and its main table shown. Exit code 3 says that a cell is not ok.
    """
    use_threads(options)
    sessions = sessions_of(load_suites(options), options)
    out, screen = sessions[0].out, console(stderr=options["as_json"])
    if options["dry_run"]:
        plan_runs(sessions, options, screen)
        return
    done: list[Finished] = []
    for session in sessions:
        if len(sessions) > 1:
            screen.print(f"On {session.data.name}:")
        for note in session.data.notes:
            screen.print(f"Note: {note}.")
        here = run_or_help(session, options, partial(run_with_bars, retry=options["retry"], screen=screen))
        if here is None:
            return
        done += here
    written = None if options["no_report"] else write_report(out, options["page"] or report_of(out), screen)
    if options["as_json"]:
        print_json({"cells": [_as_json(one) for one in done], "report": written and str(written)})
    end(done, out, written, screen)


def sessions_of(suites: list[tuple[Suite, Dataset]], options: dict[str, Any]) -> list[Session]:
    """One for each data set, in which all entrants were looked at. Raises UserError for a mistake in any of them."""
    from equibench.hub import is_hub_id
    from equibench.outside.fetched import name_of, place_of
    from equibench.run.isolated import isolated_plan
    from equibench.run.loaded import only_loaded, resolved
    from equibench.run.ranks import ranks_here

    if len(suites) > 1 and ranks_here():
        raise UserError("torchrun takes one data set at a time; choose it with --dataset")
    device = device_here(options)
    out = options["out"] or Path("results") / suites[0][0].name
    once = list(dict.fromkeys(map(str, options["loaded"])))
    paths = [place_of(load, options["download"]) for load in once]
    names = [name_of(load) for load in once] if any(map(is_hub_id, once)) else ()
    found: list[Session] = []
    for chosen, data in suites:
        suite = only_loaded(chosen, paths, names) if paths else chosen
        suite = resolved(suite, data, device, options["allow_code"], chosen if paths else None)
        if found:
            found.append(replace(found[0], suite=suite, data=data))
            continue
        if not options["dry_run"]:
            check_writable(out)
        found.append(session_of(suite, data, device, out, options))
    for session in found[1:]:  # before the first is trained on
        for cell in session.cells:
            if cell.entrant is not None and not cell.loaded:
                isolated_plan(cell, session.data.shape)
    return found


def plan_runs(sessions: list[Session], options: dict[str, Any], screen: Screen) -> None:
    """Show what would be done, and check that there is room for it. Raises UserError."""
    from equibench.run.standing import look_over

    name = sessions[0].extractor.info.name
    planned = [plan_of(one.suite, one.data, one.device, extractor_named(name) or name) for one in sessions]
    print_plans(planned, options["as_json"])
    check_out(sessions[0].out, sum(one.total("disk_bytes") for one in planned))
    for session in sessions:
        tell_again(look_over(session, options["retry"]), session, screen)


def check_out(folder: Path, needed_bytes: float) -> None:
    """Raises UserError where a run could not write its records to the folder, which is not made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}; give another folder with --out")
    free = shutil.disk_usage(there).free
    if needed_bytes > free:
        raise UserError(
            f"the records take about {needed_bytes / 1e6:,.0f} MB, and {there} has {free / 1e6:,.0f} MB free; make "
            "room or give another --out"
        )


def run_with_bars(session: Session, retry: bool, screen: Screen, crew: Crew | None = None) -> list[Finished]:
    """Run every cell of the suite, with bars on a terminal and a line for each that is done. The upper bar counts work:
    a cell is as long as it is expected to take. Each cell that is being done has one of its own.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from equibench.cli.workload import Workload
    from equibench.run.loop import run_cells

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    finished: list[Finished] = []
    shown = sys.stderr.isatty()
    with working(f"planning {session.suite.name}") as say:
        work = Workload.of(session, say) if shown else Workload({})
    with Progress(*columns, console=console(stderr=True), disable=not shown) as progress:
        total = progress.add_task(f"{session.suite.name}: all", total=work.total_sec)
        parts: dict[Which, TaskID] = {}
        doing: dict[Which, str] = {}

        def tell(cell: Cell, what: str, share: float) -> None:
            which, name = cell.which, f"{visible(cell.name)}, seed {cell.seed}"
            part = parts[which] = parts[which] if which in parts else progress.add_task("")
            if doing.get(which) != what:
                progress.reset(part, total=1.0, description=f"{name}: {what}")
                doing[which] = what
            progress.update(part, completed=share)
            progress.update(total, completed=work.done_sec(cell, what, share))

        for done in run_cells(session, tell, retry, partial(tell_again, session=session, screen=screen), crew):
            finished.append(done)
            if (part := parts.pop(done.cell.which, None)) is not None:
                progress.remove_task(part)
            progress.update(total, completed=work.finish(done.cell))
            screen.print(_told(done), soft_wrap=True)
    return finished


def report_of(out: Path) -> Path:
    """Where the report on a folder of records is written: beside results/quick it is reports/quick."""
    if out.parent.name == "results":
        return out.parent.with_name("reports") / out.name
    return out.with_name(f"{out.absolute().name}-report")


def write_report(out: Path, folder: Path, screen: Screen) -> Path | None:
    """Write the report, show its main table, and give the page; None, with a note that says why, where that fails: what
    was run stands without it.
    """
    import logging

    from equibench.cli.headline import print_headline
    from equibench.report.write import PAGE, write

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # as in `report`
    try:
        with working("writing the report"):
            write([out], folder)
        print_headline(folder, screen)
    except Exception as error:
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
        endings.say(f"no report was written ({why}); `equibench report {out} --out FOLDER` tries again")
        return None
    return folder / PAGE


def end(done: list[Finished], out: Path, written: Path | None, screen: Screen) -> None:
    """The page's path and what to do next. Raises Exit with the code for cells that are not ok."""
    if written:
        screen.print(f"The report: {written}", soft_wrap=True)
    failed = sum(one.record.status != "ok" for one in done)
    seeds = {one.cell.seed for one in done if one.cell.entrant is not None and not one.cell.loaded}
    if not failed:
        more = f"`{given_again(seeds='0,1,2')}` trains three seeds, without which nothing is ranked"
        cite = f"`equibench cite METRIC ENTRANT --results {shlex.quote(str(out))}` prints a number to cite"
        screen.print(f"Next: {more if 0 < len(seeds) < RANKING_SEEDS else cite}.", soft_wrap=True)
        return
    endings.say(f"{failed} of {len(done)} cells are not ok; their records say why, and --retry tries them again")
    raise click.exceptions.Exit(endings.CELLS_NOT_OK)


def _as_json(done: Finished) -> dict[str, Any]:
    record = done.record
    return {
        "entrant": done.cell.name,
        "data": record.data.name,
        "seed": done.cell.seed,
        "status": record.status,
        "reason": record.reason,
        "record": str(done.path),
        "found": done.found,
        "wall_sec": record.clock.get("wall"),
    }


AGAIN = {
    "record": "Made again, as the record {why}",
    "weights": "Trained again, as the checkpoint {why}",
    "unfinished": "Begun anew, as what was kept of it {why}",
    "loaded": "Measured, as was asked for, though the checkpoint {why}",
    "kept": "Taken as it is (--keep), though the record {why}",
}


def tell_again(again: list[Again], session: Session, screen: Screen) -> None:
    """What is there and does not stand for what runs now: a line a reason."""
    from equibench.run.status import REPLACED, UNFINISHED

    cells_of: dict[tuple[str, str], list[str]] = {}
    for one in again:
        cells_of.setdefault((one.what, one.why), []).append(f"{one.cell.name} s{one.cell.seed}")
    for (what, why), names in cells_of.items():
        screen.print(f"{AGAIN[what].format(why=why)}: {', '.join(names)}.", soft_wrap=True)
    if any(one.what in ("record", "weights") for one in again):
        place = session.out / UNFINISHED / REPLACED
        screen.print(f"What is replaced is kept in {place}.", soft_wrap=True)


def _told(done: Finished) -> str:
    """A finished cell in a line."""
    record = done.record
    outcome = record.status if record.status == "ok" else f"{record.status}: {record.reason}"
    commit = (record.code.commit or "unknown")[:8]
    took = f"there already, made by commit {commit}" if done.found else f"{record.clock['wall']:.0f} s"
    return f"{done.cell.name} s{done.cell.seed}: {took}, {outcome} -> {done.path}"


VERBS = (run,)
