"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from equibench.cli import completion
from equibench.errors import UserError, nearest
from equibench.usercode import require_consent

if TYPE_CHECKING:
    import torch

    from equibench.cli.screen import Screen
    from equibench.data.sets import Dataset
    from equibench.measure.features.extractor import Extractor
    from equibench.run.session import Session
    from equibench.suite import Suite

Command = TypeVar("Command", bound=Callable[..., Any])
SUITE_HELP = "SUITE is the name of a suite (see `equibench ls`) or the path of your own .toml file."
PATH = click.Path(path_type=Path)
DATA_ROOT = click.option("--data-root", type=PATH, help="Folder that holds the data files.")
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
RERUN_DEVICE = click.option("--device", help="cpu, cuda or cuda:N. [default: the record's, or one of its name]")
DOWNLOAD = click.option("--download", is_flag=True, help="Fetch data, feature weights and pipelines that are not here.")
ALLOW_CODE = click.option(
    "--allow-code", is_flag=True, help="Run code that a suite or file brings: own families, extractors, TorchScript."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
ONCE = ("retry", "dry_run", "as_json")  # options that a command given again need not have
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show what passed, and what is only reported, too.")
SPLIT = click.option(
    "--split",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="Which images of the data set; all of them with `all`.",
)


def tuning_options(command: Command) -> Command:
    """SUITE, and what may be changed in it by those who choose the seeds themselves."""
    return _all(
        click.argument("suite_name", metavar="SUITE", shell_complete=completion.suites),
        click.option("--dataset", help="Another data set than the suite's, by name or path."),
        DATA_ROOT,
        DOWNLOAD,
        click.option(
            "--only", metavar="NAME,...", help="Only these entrants.", shell_complete=completion.entrants_of_suite
        ),
        DEVICE,
        ALLOW_CODE,
    )(command)


def suite_options(command: Command) -> Command:
    """SUITE, and what may be changed in it."""
    seeds = click.option("--seeds", metavar="N,N,...", help="Other training seeds than the suite's.")
    return _all(tuning_options, seeds)(command)


def extractor_options(command: Command) -> Command:
    return _all(
        click.option("--extractor", metavar="NAME", help="Feature network (see `equibench ls`), or your own."),
        click.option("--inception-weights", type=PATH, help="torch-fidelity's weight file, for FID."),
    )(command)


def rerun_options(command: Command) -> Command:
    """What a record names and does not hold, as `run` takes it."""
    return _all(
        click.option("--suite", metavar="SUITE", help="The suite of --rerun. [default: the one in the record]"),
        click.option("--dataset", help="Its data, by name or path. [default: the record's or the suite's]"),
        DATA_ROOT,
        DOWNLOAD,
        extractor_options,
        click.option("--from", "loaded", type=PATH, help="The checkpoint that was measured without training."),
        RERUN_DEVICE,
        ALLOW_CODE,
    )(command)


def given_again(**changes: str) -> str:
    """The command line that was given, with changes and without what is for once, to be pasted."""
    context = click.get_current_context()
    given = {name: value for name, value in context.params.items() if name not in ONCE} | changes
    words = ["equibench", str(context.info_name)]
    for option in context.command.params:
        name = str(option.name)
        asked = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name not in given or not (asked or name in changes):
            continue
        for value in given[name] if option.multiple else [given[name]]:
            words += [option.opts[-1]] if isinstance(option, click.Option) else []
            words += [] if value is True else [shlex.quote(str(value))]
    return " ".join(words)


def chosen_suite(options: dict[str, Any], read: Callable[[str], Suite]) -> Suite:
    """The suite, as `read` gives it, with the options laid over it. Raises UserError."""
    from equibench import suite

    chosen = read(options["suite_name"])
    changes: dict[str, Any] = {}
    if options["dataset"]:
        changes |= {"dataset": options["dataset"], "more_datasets": []}
        if options["dataset"] != chosen.dataset:  # what was tuned was so for other data
            chosen = chosen.model_copy(
                update={"entrant": [one.model_copy(update={"tuned": None}) for one in chosen.entrant]}
            )
    if options.get("seeds") is not None:
        try:
            changes["seeds"] = [int(seed) for seed in options["seeds"].split(",")]
        except ValueError:
            raise UserError(f"--seeds takes whole numbers with commas between, not {options['seeds']!r}") from None
        suite.changed(chosen, seeds=changes["seeds"])  # raises for one that is no seed, or is there twice
    if options["only"] is not None:
        names = [entrant.name for entrant in chosen.entrant]
        wanted = options["only"].split(",")
        for name in wanted:
            if name not in names:
                raise UserError(f"unknown entrant {name!r}{nearest(name, names)}")
        changes["entrant"] = [entrant for entrant in chosen.entrant if entrant.name in wanted]
    return chosen.model_copy(update=changes)


def load_suite(options: dict[str, Any]) -> tuple[Suite, Dataset]:
    """The suite with the options laid over it, and its data. Raises UserError, also where it has several data sets."""
    return load_suites(options, most=1)[0]


def load_suites(options: dict[str, Any], most: int | None = None) -> list[tuple[Suite, Dataset]]:
    """The suite with the options laid over it, once for each of its data sets, of which there may be at most so many.
    Raises UserError.
    """
    from equibench import suite
    from equibench.data import sets
    from equibench.outside.fetched import located

    chosen = chosen_suite(options, suite.load)
    if most is not None and len(chosen.datasets) > most:
        raise UserError(f"{chosen.name} is of {len(chosen.datasets)} data sets; choose one of them with --dataset")
    loads_extractor = "extractor" in options and not options["extractor"]
    for name in suite.code_in(chosen, families=not options.get("loaded"), extractor=loads_extractor):
        require_consent(f"{name}, which the suite {chosen.name} names,", options["allow_code"])
    chosen = located(chosen, options["download"])
    from equibench.run.labels import labelled

    found = []
    for name in chosen.datasets:
        data = sets.load(name, options["data_root"], options["download"])
        data = data.limited(chosen.train_images or len(data.train), chosen.test_images or len(data.test))
        found.append((labelled(chosen.model_copy(update={"dataset": name, "more_datasets": []}), data), data))
    return found


def load_extractor(options: dict[str, Any], device: torch.device, default: str = "auto") -> Extractor:
    """The feature network that the options name, or else `default`. Raises UserError."""
    from equibench.measure.features import load

    name, weights = options["extractor"] or default, options["inception_weights"]
    return load.load_extractor(name, device, weights, options["download"], options["allow_code"])


def session_of(suite: Suite, data: Dataset, device: torch.device, out: Path, options: dict[str, Any]) -> Session:
    """What cells are run in, by the options of a verb that trains. Raises UserError."""
    from equibench.run.session import Session

    extractor, more = load_extractor(options, device, suite.measure.extractor), more_extractors(options, device, suite)
    spaces = [one.info.model_dump(exclude={"name"}) for one in (extractor, *more)]
    if double := [one.info.name for one, space in zip(more, spaces[1:], strict=True) if spaces.count(space) > 1]:
        raise UserError(f"the suite {suite.name} names the feature space {double[0]} twice here; give each once")
    later = {**options, "download": False}
    return Session(
        suite,
        data,
        device,
        extractor,
        out,
        options["allow_code"],
        partial(load_extractor, later, device, suite.measure.extractor),
        options["keep"],
        more=more,
        reload_more=partial(more_extractors, later, device, suite),
    )


def more_extractors(options: dict[str, Any], device: torch.device, suite: Suite) -> tuple[Extractor, ...]:
    """The networks of the suite's further feature spaces. Raises UserError."""
    from equibench.measure.features.load import load_more

    names, weights = suite.measure.more_extractors, options["inception_weights"]
    return load_more(names, device, weights, options["download"], options["allow_code"])


def check_writable(folder: Path) -> None:
    """Raises UserError for a folder that nothing can be written to, before anything is trained for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # of a name that no other process takes
            probe.write(b"\0" * 4096)
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); give another folder with --out") from None


def console(*, stderr: bool = False) -> Screen:
    """Where tables and sentences are printed; names of files and entrants are shown as they are."""
    from equibench.cli.screen import Screen

    return Screen(stderr=stderr)


def print_json(content: object) -> None:
    """One document, in ASCII, which every encoding and terminal passes on. Half a character of a path is an escape."""
    click.echo(json.dumps(content, indent=1))


def _all(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate
