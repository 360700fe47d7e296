"""The verb that measures two versions by turns."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from equibench.cli.endings import WORSE
from equibench.cli.options import ALLOW_CODE, DEVICE, PATH, VERBOSE, console
from equibench.terminal import visible
from equibench_models import FAMILIES


@click.command(short_help="Time two versions by turns on this machine.")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option("--results", multiple=True, type=PATH, help="What `run` wrote: the checkpoints beside these records.")
@click.option("--checkpoint", "checkpoints", multiple=True, type=PATH, help="Weights to load (.safetensors).")
@click.option("--only", metavar="NAME,...", default="", help="Only these entrants.")
@click.option("--pairs", type=click.IntRange(2, 1000), default=6, show_default=True, help="Turns of each version.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Of throughput and memory.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Limit of a series."
)
@DEVICE
@ALLOW_CODE
@click.option("--markdown", type=PATH, help="Write a summary in Markdown too; - prints it alone.")
@VERBOSE
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def turns(old: Path, new: Path, **options: Any) -> None:
    """Time the version NEW beside OLD, by turns in one job: exit code 0 if it is not slower, 1 if so.

    Each is a Python executable, an environment with equibench in it, a checkout of equibench, or, for a family of your
    own, of your project. Both load the same weights, so that nothing is trained. The smallest slowing that would have
    been seen stands in every line.
    """
    from equibench.judge import markdown, output, sides
    from equibench.judge import turns as judging

    if options["markdown"]:
        markdown.refuse(options["markdown"], options["as_json"])
    only = [name for name in options["only"].split(",") if name]
    weights = judging.weights_at(options["results"], options["checkpoints"], only, options["allow_code"])
    own = any(one.family not in FAMILIES for one in weights)
    task = {
        "device": _device(options["device"]),
        "batch_size": options["batch_size"],
        "limit_sec": options["seconds"],
    }
    with tempfile.TemporaryDirectory() as links, console(stderr=True).status("") as status:
        both = (
            sides.side_at("old", old, Path(links) / "old", own),
            sides.side_at("new", new, Path(links) / "new", own),
        )
        found = judging.measure(both, weights, task, options["pairs"], lambda what: status.update(Text(visible(what))))
    check = judging.judged(found)
    if options["markdown"]:
        markdown.write(check, options["markdown"], "equibench turns")
    if options["as_json"]:
        click.echo(json.dumps({**output.as_json(check), "turns": judging.raw(found)}, indent=1))
    elif not markdown.is_output(options["markdown"]):
        output.print_check(check, console(), options["verbose"])
    if check.failed:
        raise click.exceptions.Exit(WORSE)


def _device(name: str) -> str:
    from equibench.machine.device import resolve_device

    return str(resolve_device(name))


VERBS = (turns,)
