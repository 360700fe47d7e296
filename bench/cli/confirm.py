"""Options of `check` that train fresh seeds, and what a person sees of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from equibench.cli.options import (
    ALLOW_CODE,
    DATA_ROOT,
    DOWNLOAD,
    PATH,
    RERUN_DEVICE,
    check_writable,
    console,
    extractor_options,
)
from equibench.errors import UserError

if TYPE_CHECKING:
    from equibench.judge.check import Check
    from equibench.judge.gates import Gates
    from equibench.record.schema import Record
    from equibench.run.crew import Crew
    from equibench.run.session import Session
    from equibench.run.taking import Finished

Command = TypeVar("Command", bound=Callable[..., Any])
CONFIRM_HELP = "Train so many fresh seeds of each entrant that looks worse; they alone decide."
OUT_HELP = "Folder for their records. [default: RESULTS-confirm]"
GIVEN = ("suite", "dataset", "data_root", "download", "extractor", "inception_weights", "device", "allow_code")


def confirm_options(command: Command) -> Command:
    """--confirm, and what a record names and does not hold, as `run` takes it."""
    for option in reversed(
        (
            click.option("--confirm", metavar="N", type=click.IntRange(1, 100), help=CONFIRM_HELP),
            click.option("--confirm-out", type=PATH, help=OUT_HELP),
            click.option("--suite", metavar="SUITE", help="The suite of --confirm. [default: the one in the records]"),
            click.option("--dataset", help="Its data, by name or path. [default: the records' or the suite's]"),
            DATA_ROOT,
            DOWNLOAD,
            extractor_options,
            RERUN_DEVICE,
            ALLOW_CODE,
        )
    ):
        command = option(command)
    return command


def confirmed(
    found: Check, results: Sequence[Path], options: dict[str, Any], gates: Gates, judge: Callable[..., Check]
) -> Check:
    """The check, with suspects decided by fresh seeds. `judge` is `compare` with all but records and gates given."""
    from equibench.judge.check import read
    from equibench.judge.confirm import confirm
    from equibench.judge.fresh import trainer
    from equibench.judge.rerun import Rerun

    out = options["confirm_out"] or _beside(results[0])
    if any(path.exists() and out.exists() and path.samefile(out) for path in (*results, *options["baseline"])):
        raise UserError(f"{out} holds what is compared; give another folder with --confirm-out")
    given, screen = Rerun(**{name: options[name] for name in GIVEN}), console(stderr=True)
    trained = trainer(results, out, given, lambda done: screen.print(_told(done), soft_wrap=True), side_by_side)

    def train(row: Mapping[int, Record], seeds: Sequence[int]) -> list[Record]:
        check_writable(out)
        return trained(row, seeds)

    return confirm(found, read(options["baseline"]), read(results), gates, judge, options["confirm"], train)


def side_by_side(session: Session) -> Crew | None:
    """A crew for a processor that has cores for several of the session's cells, of as many threads each as this process
    has; what is timed still has the machine alone.
    """
    import torch

    from equibench.engine.local import LaneCrew
    from equibench.machine.cores import usable_cores

    cores = usable_cores() if session.device.type == "cpu" else 1
    workers = min(cores // torch.get_num_threads(), len(session.cells))
    return LaneCrew(session, workers) if workers > 1 else None


def _told(done: Finished) -> str:
    record = done.record
    outcome = record.status if record.status == "ok" else f"{record.status}: {record.reason}"
    return f"fresh seed {record.seed} of {record.entrant}: {outcome} -> {done.path}"


def _beside(results: Path) -> Path:
    folder = (results if results.is_dir() else results.parent).absolute()
    return folder.with_name(f"{folder.name}-confirm")
