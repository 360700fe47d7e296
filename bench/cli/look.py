"""Verbs that look around: `ls`, `doctor` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from equibench.cli.options import AS_JSON, DATA_ROOT, console, print_json


@click.command(short_help="List suites, families, data sets and extractors.")
@AS_JSON
def ls(as_json: bool) -> None:
    """List the suites, families, data sets and feature extractors."""
    from rich.table import Table

    from equibench.data import sets
    from equibench.measure.features.names import ABOUT, EXTRACTORS
    from equibench.suite import load, shipped
    from equibench_models import FAMILIES

    rows = [("suite", name, load(name).about) for name in shipped()]
    for family, place in FAMILIES.items():
        rows.append(("family", family, f"{place}; its settings go into an entrant's config and sampler"))
    rows.append(("family", "module:Class", "your own, by the contract of equibench_models.contract"))
    rows += [("extractor", extractor, ABOUT[extractor]) for extractor in EXTRACTORS]
    rows.append(("extractor", "FILE.pt, module:function", "your own: uint8 [N, 3, H, W] to features [N, d]"))
    rows += [("data set", source.name, f"{source.what} ({source.found})") for source in sets.describe()]
    if as_json:
        print_json([{"kind": kind, "name": name, "about": about} for kind, name, about in rows])
        return
    table = Table("kind", "name", "what it is")
    for row in rows:
        table.add_row(*row)
    console().print(table)


@click.command(short_help="Show what is on this machine.")
@DATA_ROOT
@AS_JSON
def doctor(data_root: Path | None, as_json: bool) -> None:
    """Show device, threads, precision, extractor weights and data found on this machine."""
    from rich.table import Table

    from equibench.data import sets
    from equibench.machine.code import package_versions
    from equibench.machine.device import resolve_device
    from equibench.machine.provenance import describe_machine

    found, versions, inception = describe_machine(resolve_device("auto")), package_versions(), _inception()
    data = {source.name: source.found for source in sets.describe(data_root)}
    if as_json:
        print_json({"machine": found.model_dump(), "versions": versions, "inception_v3": inception, "data": data})
        return
    table = Table("what", "found", show_header=False)
    table.add_row("device", found.device if found.device != "cpu" else "cpu: there is no GPU that CUDA can use")
    table.add_row("processor", f"{found.processor}, {found.cores} cores, {found.threads} threads used")
    table.add_row("memory", f"{found.memory_bytes / 2**30:.1f} GiB")
    table.add_row("precision", f"{found.precision} in networks, float32 where a likelihood or an inverse needs it")
    table.add_row("machine key", f"{found.key} (speeds of other keys are not compared)")
    for package, version in versions.items():
        table.add_row(package, version)
    table.add_row("Inception-v3 (FID)", inception)
    table.add_row("EfficientNet-Lite0 (FD)", "yes: packaged")
    for name, where in data.items():
        table.add_row(f"data: {name}", where)
    console().print(table)


def _inception() -> str:
    """Whether FID can be measured, and else what to do for it."""
    from equibench.hashing import file_sha256
    from equibench.measure.features.names import INCEPTION_FILE
    from equibench.measure.features.torch_fidelity import find_inception, published_sha256

    file = find_inception()
    if not file:
        return f"no: put {INCEPTION_FILE} into torch's cache, or give --inception-weights"
    same = file_sha256(file) == published_sha256("inception-v3")
    return f"yes: {file}" if same else f"no: the sha256 of {file} is not the published one; fetch it again"


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
