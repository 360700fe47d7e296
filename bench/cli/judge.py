"""Verbs of the command line that judge and cite records: check, baseline, cite, verify."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from equibench.cli import completion
from equibench.cli.confirm import confirm_options, confirmed
from equibench.cli.endings import WORSE, say
from equibench.cli.options import AS_JSON, PATH, VERBOSE, console, print_json, rerun_options
from equibench.errors import UserError
from equibench.terminal import visible, visible_lines

if TYPE_CHECKING:
    from equibench.judge.verify import Verified

RESULTS = click.option(
    "--results",
    multiple=True,
    type=PATH,
    help="A record, or a folder of them, subfolders included. [default: results, without results/published]",
)
TOLERANCE_HELP = "Allow so large a change for the worse: per cent for quality, speed, memory and cost, else bits/dim."
MARGIN_HELP = "Demand to be shown that it is worse by less than this; quality and likelihood by default."
MARKDOWN_HELP = "Write a summary in Markdown too; - prints it alone. [default: $GITHUB_STEP_SUMMARY, where it is set]"
GATE_HELP = "Gate this number too, such as recall or NFE."
GATES = click.option("--gates", type=PATH, help="A gates file: tolerances, error rates, priors, windows (TOML).")


@click.command(short_help="Say whether results are worse than a baseline.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--baseline", required=True, multiple=True, type=PATH, help="Records to compare with.")
@GATES
@click.option("--gate", "also", multiple=True, metavar="NUMBER", shell_complete=completion.metrics, help=GATE_HELP)
@click.option("--tolerance", "tolerances", multiple=True, metavar="KIND=AMOUNT", help=TOLERANCE_HELP)
@click.option("--not-worse-than", "margins", multiple=True, metavar="[KIND=]PERCENT", help=MARGIN_HELP)
@click.option("--allow-vanished", is_flag=True, help="Rows of the baseline that the run lacks are no regression.")
@confirm_options
@click.option("--junit", type=PATH, help="Write JUnit XML to this file too.")
@click.option("--markdown", type=PATH, help=MARKDOWN_HELP)
@VERBOSE
@click.option("--github", is_flag=True, help="Print GitHub annotations. [default: where GITHUB_ACTIONS is set]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check(results: tuple[Path, ...], **options: Any) -> None:
    """Say whether RESULTS are worse than a baseline: exit code 0 if not, 1 if so, 2 if nothing could be compared.

    A number is worse only beyond its tolerance and if noise does not explain it; what that noise is taken to be, and
    which change would have been seen, stands beside each line. Numbers that changed though the weights did not are
    errors of the measurement, and fail too. With --confirm 3 one seed is enough to look for suspects: each
    entrant with p <= 0.2 in quality or likelihood is trained with three fresh seeds, by the suite and settings of the
    records, and these decide.
    """

    from equibench.judge import check as checking
    from equibench.judge import gatesfile, markdown, older, output
    from equibench.judge.margins import margins

    if options["junit"]:
        output.refuse_junit(options["junit"])
    if options["markdown"]:
        markdown.refuse(options["markdown"], options["as_json"])
    gates = gatesfile.read(options["gates"]).with_options(options["tolerances"], options["also"])
    asked = {"allow_vanished": options["allow_vanished"], "not_worse_than": margins(options["margins"])}
    found = checking.check(results, options["baseline"], gates=gates, **asked)
    if options["confirm"]:
        judge = partial(checking.compare, older=older.read(options["baseline"]), **asked)
        found = confirmed(found, results, options, gates, judge)
    if options["junit"]:
        output.write_junit(found, options["junit"])
    if options["markdown"]:
        markdown.write(found, options["markdown"])
    elif page := os.environ.get(markdown.SUMMARY):
        try:
            markdown.write(found, Path(page))
        except UserError as error:  # nobody asked for it, and the verdict stands
            say(str(error))
    if options["as_json"]:
        click.echo(json.dumps(output.as_json(found), indent=1))
    elif not markdown.is_output(options["markdown"]):
        output.print_check(found, console(), options["verbose"])
    if options["github"] or os.environ.get("GITHUB_ACTIONS"):
        for line in output.github_commands(found):
            click.echo(visible(line), err=options["as_json"] or markdown.is_output(options["markdown"]))
    if found.failed:
        raise click.exceptions.Exit(WORSE)


@click.command(short_help="Make results the baseline of `check`.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the baseline.")
@click.option("--update", is_flag=True, help="Replace the baseline that is there.")
@click.option("--allow-dirty", is_flag=True, help="Take records of code with uncommitted changes.")
@AS_JSON
def baseline(results: tuple[Path, ...], out: Path, update: bool, allow_dirty: bool, as_json: bool) -> None:
    """Make RESULTS the baseline that `equibench check` compares with; says what changes."""
    from equibench.judge import baseline as baselines

    changes = baselines.make(results, out, update=update, allow_dirty=allow_dirty)
    if as_json:
        print_json({"baseline": str(out), "changes": changes})
        return
    for change in changes:
        click.echo(visible(change))


@click.command(short_help="Print one number with all it takes to cite it.")
@click.argument("metric", required=False, shell_complete=completion.metrics)
@click.argument("entrant", required=False, shell_complete=completion.entrants_of_records)
@RESULTS
@click.option("--format", "form", type=click.Choice(["text", "latex", "bibtex", "json"]), default="text")
@click.option("--methods", is_flag=True, help="Print a methods paragraph to paste into a paper instead.")
def cite(metric: str | None, entrant: str | None, results: tuple[Path, ...], form: str, methods: bool) -> None:
    """Print one number with all that it takes to cite it: METRIC of ENTRANT.

    METRIC is a name as the report prints it (FD_5k, bits/dim, NFE, "Latency p50"), one in a signature, or the dotted
    path of a number in the records. ENTRANT may be a way to sample too, by its label ("vae, mean decoding").
    """
    from equibench.cite import citation
    from equibench.cite import methods as paragraphs

    places = searched(results)
    if methods:
        text = paragraphs.write(citation.gather(*places), form)
    elif metric is None or entrant is None:
        raise UserError("give METRIC and ENTRANT, such as `equibench cite bits_per_dim vae`, or --methods")
    else:
        text = citation.write(citation.cite(metric, entrant, *places), form)
    click.echo(text if form == "json" else visible_lines(text))


@click.command(short_help="Say whether a signature still holds.")
@click.argument("signature")
@RESULTS
@click.option("--rerun", is_flag=True, help="Train and measure the cells again, and compare.")
@rerun_options
@AS_JSON
def verify(signature: str, results: tuple[Path, ...], rerun: bool, as_json: bool, **options: Any) -> None:
    """Say whether SIGNATURE still holds: exit code 0 if so, 1 if not, 2 if its records cannot be found.

    It may be pasted as it stands in print, with line breaks or TeX's escapes. A text file instead, or - for stdin, is
    searched for signatures, and all of them are verified.

    A record holds the hash of its data, not the data, and the names of a suite, a feature network and a checkpoint:
    where these are files of your own, give them to --rerun as you gave them to `run`.
    """
    from equibench.judge import verify as verifying
    from equibench.judge.rerun import Rerun

    places, without = searched(results)
    again = Rerun(**options) if rerun else None
    text, document = verifying.text_of(signature)
    if document:
        found = verifying.verify_all(text, places, rerun=again, without=without)
    else:
        found = [verifying.Verified(None, verifying.verify(text, places, rerun=again, without=without))]
    if as_json:
        print_json([_as_json(one) for one in found])
    for one in found if not as_json else ():
        if one.signature:
            click.echo(visible(f"{one.signature.shown}:"))
        for finding in [*one.findings, *([verifying.Finding(None, one.missing)] if one.missing else [])]:
            mark = {True: "holds", False: "DOES NOT HOLD", None: "not known"}[finding.holds]
            click.echo(visible(f"{'  ' if document else ''}{mark}: {finding.sentence}"))
    if any(finding.holds is False for one in found for finding in one.findings):
        raise click.exceptions.Exit(WORSE)
    if missing := [one for one in found if one.missing]:
        total = sum(bool(one.signature or one.missing) for one in found)
        what_to_do = [
            *(["give their records with --results"] if any(one.signature for one in missing) else []),
            *(["look at those that are not whole"] if not all(one.signature for one in missing) else []),
        ]
        raise UserError(f"{len(missing)} of {total} signatures could not be verified; {', and '.join(what_to_do)}")


def _as_json(one: Verified) -> dict[str, Any]:
    """A signature, null for one that was given alone, with what was found of it."""
    return {
        "signature": one.signature.shown if one.signature else None,
        "findings": [finding._asdict() for finding in one.findings],
        "missing": one.missing or None,
    }


def searched(results: tuple[Path, ...]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Where records are looked for, and what is left out there: by default all of one's own, not those that came with
    a checkout.
    """
    return (results, ()) if results else ((Path("results"),), ("published",))


VERBS = (check, baseline, cite, verify)
