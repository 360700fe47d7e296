"""Verbs that train: `plan` and `run`, and what a person sees of them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli.options import (
    PATH,
    SUITE_HELP,
    check_writable,
    console,
    extractor_options,
    load_extractor,
    load_suite,
    suite_options,
)

if TYPE_CHECKING:
    import torch

    from equibench.data.sets import Dataset
    from equibench.run.loop import Finished
    from equibench.run.session import Session
    from equibench.suite import Cell, Suite


@click.command(epilog=SUITE_HELP, short_help="Show what a run would train, and what it would cost.")
@suite_options
def plan(**options: Any) -> None:
    """Show what a run of SUITE would train and what it would cost; trains nothing."""
    from equibench.machine.device import resolve_device

    suite, data = load_suite(options)
    print_plan(suite, data, resolve_device(options["device"]))


@click.command(epilog=SUITE_HELP, short_help="Train or load every cell of a suite, and measure it.")
@suite_options
@click.option("--out", type=PATH, help="Folder for records. [default: results/SUITE]")
@click.option("--from", "loaded", type=PATH, help="Measure this checkpoint (.safetensors) without training.")
@extractor_options
@click.option("--retry", is_flag=True, help="Repeat the cells that did not end ok.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan, then stop.")
def run(**options: Any) -> None:
    """Train or load every cell of SUITE, measure it, and write one record each.

    A run that was stopped goes on where it was, in the middle of a training too, and several runs may share a folder.
    Each cell has a process of its own; one that fails becomes a record with the reason, which --retry tries again.
    """
    from equibench.machine.device import resolve_device
    from equibench.run.loaded import only_loaded
    from equibench.run.session import Session

    suite, data = load_suite(options)
    out = options["out"] or Path("results") / suite.name
    device = resolve_device(options["device"])
    if options["loaded"]:
        suite = only_loaded(suite, options["loaded"], device, options["allow_code"])
    if options["dry_run"]:
        print_plan(suite, data, device)
        return
    check_writable(out)
    extractor = load_extractor(options, device, suite.measure.extractor)
    reload = partial(load_extractor, {**options, "download": False}, device, suite.measure.extractor)
    session = Session(suite, data, device, extractor, out, options["loaded"], options["allow_code"], reload)
    run_with_bars(session, options["retry"])


def print_plan(suite: Suite, data: Dataset, device: torch.device) -> None:
    """What every cell would train, and for how long by a rate measured now."""
    from rich.table import Table

    from equibench.machine.device import training_rate
    from equibench.machine.provenance import describe_machine
    from equibench.run.plan import plan
    from equibench.suite import cells

    rate = training_rate(device)
    table = Table("entrant", "seed", "parameters", "of the cap", "FLOPs an update", "updates", "images", "training")
    seconds = 0.0
    for cell in cells(suite):
        if cell.budget is None:
            continue
        planned = plan(cell, data.shape)
        cost = cell.budget.amount if planned.train_flops is None else planned.train_flops / rate
        seconds += cost
        updates = planned.allowance.updates
        table.add_row(
            cell.name,
            str(cell.seed),
            f"{planned.params:,}",
            f"{planned.params / cell.budget.params:.1%}",
            f"{planned.allowance.flops_per_update:.3g}",
            "until the time is spent" if updates is None else f"{updates:,}",
            "" if updates is None else f"{updates * planned.allowance.batch_size:,}",
            f"about {cost:.0f} s",
        )
    screen = console()
    screen.print(table)
    screen.print(
        f"{suite.name} on {data.name}: {len(data.train):,} training and {len(data.test):,} test images of "
        f"{'x'.join(str(side) for side in data.shape)}. Training takes about {seconds / 60:.1f} minutes at the "
        f"{rate / 1e9:.0f} GFLOP/s estimated for {describe_machine(device).device} (a quarter of its "
        "matrix-product rate, measured just now); measuring comes on top."
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
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    many = len(list(cells(session.suite)))
    failed = 0
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        total = progress.add_task("cells", total=many)
        part = progress.add_task("")
        doing = ""

        def tell(cell: Cell, what: str, share: float) -> None:
            nonlocal doing
            if (now := f"{cell.name} s{cell.seed}: {what}") != doing:
                progress.reset(part, total=1.0, description=now)
                doing = now
            progress.update(part, completed=share)

        for done in run_cells(session, tell, retry):
            progress.advance(total)
            failed += done.record.status != "ok"
            progress.console.print(_told(done), soft_wrap=True)
    if failed:
        click.echo(f"{failed} of {many} cells failed; their records say why", err=True)


def _told(done: Finished) -> str:
    """A finished cell in a line."""
    record = done.record
    outcome = record.status if record.status == "ok" else f"{record.status}: {record.reason}"
    commit = (record.code.commit or "unknown")[:8]
    took = f"there already, made by commit {commit}" if done.found else f"{record.clock['wall']:.0f} s"
    return f"{done.cell.name} s{done.cell.seed}: {took}, {outcome} -> {done.path}"


VERBS = (plan, run)
