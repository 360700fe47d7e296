"""The verb `selftest`: does all that a run asks of a device work here?"""

from __future__ import annotations

import click

from equibench.cli import endings
from equibench.cli.options import AS_JSON, DEVICE, console, print_json
from equibench.errors import UserError, nearest


@click.command(short_help="Try every path of a device on this machine, in two minutes.")
@DEVICE
@click.option("--only", metavar="NAME,...", help="Only these trials, such as 'compiled update'.")
@AS_JSON
def selftest(device: str, only: str | None, as_json: bool) -> None:
    """Try all that a run asks of a device, each in a process of its own: updates, samples and likelihoods of the four
    families, CUDA graphs, torch.compile, memory, energy, features, the digits of float32, a second GPU.

    Says what works, what does not and why, and what was left out and why; takes two minutes at most. Exit code 1 says
    that something does not work.
    """
    from rich.table import Table

    from equibench.machine.device import resolve_device
    from equibench.machine.provenance import describe_machine
    from equibench.selftest.trials import trials, tried

    on = resolve_device(device)
    wanted = trials(on)
    if only is not None:
        names = [trial.name for trial in wanted]
        for name in only.split(","):
            if name not in names:
                raise UserError(f"unknown trial {name!r}{nearest(name, names)}")
        wanted = [trial for trial in wanted if trial.name in only.split(",")]
    found, machine = [], describe_machine(on)
    with console(stderr=True).status("") as status:
        for result in tried(wanted):
            found.append(result)
            status.update(f"{len(found)} of {len(wanted)} tried")
    if as_json:
        results = [one._asdict() for one in found]
        print_json({"device": str(on), "machine": machine.model_dump(), "trials": results})
    else:
        table = Table("trial", "", "why", "seconds")
        words = {True: "works", False: "FAILS", None: "left out"}
        for one in found:
            table.add_row(one.name, words[one.works], one.why, f"{one.sec:.1f}")
        console().print(table)
    failed = [one.name for one in found if one.works is False]
    if failed:
        click.echo(f"{len(failed)} of {len(found)} trials fail on {machine.device}: {', '.join(failed)}.", err=as_json)
        raise click.exceptions.Exit(endings.WORSE)
    click.echo(f"All that was tried works on {machine.device}.", err=as_json)


VERBS = (selftest,)
