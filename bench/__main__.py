"""The command line: parses, makes frozen values, calls one function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

import equibench
from equibench import UserError, nearest
from equibench.cli import judge as verbs

if TYPE_CHECKING:
    from equibench.suite import Suite

SUITE_HELP = "SUITE is the name of a suite (see `equibench ls`) or the path of your own .toml file."


class Verbs(click.Group):
    """Answers an unknown verb with the nearest known one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UserError(f"unknown verb {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(
    equibench.__version__, prog_name="equibench", message=f"%(prog)s %(version)s, protocol {equibench.PROTOCOL}"
)
def cli() -> None:
    """Compare GAN, VAE, normalizing flow and diffusion under equal budgets.

    \b
    A first session:
      equibench doctor                      what is on this machine
      equibench plan quick                  what a run would cost
      equibench run quick                   train and measure; goes on where it was if stopped
      equibench report results/quick        tables, figures and a page to read
      equibench check results/quick --baseline results/baseline    worse than before?
      equibench measure samples/ --dataset fashion-mnist-10k    samples of any tool
    """


def _suite_options(command: Any) -> Any:
    for decorate in reversed(
        (
            click.argument("suite_name", metavar="SUITE"),
            click.option("--dataset", help="Another data set than the suite's, by name or path."),
            click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data files."),
            click.option("--download", is_flag=True, help="Fetch data and feature weights that are not here."),
            click.option("--seeds", metavar="N,N,...", help="Other training seeds than the suite's."),
            click.option("--only", metavar="NAME,...", help="Only these entrants."),
            click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
        )
    ):
        command = decorate(command)
    return command


def _extractor_options(command: Any) -> Any:
    for decorate in reversed(
        (
            click.option("--extractor", metavar="NAME", help="Feature network (see `equibench ls`), or your own."),
            click.option(
                "--inception-weights", type=click.Path(path_type=Path), help="torch-fidelity's weight file, for FID."
            ),
        )
    ):
        command = decorate(command)
    return command


@cli.command(epilog=SUITE_HELP)
@_suite_options
def plan(**options: Any) -> None:
    """Show what a run of SUITE would train and what it would cost; trains nothing."""
    from equibench.cli import run as console
    from equibench.machine import device as machine

    suite, data = _load(options)
    console.print_plan(suite, data, machine.device(options["device"]))


@cli.command(epilog=SUITE_HELP)
@_suite_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder for records. [default: results/SUITE]")
@click.option(
    "--from", "loaded", type=click.Path(path_type=Path), help="Measure this checkpoint (.safetensors) without training."
)
@_extractor_options
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan, then stop.")
def run(**options: Any) -> None:
    """Train or load every cell of SUITE, measure it, and write one record each.

    A run that was stopped goes on where it was: finished cells are not repeated, a cell that was trained is not trained
    again. A cell that fails becomes a record with the reason; delete it to try again.
    """
    from equibench.cli import run as console
    from equibench.machine import device as machine
    from equibench.measure.features import extractor as features
    from equibench.run.cell import Setting

    suite, data = _load(options)
    out = options["out"] or Path("results") / suite.name
    device = machine.device(options["device"])
    if options["loaded"]:
        suite = _only_loaded(suite, options["loaded"], device)
    if options["dry_run"]:
        console.print_plan(suite, data, device)
        return
    _check_writable(out)
    name = options["extractor"] or suite.measure.extractor
    extractor = features.load(name, device, options["inception_weights"], options["download"])
    console.run_all(Setting(suite, data, device, extractor, out, options["loaded"]))


@cli.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the report.")
def report(results: tuple[Path, ...], out: Path) -> None:
    """Write tables, figures and a page from records: RESULTS are folders of records or single ones."""
    from equibench.report.write import write

    files = write(list(results), out)
    page = next(file for file in files if file.name == "index.html")
    click.echo(f"{len(files)} files; open {page}")


@cli.command()
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("--dataset", help="What the samples imitate: a data set by name or path.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--reference", type=click.Path(path_type=Path), help="Or statistics: an .npz with mu and sigma.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data files.")
@click.option("--download", is_flag=True, help="Fetch data and feature weights that are not here.")
@_extractor_options
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def measure(**options: Any) -> None:
    """Measure the quality of SAMPLES: a folder of images, an .npz or an .npy file, of any tool.

    \b
      equibench measure samples/ --dataset fashion-mnist-10k
      equibench measure samples.npz --reference statistics.npz --extractor inception-v3
    """
    from equibench.cli import run as console
    from equibench.machine import device as machine
    from equibench.measure import samples as measuring
    from equibench.measure.features import extractor as features

    device = machine.device(options["device"])
    name = options["extractor"] or "auto"
    extractor = features.load(name, device, options["inception_weights"], options["download"])
    with console.busy(f"{extractor.info.name} features, then metrics"):
        found = measuring.measure(
            options["samples"],
            extractor,
            dataset=options["dataset"],
            split=options["split"],
            statistics=options["reference"],
            data_root=options["data_root"],
            download=options["download"],
        )
    click.echo(found.model_dump_json(indent=2)) if options["as_json"] else console.print_measured(found)


