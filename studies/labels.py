"""A VAE that is told labels beside one that is not, at the budget of the suite `labels`: writes docs/supervised_vae.md.

    python -m studies.labels --folder F [--seeds 0,1,2] [--suite labels] [--page docs/supervised_vae.md]

Each seed of each VAE is a cell of its own, kept in the folder with its weights: the command goes on where it was
stopped, and `--seeds 1` does a part. The page is written once the folder has every seed of the suite's VAEs that was
asked for. Of both the same is measured: bits per dimension, the distance, the distance by class with samples assigned
by the same classifier, and how well classes are told from the vector of latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import torch

from equibench import suite
from equibench.data import sets
from equibench.measure.features.load import load_extractor
from equibench.quantities.metric import bits_kind, with_count
from equibench.quantities.text import MISSING, over_seeds
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.run.labels import labelled
from equibench.run.loop import run_cells
from equibench.run.session import Session

STAGES = frozenset({"quality", "numbers_by_class", "probes", "likelihood"})
PAGE = Path(__file__).parent.parent / "docs" / "supervised_vae.md"
TEXT = """# A VAE with and without labels

Written by `python -m studies.labels`, which says how. Numbers are means over seeds with their standard deviation.
Bits/dim of the two are of different things, the one given the label of each image, and no test compares them. Distances
by class are kernel distances (KD), for which the samples of both are assigned to classes by one classifier of real
images; beside them stands the distance of real training images of the class. What is told from pixels stands beside
what is told from latents.

Data: {data}. Budget: {budget}. Seeds: {seeds}.
"""
Rows = dict[str, list[Record]]  # by entrant


def session(suite_name: str, seeds: list[int], folder: Path) -> Session:
    """The VAEs of a suite, with the seeds that are asked for."""
    chosen = suite.load(suite_name)
    data = sets.load(chosen.dataset)
    data = data.limited(chosen.train_images or len(data.train), chosen.test_images or len(data.test))
    vaes = [entrant for entrant in chosen.entrant if entrant.family == "vae"]
    chosen = labelled(chosen.model_copy(update={"entrant": vaes, "seeds": seeds}), data)
    cells = tuple(cell for cell in suite.cells(chosen) if cell.entrant is not None)
    device = torch.device("cpu")
    reload = partial(load_extractor, chosen.measure.extractor, device)
    return Session(chosen, data, device, reload(), folder, reload=reload, stages=STAGES, wanted=cells)


def page(rows: Rows) -> str:
    """The page, of the records of each entrant."""
    first = next(iter(rows.values()))[0]
    assert first.budget is not None
    text = TEXT.format(
        data=first.data.name,
        budget=f"{first.budget.params:,} parameters, {first.budget.amount:g} {first.budget.unit}",
        seeds=", ".join(str(record.seed) for record in next(iter(rows.values()))),
    )
    return (
        f"{text}\n{_whole(rows)}\n\n## Kernel distance by class\n\n{_by_class(rows)}\n\n## Probes\n\n{_probes(rows)}\n"
    )


def _whole(rows: Rows) -> str:
    columns = {
        "bits/dim": "likelihood.bits_per_dim",
        "distance": "quality.value",
        "classification accuracy, %": "by_class.sample_accuracy",
        "of real images, %": "by_class.classifier_accuracy",
    }
    lines = []
    for name, records in rows.items():
        kind = bits_kind(records[0].likelihood) if records[0].likelihood else ""
        metric = with_count(records[0].quality.metric, records[0].quality.n_samples) if records[0].quality else ""
        shown = [_shown(records, path, 0.01 if path.startswith("by_class") else 1) for path in columns.values()]
        lines.append([name, kind, shown[0], metric, *shown[1:]])
    return _table(["entrant", "kind", "bits/dim", "metric", "distance", *list(columns)[2:]], lines)


def _by_class(rows: Rows) -> str:
    """The table by class: kernel distances of both, with samples assigned by the classifier, and of real images."""
    held = {name: records[0].by_class for name, records in rows.items()}
    names = [one.name for found in held.values() if found for one in found.classes]
    lines = []
    for one in dict.fromkeys(names):
        line = [one]
        for name, records in rows.items():
            found = held[name]
            where = f"by_class.{'judged' if found and found.judged else 'classes'}.{one}"
            line += [_shown(records, f"{where}.{field}") for field in ("kernel_distance", "real_kernel_distance")]
        lines.append(line)
    return _table(["class", *(head for name in rows for head in (name, "real images"))], lines)


def _probes(rows: Rows) -> str:
    lines = []
    for name, records in rows.items():
        for one in records[0].probes.probes if records[0].probes else ():
            path = f"probes.probes.{one.name}"
            accuracies = [_shown(records, f"{path}.{field}", 0.01) for field in ("knn_accuracy", "linear_accuracy")]
            lines.append([name, one.name, *accuracies, _shown(records, "probes.chance_accuracy", 0.01)])
    return _table(["entrant", "told from", "by neighbours, %", "by a linear map, %", "by chance, %"], lines)


def _shown(records: Sequence[Record], path: str, unit: float = 1) -> str:
    return over_seeds((value_at(record, path) for record in records), 4, MISSING, unit)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines))


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="of records and weights")
@click.option("--seeds", default="0,1,2")
@click.option("--suite", "suite_name", default="labels", help="a suite with VAEs, by name or path")
@click.option("--page", "written", type=click.Path(path_type=Path), default=PAGE, help="where the page goes")
def main(folder: Path, seeds: str, suite_name: str, written: Path) -> None:
    """Train and measure what is missing, and write the page."""
    here = session(suite_name, [int(seed) for seed in seeds.split(",")], folder)
    rows: Rows = {}
    for done in run_cells(here, lambda cell, what, share: None):
        click.echo(f"{done.cell.name}, seed {done.cell.seed}: {done.record.status}")
        rows.setdefault(done.cell.name, []).append(done.record)
    written.write_text(page(rows))


if __name__ == "__main__":
    main()
