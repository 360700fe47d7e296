"""Verbs that train: `plan` and `run`, and what a person sees of them."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli import endings
from equibench.cli.options import (
    PATH,
    SUITE_HELP,
    check_writable,
    console,
    extractor_options,
    load_suite,
    session_of,
    suite_options,
)
from equibench.errors import UserError
from equibench.measure.features.names import BFLOAT16, extractor_named

if TYPE_CHECKING:
    import torch

    from equibench.data.sets import Dataset
    from equibench.run.loop import Finished
    from equibench.run.session import Session
    from equibench.run.standing import Again
    from equibench.suite import Cell, Suite


DETECT_HELP = "Show how many seeds a side, and samples, `check` takes to see such a change: 5%, 0.02bits."


@click.command(epilog=SUITE_HELP, short_help="Show what a run would train, and what it would cost.")
@suite_options
@click.option("--detect", multiple=True, metavar="CHANGE", help=DETECT_HELP)
@click.option("--from-records", "records", multiple=True, type=PATH, help="Take the noise of --detect from these.")
@click.option("--gates", type=PATH, help="The gates file that the check will have, for --detect.")
def plan(**options: Any) -> None:
    """Show what a run of SUITE would train and what it would cost; trains nothing.

    With --detect it shows how many seeds and samples `equibench check` takes to see a change instead.
    """
    from equibench.machine.device import resolve_device

    suite, data = load_suite(options)
    if options["detect"]:
        print_needs(suite, options)
        return
    if options["records"] or options["gates"]:
        raise UserError("--from-records and --gates go with --detect, such as --detect 5%")
    print_plan(suite, data, resolve_device(options["device"]), network_meant(suite.measure.extractor))
    tell_changed(Path("results") / suite.name)


@click.command(epilog=SUITE_HELP, short_help="Train or load every cell of a suite, and measure it.")
@suite_options
@click.option("--out", type=PATH, help="Folder for records. [default: results/SUITE]")
@click.option("--from", "loaded", type=PATH, help="Measure this checkpoint (.safetensors) without training.")
@extractor_options
@click.option("--retry", is_flag=True, help="Repeat the cells that did not end ok.")
@click.option("--keep", is_flag=True, help="Take records and weights as they are, though other code made them.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan, then stop.")
def run(**options: Any) -> None:
    """Train or load every cell of SUITE, measure it, and write one record each.

    A run that was stopped goes on where it was, in the middle of a training too, and several runs may share a folder.
    Each cell has a process of its own; one that fails becomes a record with the reason, which --retry tries again.
    Records that other code or packages made are made again, which is said first; the old ones are kept, out of sight.
    Exit code 3 says that a cell is not ok.
    """
    from equibench.machine.device import resolve_device
    from equibench.run.loaded import only_loaded
    from equibench.run.standing import look_over

    suite, data = load_suite(options)
    out = options["out"] or Path("results") / suite.name
    device = resolve_device(options["device"])
    if options["loaded"]:
        suite = only_loaded(suite, options["loaded"], device, options["allow_code"])
    if not options["dry_run"]:
        check_writable(out)
    session = session_of(suite, data, device, out, options)
    if not options["dry_run"]:
        for note in data.notes:
            console().print(f"Note: {note}.")
        run_with_bars(session, options["retry"])
        return
    if options["loaded"]:
        click.echo(f"{suite.entrant[0].name} would be measured on {data.name}, without training.")
        check_out(out, 0.0)
    else:
        name = session.extractor.info.name
        check_out(out, print_plan(suite, data, device, extractor_named(name) or name))
    tell_again(look_over(session, options["retry"]), session)


def network_meant(extractor: str) -> str:
    """The feature network that a suite's name of one stands for here."""
    from equibench.measure.features.torch_fidelity import find_inception

    if extractor.removesuffix(BFLOAT16) != "auto":
        return extractor
    return "inception-v3" if find_inception() else "efficientnet-lite0"


def print_needs(suite: Suite, options: dict[str, Any]) -> None:
    """What `check` takes to see the change of --detect, a line an entrant and number."""
    from rich.table import Table

    from equibench.judge import gatesfile, seeds
    from equibench.record import find

    records = [one for _, one in find.read_all(list(options["records"]))] if options["records"] else []
    found = seeds.needs(suite, seeds.target(options["detect"]), gatesfile.read(options["gates"]), records)
    table = Table("entrant", "number", "noise", "a side", "samples", "why not")
    for need in found:
        many = f"{need.seeds} {need.unit if need.seeds > 1 else need.unit[:-1]}" if need.seeds else "\N{EN DASH}"
        samples = f"{need.samples:,}" if need.samples else ""
        table.add_row(need.entrant, need.number, need.noise, many, samples, need.why)
    console().print(table)