@cli.command()
@click.argument("dataset")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data files.")
@click.option("--download", is_flag=True, help="Fetch data and feature weights that are not here.")
@_extractor_options
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def reference(**options: Any) -> None:
    """Write the statistics of DATASET's split to OUT, an .npz with mu and sigma that other tools read."""
    from equibench.cli import run as console
    from equibench.data import sets as data
    from equibench.machine import device as machine
    from equibench.measure.features import extractor as features
    from equibench.measure.quality import reference as references

    found = data.load(options["dataset"], options["data_root"], options["download"])
    name, device = options["extractor"] or "auto", machine.device(options["device"])
    extractor = features.load(name, device, options["inception_weights"], options["download"])
    out = options["out"] if options["out"].suffix == ".npz" else options["out"].with_name(options["out"].name + ".npz")
    images = getattr(found, options["split"])
    with console.busy(f"{extractor.info.name} features of {len(images):,} images"):
        of_split = references.of_images(options["split"], images, extractor)
    references.export(of_split, extractor.info, found.name, out)
    click.echo(f"{out}: {extractor.info.name}, {len(images):,} images of {found.name} ({options['split']})")


@cli.command()
def ls() -> None:
    """List the suites, families, data sets and feature extractors."""
    from rich.console import Console
    from rich.table import Table

    from equibench.data import sets as data
    from equibench.measure.features import extractor as features
    from equibench.suite import Entrant, load, shipped

    table = Table("kind", "name", "what it is")
    for name in shipped():
        table.add_row("suite", name, load(name).about)
    for family in get_args(Entrant.model_fields["family"].annotation):
        table.add_row("family", family, f"models/{family}.py; its settings go into an entrant's config")
    for extractor in features.EXTRACTORS:
        table.add_row("extractor", extractor, features.ABOUT[extractor])
    table.add_row("extractor", "FILE.pt, module:function", "your own: uint8 [N, 3, H, W] to features [N, d]")
    for source in data.describe():
        table.add_row("data set", source.name, f"{source.what} ({source.found})")
    Console().print(table)


@cli.command()
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data files.")
def doctor(data_root: Path | None) -> None:
    """Show device, threads, precision, extractor weights and data found on this machine."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from equibench.data import sets as data
    from equibench.machine import device as machine
    from equibench.measure.features import extractor as features

    found = machine.describe(machine.device("auto"))
    table = Table("what", "found", show_header=False)
    table.add_row("device", found.device)
    table.add_row("processor", f"{found.processor}, {found.cores} cores, {found.threads} threads used")
    table.add_row("memory", f"{found.memory_bytes / 2**30:.1f} GiB")
    table.add_row("precision", f"{found.precision} in networks, float32 where a likelihood or an inverse needs it")
    table.add_row("machine key", f"{found.key} (speeds of other keys are not compared)")
    for package, version in machine.versions().items():
        table.add_row(package, version)
    if not torch.cuda.is_available():
        table.add_row("CUDA", "none: everything runs on the processor")
    inception = features.find_inception()
    missing = f"no: put {features.INCEPTION_FILE} into torch's cache, or give --inception-weights"
    table.add_row("Inception-v3 (FID)", f"yes: {inception}" if inception else missing)
    table.add_row("EfficientNet-Lite0 (FD)", "yes: packaged")
    for source in data.describe(data_root):
        table.add_row(f"data: {source.name}", source.found)
    Console().print(table)


def _load(options: dict[str, Any]) -> tuple[Suite, Any]:
    """The suite with the options laid over it, and its data. Raises UserError."""
    from equibench import suite
    from equibench.data import sets as data

    chosen = suite.load(options["suite_name"])
    changes: dict[str, Any] = {}
    if options["dataset"]:
        changes["dataset"] = options["dataset"]
    if options["seeds"]:
        try:
            changes["seeds"] = [int(seed) for seed in options["seeds"].split(",")]
        except ValueError:
            raise UserError(f"--seeds takes whole numbers with commas between, not {options['seeds']!r}") from None
    if options["only"]:
        names = [entrant.name for entrant in chosen.entrant]
        wanted = options["only"].split(",")
        for name in wanted:
            if name not in names:
                raise UserError(f"unknown entrant {name!r}{nearest(name, names)}")
        changes["entrant"] = [entrant for entrant in chosen.entrant if entrant.name in wanted]
    chosen = chosen.model_copy(update=changes)
    found = data.load(chosen.dataset, options["data_root"], options["download"])
    return chosen, found.limited(chosen.train_images or len(found.train), chosen.test_images or len(found.test))


def _only_loaded(suite: Suite, path: Path, device: Any) -> Suite:
    """The suite with one entrant: the checkpoint, named after its file."""
    from equibench.run import checkpoint
    from equibench.suite import Entrant

    _, provenance = checkpoint.load(path, device)
    sampler = next((e.sampler for e in suite.entrant if e.family == provenance.family), {})
    entrant = Entrant.model_validate({"name": path.stem, "family": provenance.family, "sampler": sampler})
    return suite.model_copy(update={"entrant": [entrant], "seeds": suite.seeds[:1], "budget": suite.budget[:1]})


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".equibench-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); give another folder with --out") from None


for verb in (verbs.check, verbs.baseline, verbs.cite, verbs.verify):
    cli.add_command(verb)


def main() -> None:
    """Entry point: a user's mistake is one sentence on stderr and exit code 2."""
    try:
        cli(standalone_mode=False)
    except UserError as error:
        click.echo(f"equibench: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("equibench: stopped; finished cells are kept, the same command goes on", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
