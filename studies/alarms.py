"""False alarms and power of `equibench check` on real trainings: writes docs/alarms.md.

    python -m studies.alarms [--seeds 10] [--faulty-seeds 6] [--comparisons 40] [--planted 20] [--keep FOLDER]

Small models are trained with many seeds; groups of seeds are then compared as baseline and run, by
`equibench.judge.check.compare` with its usual tolerances. In an A/A comparison nothing differs but the seeds; a planted
fault is put into the run by patching what it touches, and the baseline has other seeds. A fault counts as caught only
where a number is named that it touches. Groups share the pool of trained seeds, so comparisons are not independent.
Cells are run in turn, so that whatever else the machine does falls on all pools alike. Faults of training have the
memory that was measured on the clean cell of their turn. Records stay in `--keep`, where a second call finds them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from equibench import suite
from equibench.data import sets
from equibench.judge import check
from equibench.judge.gates import CATEGORIES
from equibench.measure.cost import memory
from equibench.measure.features.load import load_extractor
from equibench.quantities.glossary import COMPARED, Category
from equibench.quantities.identity import path_of
from equibench.quantities.text import budget_words
from equibench.record import find
from equibench.record.cost import Memory
from equibench.record.schema import Curve, Record, Spent
from equibench.run import obtain
from equibench.run.cell import run_here
from equibench.run.session import Session
from equibench.run.train import Allowance, train
from equibench_models import FAMILIES
from equibench_models import family as load_family
from equibench_models.contract import Model
from equibench_models.layers import Average

SUITE = Path(__file__).with_suffix(".toml")
PAGE = Path(__file__).parent.parent / "docs" / "alarms.md"
CLASSES = (1, 7, 8)  # trousers, sneakers, bags: three modes that even a small model keeps apart
DROPPED = 7
SLEEP_SEC = 0.005
GROUP = 4  # seeds a side
FAULTY_FROM = 1000  # seeds of trained faults, so that no side shares a seed


class Fault(NamedTuple):
    """`plant` is a context in which cells are run; `touches`: the categories of the numbers that it makes worse."""

    about: str
    touches: tuple[Category, ...]
    plant: Callable[[sets.Dataset], contextlib.AbstractContextManager[Any]]

    @property
    def trains(self) -> bool:
        """Whether it changes training; else what was trained without it is measured again."""
        return "quality" in self.touches


def blocks(images: Tensor) -> Tensor:
    """Features of uint8 images `[N, 3, H, W]`: mean and deviation in 6x6 blocks, `[N, 72]`. They cost nothing, so that
    the study may train often.
    """
    grey = images[:, :1].float() / 255
    mean = functional.adaptive_avg_pool2d(grey, 6)
    square = functional.adaptive_avg_pool2d(grey.square(), 6)
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], 1).flatten(1)


def small(found: sets.Dataset) -> sets.Dataset:
    """Three classes, and every second pixel of the middle: 12x12."""
    assert found.train_labels is not None
    assert found.test_labels is not None
    kept = [np.isin(labels, CLASSES) for labels in (found.train_labels, found.test_labels)]
    train, test = (
        np.ascontiguousarray(part[rows, :, 2:26:2, 2:26:2])
        for part, rows in zip((found.train, found.test), kept, strict=True)
    )
    return dataclasses.replace(
        found,
        name=f"{found.name}, 3 classes, 12x12",
        train=train,
        test=test,
        train_labels=found.train_labels[kept[0]],
        test_labels=found.test_labels[kept[1]],
    )


def no_average(_: sets.Dataset) -> contextlib.AbstractContextManager[Any]:
    """The average that samples are drawn from is never updated. (That the last weights stand in for their average is
    no regression here: the learning rate ends at zero, so that the two hardly differ.)
    """
    return mock.patch.object(Average, "update", return_value=None)


def half_training(_: sets.Dataset) -> contextlib.AbstractContextManager[Any]:
    """Half the updates, counted twice."""

    def half(model: Model, images: Any, allowance: Allowance, **options: Any) -> tuple[Spent, Curve]:
        budget = allowance.budget.model_copy(update={"amount": allowance.budget.amount / 2})
        spent, curve = train(model, images, dataclasses.replace(allowance, budget=budget), **options)
        twice = {name: 2 * getattr(spent, name) for name in ("updates", "images", "flops")}
        return spent.model_copy(update=twice), curve

    return mock.patch.object(obtain, "train", half)


def dropped_class(found: sets.Dataset) -> contextlib.AbstractContextManager[Any]:
    """Training never sees one class."""
    assert found.train_labels is not None
    kept = found.train_labels != DROPPED

    def without(model: Model, images: Any, allowance: Allowance, **options: Any) -> tuple[Spent, Curve]:
        return train(model, images[kept], allowance, **options)

    return mock.patch.object(obtain, "train", without)


@contextlib.contextmanager
def slow_sampler(_: sets.Dataset) -> Iterator[None]:
    """Every call of a sampler sleeps."""
    with contextlib.ExitStack() as stack:
        for family in map(load_family, FAMILIES):
            real = family.sample

            def sample(self: Model, *arguments: Any, real: Any = real, **options: Any) -> Tensor:
                time.sleep(SLEEP_SEC)
                found: Tensor = real(self, *arguments, **options)
                return found

            # the signature stays: it names the options that a suite may give
            stack.enter_context(mock.patch.object(family, "sample", mock.create_autospec(real, side_effect=sample)))
        yield


def doubled_buffer(_: sets.Dataset) -> contextlib.AbstractContextManager[Any]:
    """Training and sampling hold twice the images that they say."""
    real = memory.peak_memory

    def doubled(*arguments: Any, train_batch_size: int, sample_batch_size: int) -> Memory:
        found = real(*arguments, train_batch_size=2 * train_batch_size, sample_batch_size=2 * sample_batch_size)
        said = {"train_batch_size": train_batch_size, "sample_batch_size": sample_batch_size}
        return found.model_copy(update=said)

    return mock.patch.object(memory, "peak_memory", doubled)


MODEL: tuple[Category, ...] = ("quality", "likelihood")
FAULTS = {
    "no EMA": Fault("the average of the weights is never updated", MODEL, no_average),
    "half the training": Fault("half the updates, counted twice", MODEL, half_training),
    "one mode dropped": Fault("training never sees sneakers, one of three classes", MODEL, dropped_class),
    "a sleep in the sampler": Fault(f"{1e3 * SLEEP_SEC:g} ms a call", ("speed",), slow_sampler),
    "a doubled buffer": Fault("twice the images at once, in training and sampling", ("memory",), doubled_buffer),
}


def run_seed(setting: Session, seed: int, clean: Path | None = None) -> None:
    """All cells of one seed. With `clean`, checkpoints of the same cells there are measured, not trained again."""
    one = setting.suite.model_copy(update={"seeds": [seed]})
    for cell in suite.cells(one):
        path = setting.path(cell)
        if cell.entrant is None or path.exists():
            continue
        weights = path.with_suffix(".safetensors")
        if clean:
            weights.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clean / weights.name, weights)
        run_here(cell, dataclasses.replace(setting, suite=one))


def pool(folder: Path) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for _, one in find.read_all([folder]):
        found.setdefault(one.seed, []).append(one)
    return found


def compare(
    baseline: dict[int, list[Record]], run: dict[int, list[Record]], comparisons: int, seed: int
) -> list[check.Check]:
    """Checks of random groups of seeds that have none in common."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(comparisons):
        # the run first: it has fewer seeds to choose from
        after = rng.choice(sorted(run), GROUP, replace=False)
        before = rng.choice(sorted(set(baseline) - set(after)), GROUP, replace=False)
        sides = ([one for s in chosen for one in side[s]] for side, chosen in ((baseline, before), (run, after)))
        found.append(check.compare(*sides))
    return found


