"""Options of `run` that say who does its cells: this machine, one or several at once, or the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from equibench.cli.options import console, load_extractor, more_extractors
from equibench.errors import UserError

if TYPE_CHECKING:
    import torch

    from equibench.run.crew import Crew
    from equibench.run.session import Session
    from equibench.run.taking import Finished

Command = TypeVar("Command", bound=Callable[..., Any])
NUMBER = click.IntRange(1, 10_000)
ENGINE_HELP = "Who does the cells: this machine, or the nodes of a Ray cluster (extra [cluster])."
WORKERS_HELP = "Cells at once. [default: 1 here; on a cluster as many as it has places for]"
ADDRESS_HELP = "A running Ray cluster's, such as auto. [default: Ray is started on this machine alone]"
NODE_HELP = "Only nodes with this custom resource of Ray."


def engine_options(command: Command) -> Command:
    """--engine, and what goes with it."""
    for option in reversed(
        (
            click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help=ENGINE_HELP),
            click.option("--workers", type=NUMBER, metavar="N", help=WORKERS_HELP),
            click.option("--threads", type=NUMBER, metavar="N", help="Threads of a cell. [default: PyTorch's]"),
            click.option("--address", metavar="ADDRESS", help=ADDRESS_HELP),
            click.option("--node", metavar="NAME", help=NODE_HELP),
        )
    ):
        command = option(command)
    return command


def use_threads(options: dict[str, Any]) -> None:
    """Give this process the threads that a cell is to have, which decide on its record's key."""
    import torch

    if options["threads"]:
        torch.set_num_threads(options["threads"])


def device_here(options: dict[str, Any]) -> torch.device:
    """The device that this process works on: that of the cells, the processor where they run elsewhere, or under
    torchrun the one that it has there. Raises UserError.
    """
    from equibench.machine.device import resolve_device
    from equibench.run.ranks import ranks_here

    device, ranks = resolve_device("cpu" if options["engine"] == "ray" else options["device"]), ranks_here()
    if ranks is None or device.type == "cpu":
        return device
    return resolve_device(f"cuda:{ranks.local_rank}")


def with_ranks(session: Session, options: dict[str, Any]) -> Session:
    """The session, of one of several processes where torchrun started them. Raises UserError."""
    from equibench.run.helping import check_shared
    from equibench.run.ranks import ranks_here

    ranks = ranks_here()
    if ranks is None:
        return session
    if options["engine"] != "local" or (options["workers"] or 1) > 1:
        raise UserError("torchrun gives each entrant all its processes; leave --engine and --workers out")
    session = replace(session, ranks=ranks)
    check_shared(session)
    return session


def run_or_help(session: Session, options: dict[str, Any], run: Callable[..., list[Finished]]) -> list[Finished] | None:
    """Run the session's cells by `run`; None of a process that helps another one to. Raises UserError."""
    session = with_ranks(session, options)
    if session.ranks is None:
        session, crew = with_crew(session, options)
        return run(session, crew=crew)
    if session.ranks.rank:
        from equibench.run.helping import help_with_cells

        help_with_cells(session)
        return None
    store = session.ranks.store()
    try:
        return run(session)
    finally:
        store.set("over", "yes")


def with_crew(session: Session, options: dict[str, Any]) -> tuple[Session, Crew | None]:
    """The session, and who does its cells; None where this process has each done in its turn. Raises UserError."""
    if options["engine"] == "ray":
        return _on_ray(session, options)
    if options["address"] or options["node"]:
        raise UserError("--address and --node go with --engine ray")
    workers = options["workers"] or 1
    if workers == 1:
        return session, None
    from equibench.engine.local import LaneCrew

    return session, LaneCrew(session, workers)


def _on_ray(session: Session, options: dict[str, Any]) -> tuple[Session, Crew]:
    import torch

    from equibench.engine import on_ray

    on_ray.connect(options["address"])
    node = on_ray.node_of(
        options["device"], torch.get_num_threads(), options["node"], grows=options["address"] is not None
    )
    console(stderr=True).print(f"Waiting for a node with {node.words}.")
    there = torch.device(node.device)
    reload = partial(load_extractor, {**options, "download": False}, there, session.suite.measure.extractor)
    reload_more = partial(more_extractors, {**options, "download": False}, there, session.suite)
    crew = on_ray.RayCrew(replace(session, reload=reload, reload_more=reload_more), node, options["workers"])
    return crew.session, crew
