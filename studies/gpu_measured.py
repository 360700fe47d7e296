"""What a GPU took, beside what arithmetic says of it: writes docs/gpu.md from records that one made.

    python -m studies.gpu_measured [--records results/published/gpu] [--page FILE]

Beside the records lies `updates.jsonl`, which `python -m studies.captured_updates` wrote there. The kernels of an
update and of a sample are counted as studies/roofline.py does, for the settings that a record names.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import click
import torch
from torch import Generator

from equibench.quantities.glossary import RECALL
from equibench.quantities.metric import with_count
from equibench.quantities.text import number, over_seeds
from equibench.record import find
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.record.study import Study, read
from equibench.tune.study import means
from equibench_models import FAMILIES
from equibench_models import family as load_family
from equibench_models.contract import Model
from studies.roofline import Work, count, pretending

ROOT = Path(__file__).parent.parent
RECORDS, PAGE = ROOT / "results" / "published" / "gpu", ROOT / "docs" / "gpu.md"
UPDATES = "updates.jsonl"
GAN_STUDY = ROOT / "bench" / "suites" / "studies" / "gpu" / "gan.json"
ALONE = 0  # the seed that nothing was trained beside
TEXT = """# What a GPU took

Written by `python -m studies.gpu_measured` from the records in `{folder}`, which one borrowed machine made:
an {device} in a virtual machine with {cores} cores ({processor}), PyTorch {torch}. They are of the
suite `gpu`, which says `cuda_graph = true`; the report on them is in `reports/published/gpu`. Seed 0 had the
machine to itself and took {seed_min:.1f} minutes, floors included. Seeds 1 and 2 were trained beside each other, as
the machine was lent for fifteen minutes, so that the times below are those of seed 0. The same distance of
real training images is {real}.

No study chose the settings of these records, and those of the GAN are bad ones: its losses exploded in one seed of
three, and in the others its critic was far ahead. Its distance says that, and nothing of the family. A study on such a
GPU has since found better ones: trained at the whole budget with three seeds, the GAN's distance from validation
images is {tuned}, and with the settings of these records it is {before} ([tuned.md](tuned.md)). The suite
has the better ones now; no GPU was there to make its records again.

Means over three seeds, with their standard deviations:

| Entrant | {metric} | best by another way of sampling | recall | bits/dim |
| :--- | ---: | :--- | ---: | ---: |
{quality}
## Training

The kernels are those of eager mode, counted on tensors without values; "by arithmetic" is docs/standard.md's estimate
for an H100. "Eager" and "graph" are of `python -m studies.captured_updates`, one after the other on the same machine,
on random images.

| Entrant | batch | updates | s | TFLOP/s | of a product | ms each | by arithmetic | kernels | eager, ms | graph, ms |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{training}
With the same random numbers the losses of the first ten updates differed by {off} of themselves at most, but by
{off_gan} for the GAN, in a penalty that was almost nothing.

## Sampling

Images a second are at the fastest batch size, the other numbers at batch 1. A CUDA graph launches all its kernels at
once, and what it takes a kernel is the GPU's own time; in eager mode Python launches each.

