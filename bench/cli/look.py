"""Verbs that look around: `ls`, `doctor` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from equibench.cli.options import DATA_ROOT, console


@click.command(short_help="List suites, families, data sets and extractors.")
def ls() -> None:
    """List the suites, families, data sets and feature extractors."""
    from rich.table import Table

    from equibench.data import sets
    from equibench.measure.features.names import ABOUT, EXTRACTORS
    from equibench.suite import load, shipped
    from equibench_models import FAMILIES

    table = Table("kind", "name", "what it is")
    for name in shipped():
        table.add_row("suite", name, load(name).about)
    for family, place in FAMILIES.items():
        table.add_row("family", family, f"{place}; its settings go into an entrant's config and sampler")
    table.add_row("family", "module:Class", "your own, by the contract of equibench_models.contract")
    for extractor in EXTRACTORS:
        table.add_row("extractor", extractor, ABOUT[extractor])
    table.add_row("extractor", "FILE.pt, module:function", "your own: uint8 [N, 3, H, W] to features [N, d]")
    for source in sets.describe():
        table.add_row("data set", source.name, f"{source.what} ({source.found})")
    console().print(table)


@click.command(short_help="Show what is on this machine.")
@DATA_ROOT
def doctor(data_root: Path | None) -> None:
    """Show device, threads, precision, extractor weights and data found on this machine."""
    import torch
    from rich.table import Table

    from equibench.data import sets
    from equibench.hashing import file_sha256
    from equibench.machine.code import package_versions
    from equibench.machine.device import resolve_device
    from equibench.machine.provenance import describe_machine
    from equibench.measure.features.names import INCEPTION_FILE
    from equibench.measure.features.torch_fidelity import find_inception, published_sha256

    found = describe_machine(resolve_device("auto"))
    table = Table("what", "found", show_header=False)
    table.add_row("device", found.device)
    table.add_row("processor", f"{found.processor}, {found.cores} cores, {found.threads} threads used")
    table.add_row("memory", f"{found.memory_bytes / 2**30:.1f} GiB")
    table.add_row("precision", f"{found.precision} in networks, float32 where a likelihood or an inverse needs it")
    table.add_row("machine key", f"{found.key} (speeds of other keys are not compared)")
    for package, version in package_versions().items():
        table.add_row(package, version)
    if not torch.cuda.is_available():
        table.add_row("CUDA", "none: everything runs on the processor")
    shown = f"no: put {INCEPTION_FILE} into torch's cache, or give --inception-weights"
    if inception := find_inception():
        same = file_sha256(inception) == published_sha256("inception-v3")
        shown = f"yes: {inception}" if same else f"no: {inception} has not the published sha256; fetch it again"
    table.add_row("Inception-v3 (FID)", shown)
    table.add_row("EfficientNet-Lite0 (FD)", "yes: packaged")
    for source in sets.describe(data_root):
        table.add_row(f"data: {source.name}", source.found)
    console().print(table)


@click.command(short_help="Print the JSON Schema of records, suites or gates files.")
@click.argument("what", type=click.Choice(["record", "suite", "gates"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a record, or of a suite or a gates file as in its TOML file: every field with its type
    and unit.
    """
    from pydantic import BaseModel

    from equibench.judge.gates import Gates
    from equibench.record.json_schema import json_schema
    from equibench.record.schema import Record
    from equibench.suite import Suite

    models: dict[str, type[BaseModel]] = {"record": Record, "suite": Suite, "gates": Gates}
    click.echo(json.dumps(json_schema(models[what]), indent=2))


VERBS = (ls, doctor, schema)
