"""The verb `plan`: what a run would train and what it would cost, counted before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli.options import (
    AS_JSON,
    PATH,
    SUITE_HELP,
    chosen_suite,
    console,
    load_suites,
    print_json,
    suite_options,
)
from equibench.errors import UserError
from equibench.measure.features.names import BFLOAT16
from equibench.terminal import visible

if TYPE_CHECKING:
    import torch

    from equibench.data.sets import Dataset
    from equibench.judge.seeds import Need
    from equibench.run.estimate import Cost
    from equibench.run.plan import Plan
    from equibench.suite import Cell, Suite


@dataclass(frozen=True)
class PlannedRun:
    """What a run of a suite would train, cell by cell, and how long by what a few updates took now."""

    suite: Suite
    data: Dataset
    device: str
    cells: list[tuple[Cell, Plan, Cost]]
    notes: list[str]

    def total(self, part: str) -> float:
        """The sum over all cells of "train_sec", "measure_sec" or "disk_bytes"."""
        return sum(float(getattr(cost, part)) for _, _, cost in self.cells)

    def as_json(self) -> dict[str, Any]:
        """All of it, in SI units; null where the budget is a length of time, whose updates nobody knows before."""
        return {
            "suite": self.suite.name,
            "data": {"name": self.data.name, "n_train": len(self.data.train), "n_test": len(self.data.test)},
            "device": self.device,
            **{part: self.total(part) for part in ("train_sec", "measure_sec", "disk_bytes")},
            "cells": [
                {
                    "entrant": cell.name,
                    "seed": cell.seed,
                    "params": planned.params,
                    "of_cap": planned.of_cap,
                    "flops_per_update": planned.allowance.flops_per_update,
                    "updates": planned.allowance.updates,
                    "batch_size": planned.allowance.batch_size,
                    "of_amount": planned.of_amount,
                    **cost._asdict(),
                }
                for cell, planned, cost in self.cells
            ],
            "notes": self.notes,
        }


DETECT_HELP = "Show how many seeds per side, and samples, `check` takes to see such a change: 5%, 0.02bits."


@click.command(epilog=SUITE_HELP, short_help="Show what a run would train, and what it would cost.")
@suite_options
@click.option("--detect", multiple=True, metavar="CHANGE", help=DETECT_HELP)
@click.option("--from-records", "records", multiple=True, type=PATH, help="Take the noise of --detect from these.")
@click.option("--gates", type=PATH, help="The gates file that the check will have, for --detect.")
@click.option("--resolved", is_flag=True, help="Print the suite itself, with what it extends and all defaults.")
@AS_JSON
def plan(**options: Any) -> None:
    """Show what a run of SUITE would train and what it would cost; trains nothing.

    With --detect it shows how many seeds and samples `equibench check` takes to see a change instead. With --resolved
    it prints the suite as the text of a .toml file that stands alone.
    """
    if options["resolved"]:
        print_resolved(options)
        return
    with working(f"planning {options['suite_name']}") as tell:
        from equibench.machine.device import resolve_device

        suites = load_suites(options)
        suite = suites[0][0]
        if options["detect"]:
            rows = needs_of(suite, options)
        elif options["records"] or options["gates"]:
            raise UserError("--from-records and --gates go with --detect, such as --detect 5%")
        else:
            device, network = resolve_device(options["device"]), network_meant(suite)
            planned = [plan_of(one, data, device, network, tell) for one, data in suites]
    if options["detect"]:
        print_needs(rows, options["as_json"])
        return
    print_plans(planned, options["as_json"])
    if not options["as_json"]:
        tell_changed(Path("results") / suite.name)


def print_resolved(options: dict[str, Any]) -> None:
    """The suite with the options laid over it, as TOML or JSON. Raises UserError."""
    from equibench import suite

    if options["detect"]:
        raise UserError("--resolved prints the suite and --detect what a check would see; give one of the two")
    chosen = chosen_suite(options, suite.read)
    if options["as_json"]:
        print_json(chosen.model_dump(exclude={"extends", "without"}))
    else:
        click.echo(suite.written(chosen), nl=False)


def network_meant(suite: Suite) -> str:
    """The feature network that the suite's name of one stands for here."""
    from equibench.measure.features.torch_fidelity import find_inception

    extractor = suite.measure.extractor
    if extractor.removesuffix(BFLOAT16) != "auto":
        return extractor
    return "inception-v3" if find_inception() else "efficientnet-lite0"


def needs_of(suite: Suite, options: dict[str, Any]) -> Sequence[Need]:
    """What `check` takes to see the change of --detect, of each entrant and number."""
    from equibench.judge import gatesfile, seeds
    from equibench.record import find

    records = [one for _, one in find.read_all(list(options["records"]))] if options["records"] else []
    return seeds.needs(suite, seeds.target(options["detect"]), gatesfile.read(options["gates"]), records)