| Entrant | eager, images/s | graph, images/s | kernels | eager, ms | graph, ms | µs a kernel | µs a kernel, graph |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{sampling}"""


class Made:
    """An entrant's record, and its model with weights that mean nothing."""

    def __init__(self, record: Record) -> None:
        assert record.family is not None
        self.record, family = record, load_family(record.family)
        self.model: Model = family.build(record.config, record.data.shape)

    def update(self) -> Work:
        """In eager mode, the mean of a cycle."""
        images = torch.zeros((self.model.config.batch_size, *self.model.shape), dtype=torch.uint8)
        with pretending():
            self.model.update(images, 0.5)  # the optimiser's state is made by the first one
            whole = count(lambda: [self.model.update(images, 0.5) for _ in range(self.model.cycle)])
        return whole.times(1 / self.model.cycle)

    def sample(self) -> Work:
        """One image."""
        assert self.record.speed is not None
        options = self.record.speed.options
        # eager mode looks for what is left to do, where tensors have no values
        with pretending(), mock.patch.object(torch.compiler, "is_compiling", return_value=True):
            return count(lambda: self.model.sample(1, Generator(), batch_size=1, **options))

    def training_row(self, side_by_side: Mapping[str, float]) -> list[str]:
        spent, products, update = self.record.spent, self.record.matrix_products, self.update()
        assert spent is not None
        assert products is not None
        training_sec = spent.train_sec - spent.compile_sec
        each_sec, rate = training_sec / spent.updates, spent.flops / training_sec
        return [
            self.record.entrant, f"{self.model.config.batch_size:,}", f"{spent.updates:,}",
            number(spent.train_sec, 3), number(rate / 1e12, 3), f"{rate / max(products.flops_per_sec.values()):.1%}",
            number(each_sec * 1e3, 3), number(update.sec * 1e3, 3), f"{update.kernels:,.0f}",
            number(side_by_side["eager_ms"], 3), number(side_by_side["captured_ms"], 3),
        ]  # fmt: skip

    def sampling_row(self) -> list[str]:
        speed, work = self.record.speed, self.sample()
        assert speed is not None
        graph = next((one for one in speed.other_modes if one.mode == "cuda graph"), None)
        rates = [speed.images_per_sec, graph.images_per_sec if graph else None]
        latencies = [speed.latency_p50_sec, graph.latency_p50_sec if graph else None]
        return [
            self.record.entrant,
            *("" if one is None else number(one, 3) for one in rates),
            f"{work.kernels:,.0f}",
            *("" if one is None else number(one * 1e3, 3) for one in latencies),
            *("" if one is None else number(one / work.kernels * 1e6, 2) for one in latencies),
        ]


def quality_row(records: list[Record]) -> list[str]:
    """The row of one entrant, over its seeds."""
    other: dict[str, list[float]] = {}
    for way in (way for record in records for way in record.ways):
        if way.quality and way.quality.value is not None:
            other.setdefault(way.label, []).append(way.quality.value)
    best = min(other.items(), key=lambda way: statistics.mean(way[1]), default=None)
    distance, recall, bits = (
        over_seeds(value_at(one, path) for one in records)
        for path in ("quality.value", RECALL, "likelihood.bits_per_dim")
    )
    return [
        records[0].entrant,
        distance,
        f"{best[0]}: {over_seeds(best[1])}" if best else "",
        recall,
        bits,
    ]


def best_and_start(study: Study) -> list[str]:
    """The distances over seeds of the best candidate whose full runs are all there, and of the entrant as it stood."""
    whole = {one.distance: one.candidate for one in means(study) if one.distance is not None}
    return [
        over_seeds([run.distance for run in study.full_runs if run.candidate == one])
        for one in (whole[min(whole)], study.start)
    ]


def rows(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS, help="Of one suite, one GPU.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(records: Path, page: Path) -> None:
    found = [record for _, record in find.read_all([records]) if record.status == "ok"]
    side_by_side = {one["family"]: one for one in map(json.loads, (records / UPDATES).read_text().splitlines())}
    of_seeds: dict[str, list[Record]] = {}
    for record in found:
        if record.role == "entrant":
            of_seeds.setdefault(record.entrant, []).append(record)
    names = sorted(of_seeds, key=list(FAMILIES).index)
    alone = [Made(next(record for record in of_seeds[name] if record.seed == ALONE)) for name in names]
    first, floor = alone[0].record, next(record for record in found if record.role == "floor" and record.quality)
    assert first.machine is not None
    assert first.quality is not None
    assert floor.quality is not None
    assert floor.quality.value is not None
    tuned, before = best_and_start(read(GAN_STUDY))
    taken_sec = sum(one.clock["wall"] for one in found if one.seed == ALONE)
    off = {name: one["losses_off"] for name, one in side_by_side.items()}
    text = TEXT.format(
        folder=os.path.relpath(records, ROOT), device=first.machine.device, cores=first.machine.cores,
        processor=first.machine.processor, torch=first.versions["torch"], real=number(floor.quality.value, 3),
        metric=with_count(first.quality.metric, first.quality.n_samples), seed_min=taken_sec / 60,
        off=f"{max(value for name, value in off.items() if name != 'gan'):.1%}", off_gan=f"{off['gan']:.0%}",
        tuned=tuned, before=before,
        quality=rows([quality_row(of_seeds[name]) for name in names]),
        training=rows([one.training_row(side_by_side[one.record.entrant]) for one in alone]),
        sampling=rows([one.sampling_row() for one in alone]),
    )  # fmt: skip
    page.write_text(text)


if __name__ == "__main__":
    main()