def print_plan(suite: Suite, data: Dataset, device: torch.device, extractor: str) -> float:
    """What every cell would train, and for how long by a rate measured now; gives the bytes that the records take."""
    from rich.table import Table

    from equibench.machine.device import training_rate
    from equibench.machine.provenance import describe_machine
    from equibench.quantities.text import duration, tuning_words
    from equibench.run.estimate import estimate
    from equibench.run.isolated import isolated_plan
    from equibench.suite import cells

    rate = training_rate(device)
    table = Table(
        "entrant", "seed", "parameters", "of the cap", "FLOPs an update", "updates", "images", "of the budget",
        "training", "measuring", "tuning",
    )  # fmt: skip
    train_sec = measure_sec = disk_bytes = 0.0
    notes: dict[str, None] = {}
    for cell in cells(suite):
        if cell.budget is None:
            continue
        planned = isolated_plan(cell, data.shape)
        if planned is None:
            notes[f"{cell.name} cannot be planned: its own code ends or hangs as it is updated once."] = None
            continue
        cost = estimate(planned, data.shape, extractor, rate)
        train_sec, measure_sec = train_sec + cost.train_sec, measure_sec + cost.measure_sec
        disk_bytes += cost.disk_bytes
        updates = planned.allowance.updates
        remark = planned.size_remark
        if remark:
            notes[remark] = None
        table.add_row(
            cell.name,
            str(cell.seed),
            f"{planned.params:,}",
            f"{planned.of_cap:.1%}{' (!)' if remark else ''}",
            f"{planned.allowance.flops_per_update:.3g}",
            "until the time is spent" if updates is None else f"{updates:,}",
            "" if updates is None else f"{updates * planned.allowance.batch_size:,}",
            "" if planned.of_amount is None else f"{planned.of_amount:.2%}",
            duration(cost.train_sec),
            duration(cost.measure_sec),
            tuning_words(cell.entrant.tuning if cell.entrant else None, planned.train_flops),
        )
    screen = console()
    screen.print(table)
    screen.print(
        f"{suite.name} on {data.name}: {len(data.train):,} training and {len(data.test):,} test images of "
        f"{'x'.join(str(side) for side in data.shape)}. Training takes about {duration(train_sec)} at the "
        f"{rate / 1e9:.0f} GFLOP/s estimated for {describe_machine(device).device} (a quarter of its "
        f"matrix-product rate, measured just now), and measuring, by a rough count, about {duration(measure_sec)}; "
        f"records and checkpoints take about {disk_bytes / 1e6:,.0f} MB on the disk."
    )
    for note in (*notes, *(f"Note: {note}." for note in data.notes)):
        screen.print(note)
    return disk_bytes


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


def run_with_bars(session: Session, retry: bool) -> None:
    """Run every cell of the suite, with progress bars on a terminal and a line for each that is done."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from equibench.run.loop import run_cells
    from equibench.suite import cells

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    many = len(list(cells(session.suite)))
    failed = 0
    screen = console()
    with Progress(*columns, console=screen, disable=not sys.stderr.isatty()) as progress:
        total = progress.add_task("cells", total=many)
        part = progress.add_task("")
        doing = ""

        def tell(cell: Cell, what: str, share: float) -> None:
            nonlocal doing
            if (now := f"{cell.name} s{cell.seed}: {what}") != doing:
                progress.reset(part, total=1.0, description=now)
                doing = now
            progress.update(part, completed=share)

        for done in run_cells(session, tell, retry, partial(tell_again, session=session)):
            progress.advance(total)
            failed += done.record.status != "ok"
            screen.print(_told(done), soft_wrap=True)
    if failed:
        endings.say(f"{failed} of {many} cells are not ok; their records say why")
        raise click.exceptions.Exit(endings.CELLS_NOT_OK)


AGAIN = {
    "record": "Made again, as the record {why}",
    "weights": "Trained again, as the checkpoint {why}",
    "unfinished": "Begun anew, as what was kept of it {why}",
    "loaded": "Measured, as was asked for, though the checkpoint {why}",
    "kept": "Taken as it is (--keep), though the record {why}",
}


def tell_again(again: list[Again], session: Session) -> None:
    """What is there and does not stand for what runs now: a line a reason."""
    from equibench.run.status import REPLACED, UNFINISHED

    cells_of: dict[tuple[str, str], list[str]] = {}
    for one in again:
        cells_of.setdefault((one.what, one.why), []).append(f"{one.cell.name} s{one.cell.seed}")
    for (what, why), names in cells_of.items():
        console().print(f"{AGAIN[what].format(why=why)}: {', '.join(names)}.", markup=False, soft_wrap=True)
    if any(one.what in ("record", "weights") for one in again):
        place = session.out / UNFINISHED / REPLACED
        console().print(f"What is replaced is kept in {place}.", markup=False, soft_wrap=True)


def tell_changed(folder: Path) -> None:
    """How many records in the folder, if it is one, a run into it would make again."""
    from equibench.run.status import made_otherwise

    for why, many in made_otherwise(folder).items():
        records = "1 record" if many == 1 else f"{many} records"
        note = f"Note: a run into {folder} makes {records} again, as what is there {why}; with --keep it does not."
        console().print(note, markup=False, soft_wrap=True)


def _told(done: Finished) -> str:
    """A finished cell in a line."""
    record = done.record
    outcome = record.status if record.status == "ok" else f"{record.status}: {record.reason}"
    commit = (record.code.commit or "unknown")[:8]
    took = f"there already, made by commit {commit}" if done.found else f"{record.clock['wall']:.0f} s"
    return f"{done.cell.name} s{done.cell.seed}: {took}, {outcome} -> {done.path}"


VERBS = (plan, run)
