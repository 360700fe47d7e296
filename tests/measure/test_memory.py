"""Peak memory against allocations of known size."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
import torch
from torch._C import _len_torch_dispatch_stack

from equibench.conformance import skeleton
from equibench.measure.cost import memory
from equibench_models import FAMILIES

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
def test_a_known_allocation_is_exact_and_what_the_process_took_within_five_percent(before, blocks, mib):
    polluted = torch.ones(400 * MIB, dtype=torch.uint8)  # in this process: no child of it may see that
    del polluted
    found = memory.in_fresh_process(hold, before, (blocks, mib), CPU)
    assert found.reason is None
    assert found.peak_bytes == blocks * int(mib * MIB)
    assert found.resident_bytes == pytest.approx(blocks * mib * MIB, rel=0.05)


def by_hand(device):
    """Five blocks at most: the first two, a sum, and a square that takes the place of nothing yet, then views."""
    a, b = torch.ones(MIB, device=device), torch.ones(MIB, device=device)  # 8 MiB
    a = a + b  # 12, then 8
    squares = [a * a for _ in range(3)]  # 20
    views = [square.view(2, -1).t() for square in squares]  # the same memory
    del a, b, squares  # 12
    views[0].add_(1)
    torch.from_numpy(np.zeros(MIB, np.float32)).mul_(2)  # 16, seen as it is used


def learn(device):
    """Weights, their gradients, and the gradients of these: what a backward pass makes counts too."""
    weight = torch.ones(MIB, device=device, requires_grad=True)
    (gradient,) = torch.autograd.grad((weight**2).sum(), weight, create_graph=True)
    gradient.sum().backward()


def test_live_tensors_by_hand():
    found = memory.in_fresh_process(by_hand, (), (), CPU)
    assert (found.reason, found.peak_bytes) == (None, 20 * MIB)


def test_tensors_of_backward_passes_count():
    peak = memory.in_fresh_process(learn, (), (), CPU).peak_bytes
    assert 3 * 4 * MIB <= peak <= 8 * 4 * MIB


@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_count_alike(family):
    arguments = (family, {"width": 8, "batch_size": 4}, (1, 16, 16), {}, CPU)
    one, two = (memory.peak_memory(*arguments, train_batch_size=4, sample_batch_size=4) for _ in range(2))
    assert one.quantity == "peak of live tensors"
    assert one.train_peak_bytes == two.train_peak_bytes > 0
    assert one.sample_peak_bytes == two.sample_peak_bytes > 0
    assert min(one.train_resident_bytes, one.sample_resident_bytes) > 0


def test_a_family_of_the_working_folder_is_measured_there(tmp_path, monkeypatch):
    """The fresh process has the paths of this one, on which the working folder is not where `equibench` was started as
    a command.
    """
    skeleton.write("kept_here", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in sys.path
    found = memory.peak_memory("kept_here:KeptHere", {}, (1, 8, 8), {}, CPU, train_batch_size=4, sample_batch_size=4)
    assert found.reason is None
    assert min(found.train_peak_bytes, found.sample_peak_bytes) > 0
    missing = memory.peak_memory("not_here:Not", {}, (1, 8, 8), {}, CPU, train_batch_size=4, sample_batch_size=4)
    assert "cannot import not_here:Not" in missing.reason


def bear_no_watching(device):
    """As an operator of a user's own that asks what it is called within."""
    held = torch.ones(5 * MIB, device=device)
    if _len_torch_dispatch_stack():
        raise RuntimeError(f"who is there, beside {held.numel()}?")


def narrow(device, mib):
    """A family that cannot be as small as the twin that is to go before it."""
    if mib < 1:
        raise ValueError("too small")
    hold(device, 1, mib)


def test_a_family_that_can_have_no_twin_is_measured_all_the_same():
    found = memory.in_fresh_process(narrow, (0.5,), (8.0,), CPU)
    assert (found.reason, found.peak_bytes) == (None, 8 * MIB)


def test_what_cannot_be_counted_has_what_the_process_took_and_a_reason():
    found = memory.in_fresh_process(bear_no_watching, (), (), CPU)
    assert found.peak_bytes is None
    assert found.resident_bytes == pytest.approx(20 * MIB, rel=0.1)
    assert "cannot be counted (who is there" in found.reason


def run_out(device, fails):  # noqa: ARG001
    if fails:
        raise MemoryError


def test_running_out_of_memory_is_a_reason():
    assert memory.in_fresh_process(run_out, (False,), (True,), CPU).reason == "out of memory"


def test_a_system_without_a_fork_server_says_so(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
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
