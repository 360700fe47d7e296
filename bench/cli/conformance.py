"""Verbs for models of one's own: `validate` and `new-model`."""

from __future__ import annotations

from pathlib import Path

import click

from equibench.cli import endings
from equibench.cli.options import ALLOW_CODE, DOWNLOAD, PATH, console
from equibench.errors import UserError, nearest
from equibench.usercode import require_consent


@click.command(short_help="Run the contract on an entrant, its claims included.")
@click.argument("entrant")
@click.option("--suite", "suite_name", metavar="SUITE", help="ENTRANT is the name of one in this suite.")
@click.option("--shape", default="1,8,8", show_default=True, help="C,H,W that a family is built for.")
@DOWNLOAD
@ALLOW_CODE
def validate(entrant: str, suite_name: str | None, shape: str, download: bool, allow_code: bool) -> None:
    """Run the contract on ENTRANT and say what fails, and why.

    ENTRANT is the name of a family or of an installed entry point, your class as module:Class, a checkpoint, a folder
    or file of samples, or, with --suite, the name of any entrant in a suite. Exit code 1 says that a claim does not
    hold.
    """
    from rich.table import Table

    from equibench import suite
    from equibench.conformance.entrant import named
    from equibench.conformance.entrant import validate as look_at
    from equibench.outside.fetched import located_one

    try:
        channels, height, width = sides = [int(side) for side in shape.split(",")]
        if min(sides) < 1:
            raise ValueError("no image has such a side")
    except ValueError:
        raise UserError(f"--shape takes channels, height and width, such as 1,8,8, not {shape!r}") from None
    if suite_name is None:
        one = named(entrant)
    else:
        chosen = suite.load(suite_name)
        names = [known.name for known in chosen.entrant]
        if entrant not in names:
            raise UserError(f"unknown entrant {entrant!r}{nearest(entrant, names)}")
        one = chosen.entrant[names.index(entrant)]
        for code in suite.code_in(chosen.model_copy(update={"entrant": [one]}), extractor=False):
            require_consent(f"{code}, which the suite {chosen.name} names,", allow_code)
    one = located_one(one, download)
    findings = look_at(one, (channels, height, width), allow_code=allow_code)
    table = Table("claim", "", "why")
    words = {True: "holds", False: "FAILS", None: "does not apply"}
    for finding in findings:
        table.add_row(finding.claim, words[finding.holds], finding.why)
    console().print(table)
    failed = [finding.claim for finding in findings if finding.holds is False]
    if failed:
        click.echo(f"{len(failed)} of {len(findings)} claims do not hold: {'; '.join(failed)}.")
        raise click.exceptions.Exit(endings.WORSE)
    click.echo(f"All claims that apply to {entrant} hold.")


@click.command("new-model", short_help="Write a working skeleton of a family of your own.")
@click.argument("name")
@click.option("--out", type=PATH, default=Path(), help="Folder to write to. [default: this one]")
def new_model(name: str, out: Path) -> None:
    """Write NAME.py, a family that trains and samples as it stands, test_NAME.py, which runs the contract on it, and
    NAME.toml, a suite that has it beside the four families. Nothing that is there is written over.
    """
    from equibench.conformance.skeleton import class_name, write

    for path in write(name, out):
        click.echo(f"Wrote {path}")
    click.echo(f"Next, in {out}: equibench validate {name}:{class_name(name)}")


VERBS = (validate, new_model)
