"""Peak memory against allocations of known size."""

from __future__ import annotations

import pytest
import torch

from equibench.measure.cost import memory

CPU = torch.device("cpu")


MIB = 2**20


def hold(device, blocks, mib):
    """Work that holds so many blocks at once and gives them back."""
    held = [torch.ones(int(mib * MIB), dtype=torch.uint8, device=device) for _ in range(blocks)]
    assert len(held) == blocks


@pytest.mark.parametrize(
    ("before", "blocks", "mib"),
    [((1, 1.0), 1, 200.0), ((1, 600.0), 2000, 0.06), ((9000, 0.06), 1, 200.0), ((9000, 0.06), 2000, 0.06)],
    ids=["large alone", "small after large", "large after small", "small after small"],
)
def test_a_known_allocation_is_right_within_five_percent(before, blocks, mib):
    polluted = torch.ones(400 * MIB, dtype=torch.uint8)  # in this process: no child of it may see that
    del polluted
    found = memory.in_fresh_process(hold, before, (blocks, mib), CPU)
    assert found.reason is None
    assert found.peak_bytes == pytest.approx(blocks * mib * MIB, rel=0.05)


def run_out(device, fails):  # noqa: ARG001
    if fails:
        raise MemoryError


def test_running_out_of_memory_is_a_reason():
    assert memory.in_fresh_process(run_out, (False,), (True,), CPU).reason == "out of memory"
