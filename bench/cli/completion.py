"""What a shell may offer after Tab: suites, their entrants, entrants of records, and names of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from equibench.errors import UserError

MOST_RECORDS = 200  # that are read for the names of entrants: a shell waits for this


def suites(*asked: Any) -> list[CompletionItem]:
    """Suites that ship, and TOML files. A shell asks with the context, the parameter and what was begun."""
    from equibench.suite import load, shipped

    begun = str(asked[-1])
    found = [CompletionItem(name, help=load(name).about) for name in shipped() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def entrants_of_suite(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Entrants of the suite before, separated by commas: what follows the last of them."""
    from equibench.suite import load

    try:
        names = [one.name for one in load(context.params.get("suite_name") or "quick").entrant]
    except UserError:
        return []
    before, comma, last = begun.rpartition(",")
    taken = before.split(",")
    return _offer((f"{before}{comma}{name}" for name in names if name not in taken and name.startswith(last)), begun)


def entrants_of_records(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Entrants of the records that --results names, or of those in results/: of some."""
    from equibench.record import find

    places = context.params.get("results") or (Path("results"),)
    names: dict[str, None] = {}
    try:
        for file in list(find.record_files(list(places), deep=True))[:MOST_RECORDS]:
            if one := find.read_if_record(file, list(places)):
                names[one.entrant] = None
    except UserError:
        return []
    return _offer(names, begun)


def metrics(*asked: Any) -> list[CompletionItem]:
    """Numbers that `cite` and --gate understand, by the names that need no quotes."""
    from equibench.quantities.glossary import COMPARED

    names = {"FD": "quality.value", "NFE": "speed.network_evaluations", "latency": "speed.latency_p50_sec"}
    paths = [quantity.path for quantity in COMPARED] + ["spent.flops", "spent.train_sec"]
    others = [path.rpartition(".")[2].replace(" ", "_") for path in paths if path not in names.values()]
    return _offer([*names, *others], str(asked[-1]))


def _offer(names: Iterable[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(begun)]
