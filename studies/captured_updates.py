"""Updates in eager mode and as a CUDA graph, one after the other on this machine's GPU: a line of JSON for each family.

    python -m studies.captured_updates [--suite gpu] [--device cuda] [--out FILE]

Each family at its config of the suite, on random images: the losses of the first ten updates from the same seed either
way, and then the mean time of an update. docs/gpu.md shows what one GPU gave.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from equibench import suite
from equibench.machine.device import autocast, resolve_device, synchronizer
from equibench.run.plan import plan
from equibench.updates import CapturedUpdates, Updates
from equibench_models import family as load_family
from equibench_models.contract import Shape

COMPARED, TIMED = 10, 30  # updates
BATCHES = 4  # of random images, in turn
ADDED_TO_LOSS = 1e-2  # added to a loss that a difference is relative to, as some losses are almost nothing


def batches(config: dict[str, Any], shape: Shape, device: torch.device) -> list[Tensor]:
    size = (config["batch_size"], *shape)
    of = [torch.Generator().manual_seed(i) for i in range(BATCHES)]
    return [torch.randint(0, 256, size, dtype=torch.uint8, generator=one).to(device) for one in of]


def run(updates: Updates, images: list[Tensor], device: torch.device, shares: list[float]) -> list[dict[str, Tensor]]:
    """The losses of updates at these shares of the budget."""
    losses = []
    for i, share in enumerate(shares):
        with autocast(device):
            losses.append(updates.run(images[i % len(images)], share))
    synchronizer(device)()
    return losses


def measured(family: str, config: dict[str, Any], shape: Shape, device: torch.device) -> dict[str, float | str]:
    """Milliseconds of an update either way, and how far the losses differ."""
    found: dict[str, float | str] = {"family": family}
    losses: list[list[dict[str, float]]] = []
    images = batches(config, shape, device)
    for kind in ("eager", "captured"):
        torch.manual_seed(0)
        model = load_family(family).build(config, shape).to(device)
        updates = Updates(model) if kind == "eager" else CapturedUpdates(model, device)
        torch.manual_seed(1)
        told = run(updates, images, device, [i / 100 for i in range(COMPARED)])
        losses.append([{name: float(loss.detach()) for name, loss in one.items()} for one in told])
        begin = time.perf_counter()
        run(updates, images, device, [0.5] * TIMED)
        found[f"{kind}_ms"] = 1e3 * (time.perf_counter() - begin) / TIMED
        found["capture_sec"] = updates.preparing_sec
    pairs = [(there[name], here[name]) for there, here in zip(*losses, strict=True) for name in there]
    found["losses_off"] = max(abs(here - there) / (abs(there) + ADDED_TO_LOSS) for there, here in pairs)
    return found


@click.command()
@click.option("--suite", "suite_name", default="gpu", show_default=True)
@click.option("--device", "device_name", default="cuda", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write the lines to.")
def main(suite_name: str, device_name: str, out: Path | None) -> None:
    device, chosen = resolve_device(device_name), suite.load(suite_name)
    shape: Shape = (3, 32, 32) if chosen.dataset == "cifar10" else (1, 28, 28)
    lines = []
    for cell in suite.cells(chosen):
        if cell.entrant is not None and cell.seed == chosen.seeds[0]:
            found = measured(cell.entrant.family, plan(cell, shape).config, shape, device)
            lines.append(json.dumps(found))
            click.echo(lines[-1])
    if out:
        out.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
