"""What a diffusion model's few steps lose against its own full chain: writes docs/few_steps.md.

    python -m studies.few_steps results/quick/diffusion-s0-....safetensors [--samples 1500]

The default sampler, others of its settings, and the chain of all steps, each on as many samples from the same seed,
against the test images. On two cores the full chain takes five to ten minutes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import torch

from equibench.data import sets
from equibench.errors import UserError
from equibench.machine.device import autocast, resolve_device
from equibench.machine.provenance import describe_machine
from equibench.measure.features.load import load_extractor
from equibench.measure.quality import frechet
from equibench.measure.quality.reference import reference_of_images
from equibench.quantities.text import number
from equibench.run import checkpoint

PAGE = Path(__file__).parent.parent / "docs" / "few_steps.md"
TEXT = """# Few steps against the full chain

Written by `python -m studies.few_steps`; the module says how. One diffusion model (weights {weights}, trained for
{flops} FLOPs), {samples:,} samples each from the same seed, in {extractor}; {machine}. What few
steps lose or gain depends on the model; a report shows it of its own models, the full chain apart.

| Sampler | FD_{samples} | over the full chain's | Seconds | of the full chain's |
| :--- | ---: | ---: | ---: | ---: |
"""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--samples", default=1500, show_default=True)
def main(file: Path, samples: int) -> None:
    device = resolve_device("auto")
    model, provenance = checkpoint.load(file, device)
    if provenance.family != "diffusion":
        raise UserError(f"{file} is a {provenance.family}, which has no steps; give a diffusion model")
    extractor = load_extractor("efficientnet-lite0", device)
    test = reference_of_images("test", sets.load("fashion-mnist-10k").test, extractor)
    chain = int(provenance.config["chain_steps"])
    settings: dict[str, dict[str, Any]] = {
        "default (SDE-DPM-Solver++, 10 steps)": {},
        "SDE-DPM-Solver++, 20 steps": {"steps": 20},
        "SDE-DPM-Solver++, 50 steps": {"steps": 50},
        "DPM-Solver++ (no noise), 10 steps": {"sampler": "dpm-solver++"},
        "ancestral, 10 steps": {"sampler": "ancestral"},
        "ancestral, 50 steps": {"sampler": "ancestral", "steps": 50},
        f"full chain, {chain} steps": {"sampler": "ancestral", "steps": chain},
    }
    found: dict[str, tuple[float, float]] = {}
    for name, options in settings.items():
        generator = torch.Generator(device).manual_seed(0)
        begin = time.perf_counter()
        with autocast(device):
            images = model.sample(samples, generator, **options).cpu().numpy()
        sec = time.perf_counter() - begin
        theirs = torch.from_numpy(extractor(images)).to(extractor.device)
        found[name] = frechet.frechet_distance(frechet.statistics(theirs), test.statistics), sec
        click.echo(f"{name}: {found[name][0]:.1f} in {sec:.1f} s")
    whole, whole_sec = list(found.values())[-1]
    text = TEXT.format(
        weights=checkpoint.sha256(file)[:8],
        flops=number(provenance.spent.flops),
        samples=samples,
        extractor=extractor.info.name,
        machine=describe_machine(device).processor,
    )
    for name, (distance, sec) in found.items():
        text += f"| {name} | {distance:.1f} | {distance / whole - 1:+.1%} | {sec:.1f} | 1/{whole_sec / sec:.0f} |\n"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
