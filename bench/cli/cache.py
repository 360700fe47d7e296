"""The verb `cache`: what equibench keeps for another time, how large it is, and how to be rid of it."""

from __future__ import annotations

import sys

import click

from equibench.cli.options import console
from equibench.errors import UserError


@click.command(short_help="List, size or clear what equibench keeps.")
@click.option("--clear", is_flag=True, help="Remove what is listed.")
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
def cache(clear: bool, yes: bool) -> None:
    """List what equibench keeps for another time: computed features and downloaded data, with their sizes.

    Records, reports and checkpoints are no part of it, nor are the weights of feature networks, which lie in torch's
    own cache. What was removed is computed or downloaded again where it is needed.
    """
    from rich.table import Table

    from equibench import cache as keeping
    from equibench.data import sets

    folder = keeping.cache_folder()
    if folder == keeping.NOWHERE:
        click.echo("There is no cache, as this user has no home folder; XDG_CACHE_HOME may name one.")
        return
    found = keeping.kept(sets.downloads())
    total = sum(one.size_bytes for one in found)
    table = Table("what", "files", "size")
    for one in found:
        table.add_row(one.what, f"{len(one.files):,}", f"{one.size_bytes / 2**20:,.1f} MiB")
    if found:
        console().print(table)
    console().print(f"{folder} holds {total / 2**20:,.1f} MiB of equibench's ({total:,} bytes).", soft_wrap=True)
    if not clear or not found:
        return
    if not yes and not sys.stdin.isatty():
        raise UserError("--clear asks before it removes anything; give --yes where nobody can answer")
    if not yes and not click.confirm("Remove it?"):
        click.echo("Nothing was removed.")
        return
    try:
        freed = keeping.clear(found)
    except OSError as error:
        raise UserError(f"cannot remove {error.filename} ({error.strerror}); the others before it are gone") from None
    click.echo(f"Removed {freed / 2**20:,.1f} MiB.")


VERBS = (cache,)
