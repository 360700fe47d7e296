"""Verbs for samples of any tool: `measure` and `reference`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli.options import (
    ALLOW_CODE,
    DATA_ROOT,
    DEVICE,
    DOWNLOAD,
    PATH,
    SPLIT,
    console,
    extractor_options,
    load_extractor,
)
from equibench.terminal import visible

if TYPE_CHECKING:
    from rich.progress import TaskID

    from equibench.measure.samples import Measured, Tell
    from equibench.record.schema import Interval


@click.command(short_help="Measure the quality of samples of any tool.")
@click.argument("samples", type=PATH)
@click.option("--dataset", help="What the samples imitate: a data set by name or path.")
@SPLIT
@click.option("--reference", type=PATH, help="Or statistics: an .npz with mu and sigma.")
@DATA_ROOT
@DOWNLOAD
@extractor_options
@DEVICE
@ALLOW_CODE
@click.option("--allow-lossy", is_flag=True, help="Compare images compressed with loss with others that are not.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def measure(samples: Path, **options: Any) -> None:
    """Measure the quality of SAMPLES: a folder of images, an .npz or an .npy file, of any tool.

    \b
      equibench measure samples/ --dataset fashion-mnist-10k
      equibench measure samples.npz --reference statistics.npz --extractor inception-v3
    """
    from equibench.machine.device import resolve_device
    from equibench.measure.samples import measure

    extractor = load_extractor(options, resolve_device(options["device"]))
    with bars() as tell:
        found = measure(
            samples,
            extractor,
            dataset=options["dataset"],
            split=options["split"],
            statistics=options["reference"],
            data_root=options["data_root"],
            download=options["download"],
            allow_lossy=options["allow_lossy"],
            tell=tell,
        )
    click.echo(json.dumps(found.model_dump(mode="json"), indent=2)) if options["as_json"] else print_measured(found)


@click.command(short_help="Write the statistics of a data set to a file.")
@click.argument("dataset")
@click.argument("out", type=PATH)
@SPLIT
@DATA_ROOT
@DOWNLOAD
@extractor_options
@DEVICE
@ALLOW_CODE
@click.option("--force", is_flag=True, help="Replace a file at OUT, whatever it holds.")
def reference(dataset: str, out: Path, **options: Any) -> None:
    """Write the statistics of DATASET's split to OUT, an .npz with mu and sigma that other tools read."""
    from equibench.data import sets
    from equibench.machine.device import resolve_device
    from equibench.measure.quality import exchange
    from equibench.measure.quality.reference import reference_of_images

    file = out if out.suffix == ".npz" or out.is_dir() else out.with_name(out.name + ".npz")
    exchange.refuse_out(file, dataset, options["force"])
    extractor = load_extractor(options, resolve_device(options["device"]))
    split = options["split"]
    with bars() as tell:
        found = sets.streamed(
            dataset, options["data_root"], options["download"], lambda n: tell(f"reading {dataset}", n, 0)
        )
        part = found.part(split)
        of_split = reference_of_images(
            split, part, extractor, progress=lambda n: tell(f"features of {found.name}", n, len(part))
        )
    exchange.export(of_split, extractor.info, found.name, file)
    told = f"{file}: {extractor.info.name}, {len(part):,} of {found.name}'s {len(found.whole):,} images ({split})"
    for line in (told, *(f"Note: {note}." for note in found.notes)):
        click.echo(visible(line))


@contextmanager
def bars() -> Iterator[Tell]:
    """Progress on a terminal, with the time that is left where it is known how much there is; nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    stderr = console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as progress:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(visible(what), total=total or None)
            progress.update(tasks[what], advance=done)

        yield tell


def print_measured(found: Measured) -> None:
    """A table of all metrics, with their errors, then what they were measured with."""
    from rich.table import Table

    from equibench.quantities.glossary import of
    from equibench.quantities.metric import metric_names, metric_of
    from equibench.quantities.text import number
    from equibench.summary.distance import class_sentences, classes_in

    quality = found.quality
    assert quality.features is not None
    table = Table("metric", "value", "standard error", "95 % interval", "better")

    def row(name: str, value: float | None, stderr: float | None, interval: Interval | None, better: str) -> None:
        between = f"{number(interval.low, 4)} to {number(interval.high, 4)}" if interval else ""
        shown = "n/a" if value is None else number(value, 4)
        table.add_row(name, shown, number(stderr, 2) if stderr is not None else "", between, better)

    name = metric_names([metric])[metric] if (metric := metric_of(quality)) else quality.metric
    row(name, quality.value, quality.stderr, quality.interval, "lower")
    row(
        f"{quality.metric} without bias of the samples' N", quality.corrected, None, quality.corrected_interval, "lower"
    )
    for one in quality.also:
        row(one.name, one.value, one.stderr, None, of(f"quality.also.{one.name}").better)
    if test := quality.memorization:
        row("share nearer to training images", test.share_nearer_train, test.stderr, None, "0.5")
    screen = console()
    screen.print(table)
    against = f"{quality.reference} of {found.data.name}" if found.data else quality.reference
    many = f"{quality.n_reference:,} images" if quality.n_reference else "an unknown number of images"
    screen.print(
        f"{quality.n_samples:,} samples against {against} ({many}); {quality.features.name}, "
        f"{quality.features.preprocessing}."
    )
    if found.distance_parts:
        real = "training images" if quality.reference == "train" else "test images"
        for sentence in class_sentences(classes_in(found.distance_parts), "this model", real):
            screen.print(visible(sentence), markup=False, highlight=False)
    reasons = [quality.reason, *(one.reason for one in quality.also), *found.notes]
    for reason in dict.fromkeys(filter(None, reasons)):
        screen.print(f"Note: {reason}.")


VERBS = (measure, reference)
