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

from equibench import suite
from equibench.machine.clock import repeat
from equibench.machine.device import autocast, precision, time_matrix_products
from equibench.machine.provenance import describe_machine
from equibench.run import plan
from equibench.run.counting import counted
from equibench_models import family as load_family
from equibench_models.contract import Model

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


def _other_precision(model: Model) -> contextlib.AbstractContextManager[object]:  # noqa: ARG001
    """Of bfloat16 and float32 the one that training does not use on this machine."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision(torch.device("cpu")) is torch.float32)


def _compiled(model: Model) -> contextlib.AbstractContextManager[object]:
    """Trained networks through torch.compile; what it takes to compile falls in the dropped updates."""
    for name, network in model.named_children():
        if name != "average":  # which is never trained
            network.compile()
    return contextlib.nullcontext()


def _as_it_is(model: Model) -> contextlib.AbstractContextManager[object]:  # noqa: ARG001
    return contextlib.nullcontext()


Change = Callable[[Model], contextlib.AbstractContextManager[object]]
# what is changed of the config, by factors, and of the model
VARIANTS: dict[str, tuple[dict[str, float], Change]] = {
    "contiguous, not channels-last": ({}, _contiguous),
    "the other of bfloat16 and float32": ({}, _other_precision),
    "optimiser not fused": ({}, _unfused),
    "torch.compile": ({}, _compiled),
    "half the batch": ({"batch_size": 0.5}, _as_it_is),
    "twice the batch": ({"batch_size": 2}, _as_it_is),
    "twice as wide (over the cap)": ({"width": 2}, _as_it_is),
}


@contextlib.contextmanager
def updating(
    family: str,
    config: dict[str, Any],
    change: Change,
) -> Iterator[Callable[[], object]]:
    """One update of a model of `config`, to be called in the block."""
    torch.manual_seed(0)
    model = load_family(family).build(config, SHAPE)
    images = torch.randint(0, 256, (int(config["batch_size"]), *SHAPE), dtype=torch.uint8)
    with autocast(torch.device("cpu")), change(model):
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


def flops_per_sec(family: str, config: dict[str, Any], change: Change, limit_sec: float) -> float:
    """Of the fastest update."""
    flops = counted(load_family(family), config, SHAPE).flops[0]
    with updating(family, config, change) as update:
        return flops / seconds_of(update, limit_sec)


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Of updates, for each number.")
def main(seconds: float) -> None:
    device = torch.device("cpu")
    quick = suite.load("quick")
    found = describe_machine(device)
    rates = time_matrix_products(device, 3 * seconds).flops_per_sec
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
        config = plan.plan(cell, SHAPE).config
        usual = flops_per_sec(family, config, _as_it_is, seconds)
        with updating(family, config, _as_it_is) as update:
            ranked = operators(update)
        numbers = [f"{usual / rates[side]:.0%}", f"{usual / 1e9:.0f}"]
        for factors, change in VARIANTS.values():
            changed = config | {key: int(config[key] * factor) for key, factor in factors.items()}
            try:
                numbers.append(f"{flops_per_sec(family, changed, change, seconds) / rates[side]:.0%}")
            except RuntimeError as error:  # torch.compile has no second derivatives
                click.echo(f"{family}: {error}", err=True)
                numbers.append("fails")
        text += f"| {family} (batch {config['batch_size']}) | {' | '.join(numbers)} |\n"
        click.echo(text.splitlines()[-1])
        title = load_family(family).about.title
        shares += f"\n## {title}: time by operator\n\n| Operator | Share of the update |\n| :--- | ---: |\n"
        shares += "".join(f"| `{name}` | {share:.1%} |\n" for name, share in ranked)
    PAGE.write_text(text + shares)


if __name__ == "__main__":
    main()