def print_needs(found: Sequence[Need], as_json: bool) -> None:
    """The same as a table, a row an entrant and number, or as JSON."""
    from rich.table import Table

    if as_json:
        print_json([need._asdict() for need in found])
        return
    table = Table("entrant", "number", "noise", "a side", "samples", "why not")
    for need in found:
        many = f"{need.seeds} {need.unit if need.seeds > 1 else need.unit[:-1]}" if need.seeds else "\N{EN DASH}"
        samples = f"{need.samples:,}" if need.samples else ""
        table.add_row(need.entrant, need.number, need.noise, many, samples, need.why)
    console().print(table)


def plan_of(
    suite: Suite, data: Dataset, device: torch.device, extractor: str, tell: Callable[[str], None] = lambda what: None
) -> PlannedRun:
    """Plan every cell; `tell` hears which is being counted. Raises UserError for a mistake in any of them."""
    from equibench.machine.device import training_rate
    from equibench.machine.provenance import describe_machine
    from equibench.run.estimate import estimate
    from equibench.run.isolated import LIMIT_SEC, isolated_plan
    from equibench.run.pace import Pace
    from equibench.suite import cells

    tell("timing matrix products")
    pace = Pace(data.shape, device, training_rate(device))
    found: list[tuple[Cell, Plan, Cost]] = []
    loaded = [one.name for one in suite.entrant if one.loaded]
    notes = dict.fromkeys(f"{name} would be measured on {data.name}, without training." for name in loaded)
    for cell in cells(suite):
        if cell.budget is None or cell.loaded:
            continue
        tell(f"counting {cell.name}")
        planned = isolated_plan(cell, data.shape)
        if planned is None:
            why = f"its own code ended, or took longer than {LIMIT_SEC:.0f} s, as a few updates were tried"
            notes[f"{cell.name} cannot be planned: {why}."] = None
            continue
        tell(f"timing updates of {cell.name}")
        found.append((cell, planned, estimate(planned, data.shape, extractor, pace(planned), pace.measuring(planned))))
        if planned.size_remark:
            notes[planned.size_remark] = None
    told = [*notes, *(f"Note: {note}." for note in data.notes)]
    return PlannedRun(suite, data, describe_machine(device).device, found, told)


def print_plans(found: Sequence[PlannedRun], as_json: bool) -> None:
    """The plan on each data set; as JSON a list of them, or one alone as it is."""
    if as_json:
        documents = [one.as_json() for one in found]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    for one in found:
        print_plan(one)


def print_plan(found: PlannedRun) -> None:
    """The plan as a table, and what it comes to in a sentence."""
    from rich.table import Table

    from equibench.quantities.text import duration, tuning_words

    table = Table(
        "entrant", "seed", "parameters", "of the cap", "FLOPs an update", "updates", "images", "of the budget",
        "training", "measuring", "tuning",
    )  # fmt: skip
    for cell, planned, cost in found.cells:
        updates = planned.allowance.updates
        table.add_row(
            cell.name,
            str(cell.seed),
            f"{planned.params:,}",
            f"{planned.of_cap:.1%}{' (!)' if planned.size_remark else ''}",
            f"{planned.allowance.flops_per_update:.3g}",
            "until the time is spent" if updates is None else f"{updates:,}",
            "" if updates is None else f"{updates * planned.allowance.batch_size:,}",
            "" if planned.of_amount is None else f"{planned.of_amount:.2%}",
            duration(cost.train_sec),
            duration(cost.measure_sec),
            tuning_words(cell.entrant.tuning if cell.entrant else None, planned.train_flops),
        )
    screen, data = console(), found.data
    for note in () if found.cells else found.notes:
        screen.print(note)
    if not found.cells:
        return
    screen.print(table)
    screen.print(
        f"{found.suite.name} on {data.name}: {len(data.train):,} training and {len(data.test):,} test images of "
        f"{'x'.join(str(side) for side in data.shape)}. Training takes about {duration(found.total('train_sec'))} on "
        f"{found.device}, by a few updates of each shipped family, timed just now, and measuring, by a rough "
        f"count, about {duration(found.total('measure_sec'))}; records and checkpoints take about "
        f"{found.total('disk_bytes') / 1e6:,.0f} MB on the disk."
    )
    for note in found.notes:
        screen.print(note)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """On a terminal, says what is being done until it is done, from the first moment on; nothing elsewhere."""
    from rich.text import Text

    with console(stderr=True).status(Text(visible(what))) as status:
        yield lambda now: status.update(Text(visible(f"{what}: {now}")))


def tell_changed(folder: Path) -> None:
    """How many records in the folder, if it is one, a run into it would make again."""
    from equibench.run.status import made_otherwise

    for why, many in made_otherwise(folder).items():
        records = "1 record" if many == 1 else f"{many} records"
        note = f"Note: a run into {folder} makes {records} again, as what is there {why}; with --keep it does not."
        console().print(note, markup=False, soft_wrap=True)


VERBS = (plan,)
