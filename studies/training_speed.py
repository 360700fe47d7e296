"""How near training comes to the machine's matrix products, and what stands between: writes docs/training_speed.md.

    python -m studies.training_speed [--seconds 4] [--suite quick] [--device cpu] [--without VARIANT ...] [--page FILE]

Each family at the config of a suite, on random images: what share its update reaches of the rate of a product of square
matrices in the same precision, the two timed in turns; then with one thing changed at a time; and the time of its
update by operator, from torch.profiler.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import torch
from pydantic import ValidationError
from torch.profiler import ProfilerActivity, profile

from equibench import suite
from equibench.machine.clock import repeat
from equibench.machine.compiling import compiled
from equibench.machine.device import (
    autocast,
    convolutions_in_tf32,
    precision,
    resolve_device,
    synchronizer,
    time_matrix_products,
)
from equibench.machine.provenance import describe_machine
from equibench.quantities.text import MISSING, number
from equibench.run import plan
from equibench.run.counting import counted
from equibench.updates import EAGER_UPDATES, CapturedUpdates
from equibench_models import family as load_family
from equibench_models.contract import Model, Shape

ROUNDS = 4  # in which products and updates take turns: both meet the same moments of a machine that others use
OPERATORS = 10
PAGE = Path(__file__).parent.parent / "docs" / "training_speed.md"
TEXT = """# How fast training is, and what stands in the way

Written by `python -m studies.training_speed`; the module says how. Suite `{suite}`, {precision},
{machine}.

"As it is" is the FLOP/s of the update, over those of the fastest product of square matrices in {precision}, which is
timed in turns with it. The other shares are those of the update with one thing changed; a dash stands where the family
does not allow it. A processor with units for matrices multiplies large ones several times as fast as one without, while
the small layers of these models hardly gain from such units. So shares of two machines do not compare; FLOP/s do.

| Family | as it is | GFLOP/s | product, GFLOP/s | {variants} |
| :--- | ---: | ---: | ---: | {rule} |
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


def _other_precision(model: Model) -> contextlib.AbstractContextManager[object]:
    """Multiplying in the one of bfloat16 and float32 that training does not use on this machine."""
    device = next(model.parameters()).device
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(device) is torch.float32)


def _compiled(model: Model) -> contextlib.AbstractContextManager[object]:
    """The context of a suite with `compile = true`; what it takes to compile falls in the dropped updates."""
    return compiled(model, model.differentiated_twice)


def _captured(model: Model) -> contextlib.AbstractContextManager[object]:
    """The context of a suite with `cuda_graph = true`; the capture falls in the dropped updates."""
    run = CapturedUpdates(model, next(model.parameters()).device).run
    return mock.patch.object(model, "update", run)


@contextlib.contextmanager
def _any_order(model: Model) -> Iterator[None]:  # noqa: ARG001
    """Kernels that add in any order, where `work_on` asks a GPU for others."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=True)


def _tf32(model: Model) -> contextlib.AbstractContextManager[object]:  # noqa: ARG001
    """PyTorch's own choice on a GPU."""
    return convolutions_in_tf32(True)


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
ON_GPU: dict[str, tuple[dict[str, float], Change]] = {
    "CUDA graph": ({}, _captured),
    "sums in any order": ({}, _any_order),
    "TF32": ({}, _tf32),
    "four times the batch": ({"batch_size": 4}, _as_it_is),
}


