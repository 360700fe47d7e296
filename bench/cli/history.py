"""The verb `history`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from equibench.cli.options import PATH, console
from equibench.terminal import visible


@click.command(short_help="Show numbers over commits, with steps and their dates.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--number", "numbers", multiple=True, metavar="NAME", help="Also this number, as `cite` names it.")
@click.option("--baseline", metavar="WHAT", help="Say how far off it is: a folder of records, or a commit of RESULTS.")
@click.option("--repository", type=PATH, help="A git repository that says in which order commits come.")
@click.option("--out", type=PATH, metavar="PAGE", help="Write a page, an HTML file, with a chart for each number.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def history(
    results: tuple[Path, ...],
    numbers: tuple[str, ...],
    baseline: str | None,
    repository: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show the numbers of RESULTS, records of many commits in folders and their subfolders, over these commits.

    One line for each number: distance, likelihood, speed and memory of each entrant, their levels, and the steps
    between these, each dated by the commits that it lies between. Numbers that do not compare (other data, feature
    networks, settings, protocols; for speed and memory other machines) are lines of their own.
    """
    from rich.table import Table

    from equibench.history import output, page
    from equibench.history.history import history as look
    from equibench.history.overview import numbers_table
    from equibench.quantities.text import superscript

    if out:
        page.refuse(out)
    found = look(results, numbers, baseline=baseline, repository=repository)
    if out:
        page.write(found, out)
    if as_json:
        click.echo(json.dumps(output.as_json(found.judged, found.order, found.left_out), indent=1))
        return
    lines = numbers_table(found.judged, found.order, found.baseline)
    table = Table(*lines.labels)
    for line in lines.lines:
        table.add_row(*(entry.text + (f" ({entry.detail})" if entry.detail else "") for entry in line.entries))
    screen = console()
    screen.print(table)
    for place, note in enumerate(lines.notes, 1):
        screen.print(f"{superscript(place)} {note}")
    for one in found.left_out:
        screen.print(f"Left out: {one}.")
    if out:
        click.echo(visible(f"open {out}"))


VERBS = (history,)
