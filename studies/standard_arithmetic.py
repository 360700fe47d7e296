"""Whether a suite for a GPU fits its time, by arithmetic: writes docs/standard.md.

    python -m studies.standard_arithmetic

It reads the suites, sizes their entrants and counts their updates as a run does, so that it is redone after any change
of a recipe. studies/roofline.py says how operators become seconds, studies/gpu_stages.py what a stage is made of, the
page which numbers are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from equibench import suite
from equibench.run.plan import plan
from equibench_models import family as load_family
from equibench_models.contract import Shape
from studies.gpu_stages import COMPILING_SEC, EXTRACTOR, MEMORY_SEC, START_SEC, Entrant, stages
from studies.roofline import H100, pretending

PAGE = Path(__file__).parent.parent / "docs" / "standard.md"
SUITES = {"standard": 30.0, "cifar10": None}  # minutes that it should take
DATA: dict[str, tuple[Shape, int]] = {"fashion-mnist": ((1, 28, 28), 60_000), "cifar10": ((3, 32, 32), 50_000)}
BATCH_SIZES = (128, 256, 512, 1024, 2048)
SLOW = replace(H100, launch_sec=30e-6)  # as in eager mode in the virtual machine of docs/gpu.md, about
FLOORS_SEC = 60.0  # of all floors: features of the reference and distances


def entrants(name: str) -> Iterator[Entrant]:
    """The entrants of a suite, with random weights."""
    chosen = suite.load(name)
    shape, n_train = DATA[chosen.dataset]
    for cell in suite.cells(chosen):
        if cell.entrant is not None and cell.seed == chosen.seeds[0]:
            planned = plan(cell, shape)
            model = load_family(cell.entrant.family).build(planned.config, shape)
            updates = planned.allowance.updates or 0
            yield Entrant(planned, model, updates * planned.allowance.batch_size / n_train)


def training_row(one: Entrant) -> list[str]:
    updates, whole = one.training()
    update = whole.times(1 / updates)
    return [
        one.name, f"{one.planned.config['width']}", f"{one.planned.params / 1e6:.2f} M",
        f"{one.planned.allowance.batch_size}", f"{updates:,.0f}", f"{one.epochs:.0f}", f"{update.kernels:,.0f}",
        f"{update.flops / 1e12:.3g}", f"{update.moved_bytes / 1e9:.3g}",
        *(f"{sec / 60:.1f}" for sec in (whole.launching_sec, whole.calculating_sec, whole.moving_sec, whole.sec)),
        f"{whole.flops / whole.sec / H100.bfloat16_flops_per_sec:.0%}",
    ]  # fmt: skip


def batch_row(one: Entrant) -> list[str]:
    taken = [one.training(batch_size)[1].sec / 60 for batch_size in BATCH_SIZES]
    return [one.name, *(f"{minutes:.1f}" for minutes in taken)]


def table(heading: list[str], rows: list[list[str]]) -> str:
    lines = [heading, [":---", *["---:"] * (len(heading) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def section(name: str, minutes: float | None) -> str:
    """The page's section on one suite."""
    trained, batches, taken, at_1024_sec, slow_sec = [], [], {}, 0.0, 0.0
    for one in entrants(name):
        click.echo(f"{name}: {one.name}", err=True)
        with pretending():
            one.update()  # the optimiser's state is made by the first one, which is no other's cost
            trained.append(training_row(one))
            batches.append(batch_row(one))
            taken[one.name] = stages(one)
            slow_sec += one.training(gpu=SLOW)[1].sec - taken[one.name]["training"]
            at_1024_sec += one.training(1024)[1].sec - taken[one.name]["training"]
    total = (FLOORS_SEC + sum(sum(parts.values()) for parts in taken.values())) / 60
    verdict = "" if minutes is None else f", and should take {minutes:.0f} at most: it {_fits(total, minutes)}"
    rows = [[stage, *(f"{parts[stage]:.0f}" for parts in taken.values())] for stage in next(iter(taken.values()))]
    rows.append(["all, minutes", *(f"{sum(parts.values()) / 60:.1f}" for parts in taken.values())])
    return TEXT.format(
        name=name,
        total=total,
        at_1024=total + at_1024_sec / 60,
        verdict=verdict,
        slow=total + slow_sec / 60,
        launch=SLOW.launch_sec * 1e6,
        training=table(TRAINING, trained),
        batches=table(["Minutes of training at batch", *map(str, BATCH_SIZES)], batches),
        stages=table(["Seconds", *taken], rows),
        floors=FLOORS_SEC,
    )


