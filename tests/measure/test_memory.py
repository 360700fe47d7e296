"""Peak memory against allocations of known size."""

from __future__ import annotations

import os
import signal

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


def test_a_system_without_a_fork_server_says_so(monkeypatch):
    monkeypatch.setattr(memory.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    found = memory.in_fresh_process(hold, (1, 1), (1, 1), CPU)
    assert found.peak_bytes is None
    assert "no fork server" in found.reason


def die(device, how):  # noqa: ARG001
    if how == "raises":
        raise ValueError("a family of the user's own\nbroke")
    os.kill(os.getpid(), signal.SIGKILL) if how == "killed" else os._exit(3)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "a family of the user's own"),
        ("killed", "the process was ended by signal 9 (SIGKILL)"),
        ("ends", "the process ended without a result, with code 3"),
    ],
)
def test_a_process_without_an_answer_says_how_it_ended(how, reason):
    assert memory.in_fresh_process(die, (how,), (how,), CPU) == memory.Peak(reason=reason)
