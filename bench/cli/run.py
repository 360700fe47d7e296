"""What a person sees of a plan and of a run."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext

import click
import psutil
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from equibench.data.sets import Dataset
from equibench.machine import device as machine
from equibench.measure.samples import Measured
from equibench.quantities.metric import metric_names, metric_of
from equibench.quantities.text import number
from equibench.record.schema import Interval
from equibench.run.cell import Setting, record_path, run_cell
from equibench.run.plan import plan
from equibench.suite import Suite, cells


def print_plan(suite: Suite, data: Dataset, device: torch.device) -> None:
    """What every cell would train, and for how long by a rate measured now."""
    rate = machine.training_rate(device)
    table = Table("entrant", "seed", "parameters", "of the cap", "FLOPs an update", "updates", "images", "training")
    seconds = 0.0
    for cell in cells(suite):
        if cell.budget is None:
            continue
        planned = plan(cell, data.shape)
        cost = cell.budget.amount if planned.train_flops is None else planned.train_flops / rate
        seconds += cost
        updates = planned.updates
        table.add_row(
            cell.name,
            str(cell.seed),
            f"{planned.params:,}",
            f"{planned.params / cell.budget.params:.1%}",
            f"{planned.flops_per_update:.3g}",
            "until the time is spent" if updates is None else f"{updates:,}",
            "" if updates is None else f"{updates * planned.config['batch_size']:,}",
            f"about {cost:.0f} s",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{suite.name} on {data.name}: {len(data.train):,} training and {len(data.test):,} test images of "
        f"{'x'.join(str(side) for side in data.shape)}. Training takes about {seconds / 60:.1f} minutes at the "
        f"{rate / 1e9:.0f} GFLOP/s estimated for {machine.describe(device).device} (a quarter of its "
        "matrix-product rate, measured just now); measuring comes on top."
    )


def run_all(setting: Setting) -> None:
    """Run every cell of the suite, with progress bars on a terminal and a line for each that is done."""
    todo = list(cells(setting.suite))
    if not setting.loaded:
        for cell in todo:  # a mistake in the last entrant is found before the first is trained
            if cell.entrant is not None:
                plan(cell, setting.data.shape)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    failed = 0
    # of the time now, what no record's clock holds yet: it is the next one's
    begun = psutil.Process().create_time()
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        total = progress.add_task("cells", total=len(todo))
        part = progress.add_task("")
        for cell in todo:
            name = f"{cell.name} s{cell.seed}"
            found = record_path(cell, setting).exists()
            doing = ""

            def tell(what: str, share: float, name: str = name) -> None:
                nonlocal doing
                if what != doing:
                    progress.reset(part, total=1.0, description=f"{name}: {what}")
                    doing = what
                progress.update(part, completed=share)

            path, record = run_cell(cell, setting, tell, time.time() - begun)
            begun += record.clock["wall"] if not found else 0.0
            progress.advance(total)
            outcome = record.status if record.status == "ok" else f"{record.status}: {record.reason}"
            failed += record.status != "ok"
            commit = (record.code.commit or "unknown")[:8]
            took = f"there already, made by commit {commit}" if found else f"{record.clock['wall']:.0f} s"
            progress.console.print(f"{name}: {took}, {outcome} -> {path}", soft_wrap=True)
    if failed:
        click.echo(f"{failed} of {len(todo)} cells failed; their records say why", err=True)


def busy(doing: str) -> AbstractContextManager[object]:
    """A sign of life on a terminal while something takes long; nothing elsewhere."""
    return Console(stderr=True).status(doing) if sys.stderr.isatty() else nullcontext()


def print_measured(found: Measured) -> None:
    """A table of all metrics, with their errors, then what they were measured with."""
    quality = found.quality
    assert quality.features is not None
    table = Table("metric", "value", "standard error", "95 % interval", "better")

    def row(name: str, value: float | None, stderr: float | None, interval: Interval | None, better: str) -> None:
        between = f"{number(interval.low, 4)} to {number(interval.high, 4)}" if interval else ""
        shown = "n/a" if value is None else number(value, 4)
        table.add_row(name, shown, number(stderr, 2) if stderr is not None else "", between, better)

    name = metric_names([metric])[metric] if (metric := metric_of(quality)) else quality.metric
    row(name, quality.value, quality.stderr, quality.interval, "lower")
    row(f"{quality.metric} without bias", quality.corrected, None, quality.corrected_interval, "lower")
    for one in quality.also:
        row(one.name, one.value, one.stderr, None, "higher" if one.higher_is_better else "lower")
    if test := quality.memorization:
        row("share nearer to training images", test.share_nearer_train, test.stderr, None, "0.5")
    console = Console()
    console.print(table)
    against = f"{quality.reference} of {found.data.name}" if found.data else quality.reference
    many = f"{quality.n_reference:,} images" if quality.n_reference else "an unknown number of images"
    console.print(
        f"{quality.n_samples:,} samples against {against} ({many}); {quality.features.name}, "
        f"{quality.features.preprocessing}."
    )
    reasons = [quality.reason, *(one.reason for one in quality.also), *found.notes]
    for reason in dict.fromkeys(filter(None, reasons)):
        console.print(f"Note: {reason}.")
