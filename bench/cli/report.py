"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

import click

from equibench.cli.options import PATH
from equibench.terminal import visible


@click.command(short_help="Write tables, figures and a page from records.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the report.")
def report(results: tuple[Path, ...], out: Path) -> None:
    """Write tables, figures and a page from records: RESULTS are folders of records or single ones."""
    import logging

    from equibench.report.write import write

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns at length where there is no home to cache in
    files = write(list(results), out)
    page = next(file for file in files if file.name == "index.html")
    click.echo(visible(f"{len(files)} files; open {page}"))


VERBS = (report,)
