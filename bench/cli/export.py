"""The verb `export`: headline numbers to trackers."""

from __future__ import annotations

from pathlib import Path

import click

from equibench.cli.options import PATH
from equibench.errors import UserError
from equibench.terminal import visible

RESULTS = click.argument("results", nargs=-1, required=True, type=PATH)


@click.group(short_help="Tell headline numbers to MLflow, Weights & Biases or the Hub.")
def export() -> None:
    """Tell the headline numbers of results to a tool that people follow experiments in: one run for each row of the
    report, with its settings, its numbers (means, deviations, seeds) and their signatures. Nothing is sent over a
    network unless you give an address of one.
    """


@export.command(short_help="Runs of MLflow.")
@RESULTS
@click.option("--out", type=PATH, metavar="FOLDER", help="Write to a database in this folder.")
@click.option("--tracking-uri", metavar="URI", help="Tell the store or server at this address instead.")
@click.option("--experiment", default="equibench", show_default=True, help="Name of the experiment.")
def mlflow(results: tuple[Path, ...], out: Path | None, tracking_uri: str | None, experiment: str) -> None:
    """Make runs of MLflow of the rows of RESULTS. Runs that are there already are left as they are."""
    from equibench.trackers import to_mlflow
    from equibench.trackers.runs import runs

    if (out is None) == (tracking_uri is None):
        raise UserError("give either --out FOLDER, for a database there, or --tracking-uri URI")
    found = runs(results)
    uri, artifacts = to_mlflow.database(out) if out else (tracking_uri or "", None)
    _say(*to_mlflow.export(found, uri, experiment, artifacts), f"in the experiment {experiment} at {uri}")


@export.command(short_help="Offline runs of Weights & Biases.")
@RESULTS
@click.option("--out", required=True, type=PATH, metavar="FOLDER", help="Folder for the runs.")
@click.option("--project", default="equibench", show_default=True, help="Name of the project.")
def wandb(results: tuple[Path, ...], out: Path, project: str) -> None:
    """Write offline runs of Weights & Biases, one a row of RESULTS, which `wandb sync` can send."""
    from equibench.trackers import to_wandb
    from equibench.trackers.runs import runs

    _say(*to_wandb.export(runs(results), out, project), f"of the project {project} in {out / 'wandb'}")


@export.command("hub-card", short_help="A model card for the Hugging Face Hub.")
@RESULTS
@click.option("--out", required=True, type=PATH, metavar="FILE", help="The card to write, README.md of a model.")
@click.option("--entrant", metavar="NAME", help="Which entrant, where there are several.")
def hub_card(results: tuple[Path, ...], out: Path, entrant: str | None) -> None:
    """Write a model card with the numbers of one entrant of RESULTS as metadata, for the Hugging Face Hub."""
    from equibench.trackers import to_card
    from equibench.trackers.runs import runs

    run = to_card.chosen(runs(results), entrant)
    to_card.write(run, out)
    click.echo(visible(f"{out}: {run.name}, {len(run.numbers)} numbers"))


def _say(new: int, there: int, where: str) -> None:
    click.echo(visible(f"{new} new runs {where}" + (f"; {there} are there already" if there else "")))


VERBS = (export,)
