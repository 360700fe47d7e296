"""How near training comes to the machine's matrix products, and what stands between: writes docs/training_speed.md.

    python -m studies.training_speed [--seconds 4]

Each family at the config of the `quick` suite, on random images: model FLOPs utilisation as it is, then with one thing
changed at a time; and the time of its update by operator, from torch.profiler.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import torch
from torch.profiler import ProfilerActivity, profile

import models
from bench import machine, plan, suite
from bench.clock import repeat
from models import FAMILIES, Model

SHAPE = (1, 28, 28)
OPERATORS = 10
PAGE = Path(__file__).parent.parent / "docs" / "training_speed.md"
TEXT = """# How fast training is, and what stands in the way

Written by `python -m studies.training_speed`; the module says how. {processor}, {threads} threads, {precision}; the
fastest product of square matrices: {rate:.0f} GFLOP/s (side {side}). Utilisation is the update's FLOP/s over that.

| Family | as it is | GFLOP/s | {variants} |
| :--- | ---: | ---: | {rule} |
"""


def _contiguous(model: Model) -> contextlib.AbstractContextManager[object]:
    """NCHW instead of NHWC, for weights and images."""
    model.to(memory_format=torch.contiguous_format)
    module = __import__(type(model).__module__, fromlist=["to_float"])
    plain = mock.patch.object(module, "to_float", lambda images: images.float() / 127.5 - 1)
    return plain if hasattr(module, "to_float") else contextlib.nullcontext()


def _unfused(model: Model) -> contextlib.AbstractContextManager[object]:
    """The optimiser's loop over tensors instead of its fused kernel."""
    for value in vars(model).values():
        if isinstance(value, torch.optim.Optimizer):
            for group in value.param_groups:
                group.update(fused=False, foreach=True)
    return contextlib.nullcontext()


def _bfloat16(model: Model) -> contextlib.AbstractContextManager[object]:  # noqa: ARG001
    return torch.autocast("cpu", torch.bfloat16)


VARIANTS: dict[str, tuple[dict[str, Any], Callable[[Model], contextlib.AbstractContextManager[object]]]] = {
    "contiguous, not channels-last": ({}, _contiguous),
    "bfloat16 by autocast": ({}, _bfloat16),
    "optimiser not fused": ({}, _unfused),
    "batch 32": ({"batch_size": 32}, lambda model: contextlib.nullcontext()),
    "batch 128": ({"batch_size": 128}, lambda model: contextlib.nullcontext()),
}


@contextlib.contextmanager
def updating(
    family: str,
    config: dict[str, Any],
    change: Callable[[Model], contextlib.AbstractContextManager[object]] = lambda model: contextlib.nullcontext(),
) -> Iterator[Callable[[], object]]:
    """One update of a model of `config`, to be called in the block."""
    torch.manual_seed(0)
    model = FAMILIES[family].build(config, SHAPE)
    images = torch.randint(0, 256, (int(config["batch_size"]), *SHAPE), dtype=torch.uint8)
    with change(model):
        yield lambda: model.update(images, 0.5)


def seconds_of(update: Callable[[], object], limit_sec: float) -> float:
    """Of the fastest update: what the code takes, not who else computes."""
    return min(repeat(update, lambda: None, warmup=3, repeats=500, limit_sec=limit_sec))


def operators(update: Callable[[], object]) -> list[tuple[str, float]]:
    """Shares of an update's time by operator, the greatest first."""
    update()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(10):
            update()
    averages = found.key_averages()
    total = sum(event.self_cpu_time_total for event in averages)
    ranked = sorted(averages, key=lambda event: event.self_cpu_time_total, reverse=True)
    return [(event.key, event.self_cpu_time_total / total) for event in ranked[:OPERATORS]]


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Of updates, for each number.")
def main(seconds: float) -> None:
    device = torch.device("cpu")
    quick = suite.load("quick")
    found = machine.describe(device)
    rates = machine.matrix_products(device, 3 * seconds).flops_per_sec
    side = max(rates, key=rates.__getitem__)
    text = TEXT.format(
        processor=found.processor,
        threads=found.threads,
        precision=found.precision,
        rate=rates[side] / 1e9,
        side=side,
        variants=" | ".join(VARIANTS),
        rule=" | ".join("---:" for _ in VARIANTS),
    )
    shares = ""
    for cell in suite.cells(quick):
        if cell.entrant is None:
            continue
        family = cell.entrant.family
        planned = plan.plan(cell, SHAPE)
        a_image = planned.flops_per_update / planned.config["batch_size"]

        def rate(config: dict[str, Any], sec: float, a_image: float = a_image) -> float:
            return a_image * int(config["batch_size"]) / sec

        with updating(family, planned.config) as update:
            usual = rate(planned.config, seconds_of(update, seconds))
            ranked = operators(update)
        numbers = [f"{usual / rates[side]:.0%}", f"{usual / 1e9:.0f}"]
        for changes, change in VARIANTS.values():
            config = {**planned.config, **changes}
            with updating(family, config, change) as update:
                numbers.append(f"{rate(config, seconds_of(update, seconds)) / rates[side]:.0%}")
        text += f"| {family} (batch {planned.config['batch_size']}) | {' | '.join(numbers)} |\n"
        click.echo(text.splitlines()[-1])
        title = models.FAMILIES[family].about.title
        shares += f"\n## {title}: time by operator\n\n| Operator | Share of the update |\n| :--- | ---: |\n"
        shares += "".join(f"| `{name}` | {share:.1%} |\n" for name, share in ranked)
    PAGE.write_text(text + shares)


if __name__ == "__main__":
    main()