def _fits(total: float, minutes: float) -> str:
    return "fits" if total <= minutes else "does **not** fit"


TRAINING = ["Family", "Width", "Parameters", "Batch", "Updates", "Epochs", "Kernels an update", "TFLOP", "GB moved",
            "min, launching", "min, calculating", "min, moving", "min, estimate", "of peak"]  # fmt: skip
TEXT = """
## `{name}`

One seed takes about {total:.0f} minutes{verdict}. With batches of 1,024 for every family it would take {at_1024:.0f}.
Without `cuda_graph = true`, where an operator of training takes {launch:.0f} microseconds to launch as in the virtual
machine of docs/gpu.md, one seed would take {slow:.0f} minutes.

{training}
{batches}
{stages}
The floors take another {floors:.0f} s.
"""
HEAD = """# What `standard` takes on one GPU

Written by `python -m studies.standard_arithmetic`; it is arithmetic, and no GPU has run the whole of it. Every operator
of an update, of sampling and of each way to the likelihood is counted on tensors that have shapes but no values. A
kernel is taken to last as long as the longest of three times: to launch it, to calculate, and to move what it reads and
writes. The estimate is the sum over kernels; a GPU that launches kernels ahead of time needs less. "Launching",
"calculating" and "moving" are the sums of each of the three.

Assumptions for an {gpu.name} (peaks from NVIDIA's data sheet, dense; the percentages are guesses, to be replaced by a
measurement with `python -m studies.training_speed --suite standard --device cuda`):

- {launch:.0f} microseconds from one operator to the next; docs/gpu.md has about 2 of a CUDA graph, 9 to 32 of eager
  mode;
- products and convolutions in bfloat16 at {gpu.bfloat16_share:.0%} of {bfloat16:.0f} TFLOP/s, in float32 (without TF32:
  the flow's density and inverse, heads, annealing, features) at {gpu.float32_share:.0%} of {float32:.0f};
- {gpu.bytes_share:.0%} of {bytes:.2f} TB/s, and no help from caches;
- features of {extractor}; distances at {gpu.float64_share:.0%} of {float64:.0f} TFLOP/s in float64;
- {start:.0f} s for a cell's process to start, {memory:.0f} s for each of the two that measure memory,
  {compiling:.0f} s to compile a sampler at two batch sizes, {capturing:.0f} s to capture one.
"""


@click.command()
@click.option("--suite", "names", multiple=True, type=click.Choice(list(SUITES)), default=tuple(SUITES))
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(names: tuple[str, ...], page: Path) -> None:
    head = HEAD.format(
        gpu=H100, launch=H100.launch_sec * 1e6, bfloat16=H100.bfloat16_flops_per_sec / 1e12,
        float32=H100.float32_flops_per_sec / 1e12, float64=H100.float64_flops_per_sec / 1e12,
        bytes=H100.bytes_per_sec / 1e12, extractor=EXTRACTOR, start=START_SEC, memory=MEMORY_SEC,
        compiling=COMPILING_SEC["compile"], capturing=COMPILING_SEC["cuda graph"],
    )  # fmt: skip
    page.write_text(head + "".join(section(name, SUITES[name]) for name in names))


if __name__ == "__main__":
    main()