@click.command()
@click.option("--seeds", default=10, show_default=True, help="Without a fault.")
@click.option("--faulty-seeds", default=6, show_default=True, help="Of each fault.")
@click.option("--comparisons", default=40, show_default=True, help="A/A.")
@click.option("--planted", default=20, show_default=True, help="Of each fault.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder of records, found again by a second call.")
def main(seeds: int, faulty_seeds: int, comparisons: int, planted: int, keep: Path | None) -> None:
    torch.set_num_threads(1)  # small networks are faster so, and the other processors are left to their work
    begin = time.perf_counter()
    chosen, device = suite.load(str(SUITE)), torch.device("cpu")
    found = small(sets.load(chosen.dataset)).limited(chosen.train_images or 0, chosen.test_images or 0)
    extractor = load_extractor("studies.alarms:blocks", device)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        settings = {
            name: Session(chosen, found, device, extractor, folder / name.replace(" ", "-"))
            for name in ("clean", *FAULTS)
        }
        for seed in range(seeds):
            run_seed(settings["clean"], seed)
            for name, fault in FAULTS.items() if seed < faulty_seeds else ():
                with fault.plant(found):
                    if fault.trains:
                        known = {one.family: one.memory for one in pool(settings["clean"].out)[seed]}
                        with mock.patch.object(
                            memory, "peak_memory", lambda family, *_, known=known, **__: known[family]
                        ):
                            run_seed(settings[name], FAULTY_FROM + seed)
                    else:
                        run_seed(settings[name], seed, settings["clean"].out)
            click.echo(f"seed {seed}: {time.perf_counter() - begin:.0f} s")
        pools = {name: pool(setting.out) for name, setting in settings.items()}
    everything = CATEGORIES
    lines = [_line("none (A/A)", "", everything, compare(pools["clean"], pools["clean"], comparisons, 0))]
    for index, (name, fault) in enumerate(FAULTS.items(), start=1):
        checks = compare(pools["clean"], pools[name], planted, index)
        lines.append(_line(name, fault.about, fault.touches, checks))
    for line in lines:
        click.echo(line)
    where = next(iter(pools["clean"].values()))[0].machine
    took = f"{time.perf_counter() - begin:.0f} s" if keep is None else "records kept from before may be among them"
    arguments = f"--seeds {seeds} --faulty-seeds {faulty_seeds} --comparisons {comparisons} --planted {planted}"
    entrants = ", ".join(entrant.name for entrant in chosen.entrant)
    PAGE.write_text(
        TEXT.format(
            arguments=arguments,
            group=GROUP,
            entrants=entrants,
            budget=budget_words(chosen.budget[0]),
            table="\n".join(lines),
            where=f"{where.processor}, {where.system}",
            took=took,
        )
    )


