"""What a GPU took, beside what arithmetic says of it: writes docs/gpu.md from records that one made.

    python -m studies.gpu_measured [--records results/published/gpu] [--page FILE]

The kernels of an update and of a sample are counted as studies/roofline.py does, for the settings that a record names.
"""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import click
import torch
from torch import Generator

from equibench.quantities.metric import with_count
from equibench.quantities.text import number
from equibench.record import find
from equibench.record.schema import Record
from equibench_models import family as load_family
from equibench_models.contract import Model
from studies.roofline import H100, Work, count, pretending

ROOT = Path(__file__).parent.parent
RECORDS, PAGE = ROOT / "results" / "published" / "gpu", ROOT / "docs" / "gpu.md"
TEXT = """# What a GPU took

Written by `python -m studies.gpu_measured` from the records in `{folder}`, which one borrowed machine made:
an {device} in a virtual machine with {cores} cores ({processor}), PyTorch {torch}. They are of the suite
`gpu` with `compile = true`, one seed. The machine was ours for fifteen minutes, and two families were done by then:
this is no comparison of four. The same distance of real training images is {real}.

| Entrant | {metric} | best by another way of sampling | recall | bits/dim |
| :--- | ---: | :--- | ---: | ---: |
{quality}
## Training

The kernels are those of eager mode, counted on tensors without values; "by arithmetic" is docs/standard.md's estimate
for an H100, in which an operator takes {launch:.0f} µs to launch.

| Entrant | batch | updates | s | compiling, s | TFLOP/s | of a product | ms an update | by arithmetic | kernels |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{training}
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

    def quality_row(self) -> list[str]:
        quality, likelihood = self.record.quality, self.record.likelihood
        assert quality is not None
        also = {one.name: one.value for one in quality.also}
        recall, bits = also.get("recall"), likelihood.bits_per_dim if likelihood else None
        assert quality.value is not None
        others = [(way.quality.value, way.label) for way in self.record.ways if way.quality and way.quality.value]
        return [
            self.record.entrant,
            f"{number(quality.value, 3)} ± {number(quality.stderr or 0.0, 2)}",
            "".join(f"{label}: {number(value, 3)}" for value, label in sorted(others)[:1]),
            "" if recall is None else number(recall, 2),
            "" if bits is None else number(bits, 4),
        ]

    def training_row(self) -> list[str]:
        spent, products, update = self.record.spent, self.record.matrix_products, self.update()
        assert spent is not None
        assert products is not None
        training_sec = spent.train_sec - spent.compile_sec
        each_sec, rate = training_sec / spent.updates, spent.flops / training_sec
        return [
            self.record.entrant, f"{self.model.config.batch_size:,}", f"{spent.updates:,}",
            number(spent.train_sec, 3), number(spent.compile_sec, 2), number(rate / 1e12, 3),
            f"{rate / max(products.flops_per_sec.values()):.1%}", number(each_sec * 1e3, 3),
            number(update.sec * 1e3, 3), f"{update.kernels:,.0f}",
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


def rows(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS, help="Of one suite, one GPU.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(records: Path, page: Path) -> None:
    found = [record for _, record in find.read_all([records]) if record.status == "ok"]
    made = [Made(record) for record in found if record.role == "entrant"]
    first, floor = made[0].record, next(record for record in found if record.role == "floor" and record.quality)
    assert first.machine is not None
    assert first.quality is not None
    assert floor.quality is not None
    assert floor.quality.value is not None
    text = TEXT.format(
        folder=os.path.relpath(records, ROOT), device=first.machine.device, cores=first.machine.cores,
        processor=first.machine.processor, torch=first.versions["torch"], real=number(floor.quality.value, 3),
        metric=with_count(first.quality.metric, first.quality.n_samples), launch=H100.launch_sec * 1e6,
        quality=rows([one.quality_row() for one in made]), training=rows([one.training_row() for one in made]),
        sampling=rows([one.sampling_row() for one in made]),
    )  # fmt: skip
    page.write_text(text)


if __name__ == "__main__":
    main()
