"""The verb `archive`."""

from __future__ import annotations

from pathlib import Path

import click

from equibench.cli.options import PATH
from equibench.terminal import visible


@click.command(short_help="Pack results for a paper into one file.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, metavar="FILE.zip", help="The archive to write.")
@click.option("--suite", "suites", multiple=True, type=PATH, help="The TOML file of a suite of your own.")
@click.option("--lock", "locks", multiple=True, type=PATH, help="A lock file with hashes of packages.")
@click.option("--wheels", multiple=True, type=PATH, help="A folder of wheels, to be hashed.")
def archive(
    results: tuple[Path, ...], out: Path, suites: tuple[Path, ...], locks: tuple[Path, ...], wheels: tuple[Path, ...]
) -> None:
    """Pack RESULTS for a paper: records with their arrays, report, suite, environment, a requirements file, and answers
    for a reproducibility checklist.

    `equibench verify` and `cite` take the archive as --results. Hashes of packages are written where they are known: of
    a lock file (requirements with hashes, pylock.toml, uv.lock, poetry.lock), of wheels at hand, or of what pip noted.
    """
    import logging

    from equibench.archive.pack import pack

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # as in `report`
    packed = pack(results, out, suites=suites, locks=locks, wheels=wheels)
    click.echo(
        visible(f"{out}: {packed.records} records, {packed.arrays} with arrays, {packed.size_bytes / 2**20:.1f} MiB")
    )
    for note in packed.notes:
        click.echo(visible(note))


VERBS = (archive,)
