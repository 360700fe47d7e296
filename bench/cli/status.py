"""The verb `status`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from equibench.cli.options import PATH, console


@click.command(short_help="Say what is done, running, failed and left.")
@click.argument("results", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def status(results: Path, as_json: bool) -> None:
    """Say what is done, running, failed, stopped and left of the runs into the folder RESULTS."""
    from rich.table import Table

    from equibench.run.status import status as look

    found = look(results)
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], indent=1))
        return
    table = Table("cell", "seed", "state", "detail")
    for one in found:
        table.add_row(one.cell, str(one.seed), one.state, one.detail)
    screen = console()
    screen.print(table)
    counts = Counter(one.state for one in found)
    screen.print(", ".join(f"{many} {state}" for state, many in counts.items()))


VERBS = (status,)
