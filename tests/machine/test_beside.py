"""The reference workload, and what is noted around a block."""

import itertools
import json

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from equibench.machine import load
from equibench.machine.beside import Around, Beside
from equibench.machine.load import LoadMeter, Usage
from equibench.machine.reference import ReferenceWork, WorkSize

CPU = torch.device("cpu")
SMALL = WorkSize(batch=2, channels=8, side=6, layers=2, steps=2)


def test_the_workload_is_the_same_every_time_and_draws_no_numbers_of_the_cell():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    work = ReferenceWork(CPU, SMALL)
    one, two = work(), work()
    assert torch.equal(one, two)
    assert torch.equal(one, ReferenceWork(CPU, SMALL)())
    assert torch.equal(before, torch.get_rng_state())
    assert bool(one.isfinite().all())
    assert one.shape == (2, 8, 6, 6)


def test_the_workload_is_what_its_name_stands_for():
    """Written out once more, in float64: another definition must have another name."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 6, 6, generator=generator).double()
    weights = [((2 / 72) ** 0.5 * torch.randn(8, 8, 3, 3, generator=generator)).double() for _ in range(2)]
    for _ in range(2):
        hidden = x
        for weight in weights:
            hidden = F.conv2d(F.silu(hidden), weight, padding=1)
        x = x + 0.1 * F.group_norm(hidden, 4)
    work = ReferenceWork(CPU, SMALL)
    torch.testing.assert_close(work().double(), x, rtol=0.02, atol=0.02)  # bfloat16, where a processor has it
    assert work.name.startswith("convolutions 1, cpu, ")


class Counted:
    """A workload that says how often it was asked, in place of seconds."""

    name = "counted"

    def __init__(self):
        self.asked = 0

    def seconds(self, limit_sec):  # noqa: ARG002
        self.asked += 1
        return [float(self.asked)]


def around(work, *usages):
    left = itertools.chain(usages, itertools.repeat(usages[-1]))
    return Around("train", LoadMeter(usage=lambda: next(left)), work)


def test_the_reference_is_timed_before_and_after():
    found = around(Counted(), Usage(0, 0, 0), Usage(10, 5, 0)).end()
    assert (found.name, found.reference.name) == ("train", "counted")
    assert (found.reference.before_sec, found.reference.after_sec) == ([1.0], [2.0])
    assert found.load.others_cpu_share == 0.5


def test_a_block_that_goes_on_in_another_process_keeps_what_was_seen():
    first = around(Counted(), Usage(0, 0, 0), Usage(10, 10, 0))
    kept = json.loads(json.dumps(first.state()))
    second = around(Counted(), Usage(0, 0, 0), Usage(30, 0, 0))
    second.resume(kept)
    found = second.end()
    assert found.reference.before_sec == [1.0, 1.0]
    assert found.load.others_cpu_share == pytest.approx(0.25)


def test_a_short_block_is_watched_until_a_share_can_be_told(monkeypatch):
    """Two ticks of ten milliseconds that the system counts for the wrong process are 12 % of 0.17 s."""
    slept = []
    monkeypatch.setattr(load.time, "sleep", slept.append)
    found = around(Counted(), Usage(0, 0, 0), Usage(0.17, 0.02, 0), Usage(0.6, 0.02, 0), Usage(1.2, 0.03, 0)).end()
    assert found.load.others_cpu_share == pytest.approx(0.025)
    assert len(slept) == 2


def test_counters_that_stand_still_are_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(load.time, "sleep", lambda sec: None)
    assert around(Counted(), Usage(0, 0, 0)).end().load.others_cpu_share is None


@pytest.mark.parametrize("state", [{}, None, {"load": {"all_sec": "x"}, "before_sec": []}, {"before_sec": [0.1]}])
def test_what_no_block_wrote_is_refused(state):
    with pytest.raises(ValidationError):
        around(Counted(), Usage(0, 0, 0)).resume(state)


def test_a_block_of_this_machine():
    blocks = []
    with Beside(CPU).block("speed", blocks):
        pass
    (one,) = blocks
    assert 1 <= len(one.reference.before_sec) <= 5  # fewer on a busy machine
    assert 1 <= len(one.reference.after_sec) <= 5
    assert one.load.free_memory_bytes > 0
    assert one.load.others_cpu_share is not None or one.load.reason
