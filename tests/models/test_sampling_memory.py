"""What sampling holds at once, in bytes of tensors."""

from __future__ import annotations

import pytest
import torch

from equibench.measure.cost.live import LiveTensors
from equibench_models import family as load_family


@pytest.mark.parametrize("sampler", ["sde-dpm-solver++", "dpm-solver++", "ancestral"])
def test_more_steps_take_no_more_memory(sampler):
    """A sampler that kept its steps would take 31 GB for 5,000 grey images of 28x28 in 1,000 steps."""
    model = load_family("diffusion").build({"width": 8}, (1, 16, 16))
    peaks = []
    for steps in (5, 25):
        with torch.no_grad(), LiveTensors() as live:
            model.sample(16, torch.Generator().manual_seed(0), sampler=sampler, steps=steps)
        peaks.append(live.peak_bytes)
    assert peaks[1] - peaks[0] == 20 * 4  # a float32 of each step's noise level