def _line(name: str, about: str, touches: tuple[Category, ...], checks: list[check.Check]) -> str:
    """A line of the table: how many checks named a number that the fault touches, and all that was named."""
    paths = {gate.path for gate in COMPARED if gate.category in touches}
    named: dict[str, int] = {}
    caught = 0
    for one in checks:
        caught += any(path_of(line.number) in paths or line.number == "row" for line in one.regressions)
        for line in one.regressions:
            what = f"{line.row} {line.number}"
            named[what] = named.get(what, 0) + 1
    told = ", ".join(f"{what} ({n})" for what, n in sorted(named.items(), key=lambda item: -item[1]))
    return f"| {name} | {about} | {caught} of {len(checks)} | {told or 'nothing'} |"


TEXT = """# False alarms and power of the check

Written by `python -m studies.alarms {arguments}`; the module says how. Entrants: {entrants},
with {budget}, on 2,000 images of 12x12 (every second pixel of three classes of
Fashion-MNIST). {group} seeds a side, all gates of `equibench check` with their usual tolerances. Features are block
means and deviations, so that a cell takes seconds.

| Fault in the run | What it does | Caught | Numbers named (in so many checks) |
| :--- | :--- | ---: | :--- |
{table}

Comparisons draw their seeds from one pool, so they are not independent. On {where}; {took}.
"""

if __name__ == "__main__":
    main()
