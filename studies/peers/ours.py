"""Our side: a suite with a budget in seconds, made of the shipped one's entrants, and samples of what it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.errors import UserError
from equibench.machine.device import autocast
from equibench.record import find
from equibench.record.schema import USUAL, Record
from equibench.run import checkpoint
from equibench.run.families import resolve_family
from equibench.suite import Entrant, load
from studies.peers.results import PEERS, Settings

SHIPPED = "quick"  # whose entrants and cap are taken


def entrants() -> dict[str, Entrant]:
    """The first of each family, by family."""
    return {one.family: one for one in reversed(load(SHIPPED).entrant) if one.family in PEERS}


def params_allowed() -> int:
    return load(SHIPPED).budget[0].params


def suite_text(settings: Settings) -> str:
    """The suite as TOML: training and bits/dim; samples are drawn and timed by the study, as those of the peers are."""
    lines = [
        'name = "peers"',
        f'about = "{settings.seconds:g} s of training against the models that people use"',
        f"dataset = {json.dumps(settings.dataset)}",
        "seeds = [0]",
        "[[budget]]",
        f"params = {settings.params}",
        'unit = "sec"',
        f"amount = {settings.seconds}",
        "[measure]",
        "samples = 64",
        "reference_images = 64",
        'extractor = "efficientnet-lite0"',
        "splits = 1",
        "resamples = 2",
        "memorization_images = 0",
        "noise_samples = 0",
        "sampler_points = false",
        f"likelihood_images = {settings.likelihood_images}",
        "speed_batch_sizes = [64]",
        "speed_limit_sec = 0.1",
        "latency_limit_sec = 0.1",
    ]
    for family in PEERS:
        one = entrants()[family]
        lines += ["[[entrant]]", f'name = "{family}"', f'family = "{family}"']
        lines += [f"config.{key} = {json.dumps(value)}" for key, value in one.config.items()]
        lines += [f"sampler.{key} = {json.dumps(value)}" for key, value in one.sampler.items()]
    return "\n".join(lines) + "\n"


def ways(family: str) -> dict[str, dict[str, Any]]:
    """Ways of sampling, by name: the suite's, and where the family samples in one pass, the others that it declares,
    such as the VAE's mean and the flow with less noise.
    """
    kind, usual = resolve_family(family), dict(entrants()[family].sampler)
    found: dict[str, dict[str, Any]] = {USUAL: usual}
    if "steps" not in kind.options_type.model_fields:
        found |= {name: {**usual, **changed} for name, changed in kind.samplers.items()}
    return found


def trained(folder: Path, family: str, seed: int) -> tuple[Path, Record] | None:
    """The weights of that cell and its record. Raises UserError where the record has no weights."""
    if not folder.exists():
        return None
    for file in find.record_files([folder]):
        record = find.read_if_record(file)
        if record and record.entrant == family and record.seed == seed:
            if record.checkpoint is None:
                raise UserError(f"our {family} was not trained ({record.reason}); delete {file} to try again")
            return file.parent / record.checkpoint, record
    return None


def drawn(weights: Path, n: int, options: dict[str, Any], seed: int) -> NDArray[np.uint8]:
    """uint8 images `[n, C, H, W]` of a checkpoint, as a run draws them."""
    device = torch.device("cpu")
    model, _ = checkpoint.load(weights, device)
    with autocast(device):
        return model.sample(n, torch.Generator(device).manual_seed(seed), **options).numpy()