class Trained:
    """A family as a suite has it, on a device, to be updated with one thing changed."""

    def __init__(self, family: str, config: dict[str, Any], shape: Shape, device: torch.device) -> None:
        self.family, self.config, self.shape, self.device = family, config, shape, device

    def changed(self, factors: dict[str, float]) -> dict[str, Any]:
        """The config with integer fields multiplied."""
        return self.config | {key: int(self.config[key] * factor) for key, factor in factors.items()}

    @contextlib.contextmanager
    def updating(self, factors: dict[str, float], change: Change) -> Iterator[Callable[[], object]]:
        """One update, to be called in the block."""
        torch.manual_seed(0)
        model = load_family(self.family).build(self.changed(factors), self.shape).to(self.device)
        images = torch.randint(0, 256, (model.config.batch_size, *self.shape), dtype=torch.uint8).to(self.device)

        def update() -> object:
            torch.clear_autocast_cache()  # casts of weights are kept within one context, of which training has one each
            return model.update(images, 0.5)

        with autocast(self.device), change(model):
            yield update

    def flops(self, factors: dict[str, float]) -> float:
        """The FLOPs of an update, at the batch that is timed."""
        return counted(load_family(self.family), self.changed(factors), self.shape).flops[0]

    def side_by_side(self, factors: dict[str, float], change: Change, seconds: float) -> tuple[float, float]:
        """FLOP/s of the fastest update and of the fastest product of matrices: what code and machine can do, not what
        is left while others compute.
        """
        flops, synchronize, share_sec = self.flops(factors), synchronizer(self.device), seconds / ROUNDS
        trained = product = 0.0
        with self.updating(factors, change) as update:
            for _ in range(ROUNDS):
                product = max(product, *time_matrix_products(self.device, share_sec).flops_per_sec.values())
                taken = repeat(update, synchronize, warmup=EAGER_UPDATES + 1, repeats=500, limit_sec=share_sec)
                trained = max(trained, flops / min(taken))
        return trained, product

    def operators(self) -> list[tuple[str, float]]:
        """Shares of an update's time by operator, on a GPU of the GPU's, the greatest first."""
        on_gpu = self.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with self.updating({}, _as_it_is) as update:
            update()
            with profile(activities=activities) as found:
                for _ in range(10):
                    update()
        of = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        taken = {event.key: float(getattr(event, of)) for event in found.key_averages()}
        ranked = sorted(taken, key=lambda name: taken[name], reverse=True)
        return [(name, taken[name] / sum(taken.values())) for name in ranked[:OPERATORS]]


def share(part: float, whole: float) -> str:
    return f"{number(100 * part / whole, 2)}%"


def share_when_changed(one: Trained, factors: dict[str, float], change: Change, seconds: float) -> str:
    """A dash where the config may not be so."""
    try:
        return share(*one.side_by_side(factors, change, seconds))
    except ValidationError:
        return MISSING
    except RuntimeError as error:  # no second derivatives when compiled
        click.echo(f"{one.family}: {error}", err=True)
        return "fails"


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Of updates, and of products, for each number.")
@click.option("--suite", "suite_name", default="quick", show_default=True)
@click.option("--device", "device_name", default="cpu", show_default=True)
@click.option(
    "--without",
    "left_out",
    type=click.Choice(tuple(VARIANTS | ON_GPU)),
    multiple=True,
    help="Leave this out: compiling takes minutes.",
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(seconds: float, suite_name: str, device_name: str, left_out: tuple[str, ...], page: Path) -> None:
    device, chosen = resolve_device(device_name), suite.load(suite_name)
    shape = (3, 32, 32) if chosen.dataset == "cifar10" else (1, 28, 28)
    found, known = describe_machine(device), VARIANTS | (ON_GPU if device.type == "cuda" else {})
    variants = {name: variant for name, variant in known.items() if name not in left_out}
    text = TEXT.format(
        suite=suite_name,
        machine=f"{found.processor}, {found.threads} threads" if device.type == "cpu" else found.device,
        precision=found.precision,
        variants=" | ".join(variants),
        rule=" | ".join("---:" for _ in variants),
    )
    shares = ""
    for cell in suite.cells(chosen):
        if cell.entrant is None or cell.seed != chosen.seeds[0]:
            continue
        config = plan.plan(cell, shape).config
        one = Trained(cell.entrant.family, config, shape, device)
        usual, product = one.side_by_side({}, _as_it_is, seconds)
        numbers = [share(usual, product), number(usual / 1e9), number(product / 1e9)]
        for factors, change in variants.values():
            numbers.append(share_when_changed(one, factors, change, seconds))
        text += f"| {cell.name} (batch {config['batch_size']}) | {' | '.join(numbers)} |\n"
        click.echo(text.splitlines()[-1])
        shares += f"\n## {cell.name}: time by operator\n\n| Operator | Share of the update |\n| :--- | ---: |\n"
        shares += "".join(f"| `{name}` | {part:.1%} |\n" for name, part in one.operators())
    page.write_text(text + shares)


if __name__ == "__main__":
    main()
