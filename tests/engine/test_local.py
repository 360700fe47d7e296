"""Several cells at once on this machine."""

import dataclasses
import os
import time

import psutil
import pytest
import torch
from same import results

from equibench.engine import local
from equibench.engine.local import LaneCrew
from equibench.errors import UserError
from equibench.machine import device_lock, energy
from equibench.run.loop import run_cells


def children():
    """LaneCrew of this process that go on."""
    there = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    return {one.pid for one in there if "engine.lane" in " ".join(one.cmdline())}


def cores(monkeypatch, many):
    """As many as there are for lanes; the machine's key stays what it is."""
    monkeypatch.setattr(local, "usable_cores", lambda: many)


def test_two_lanes_give_the_records_of_one_process(small, tmp_path, monkeypatch):
    cores(monkeypatch, 64)
    alone = dataclasses.replace(small, out=tmp_path / "alone")
    assert [done.found for done in run_cells(alone, lambda *_: None)] == [False] * 4
    heard = set()
    crew = LaneCrew(small, 2)
    found = list(run_cells(small, lambda cell, what, share: heard.add((cell.name, cell.seed, what)), crew=crew))
    assert len(found) == 4
    assert {done.record.status for done in found} == {"ok"}
    assert results(small.out) == results(tmp_path / "alone")
    energies = [done.record.spent.energy for done in found if done.record.spent]
    assert [("shared the processor" in one.reason) for one in energies] == [True, True]
    assert {("one", 0, "train"), ("one", 1, "train")} <= heard
    assert children() == set()
    assert not device_lock.device_lock_of(small.invocation, "cpu").folder.parent.exists()
    assert {*os.listdir(small.out / ".cells")} - {"cache"} == {"wanted"}  # the former where a user has none


def test_a_mistake_ends_all_lanes_and_gives_claims_back(small, monkeypatch):
    cores(monkeypatch, 64)
    crew = LaneCrew(dataclasses.replace(small, machine_key="another"), 2)
    with pytest.raises(UserError, match="is another kind of machine than the run is for"):
        list(run_cells(dataclasses.replace(small, machine_key="another"), lambda *_: None, crew=crew))
    assert children() == set()
    assert not list((small.out / ".cells").glob("*/claim-*"))


def test_workers_that_the_machine_has_no_cores_for(small, monkeypatch):
    cores(monkeypatch, 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert LaneCrew(small, 2).places == 2
    with pytest.raises(UserError, match="3 workers of 2 threads each take 6 cores, and there are 4"):
        LaneCrew(small, 3)


def test_each_worker_sees_one_gpu(small, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc")
    on_gpu = dataclasses.replace(small, device=torch.device("cuda"))
    assert [one["CUDA_VISIBLE_DEVICES"] for one in LaneCrew(on_gpu, 2)._environments] == ["4", "GPU-abc"]
    with pytest.raises(UserError, match="3 workers take as many GPUs, and there are 2"):
        LaneCrew(on_gpu, 3)
    with pytest.raises(UserError, match="give --device cuda"):
        LaneCrew(dataclasses.replace(small, device=torch.device("cuda:1")), 2)


def test_a_lane_that_is_asked_to_stop_as_it_starts_says_nothing(small, capfd):
    crew = LaneCrew(small, 1)
    crew.begin(small.wanted[0], small.path(small.wanted[0]))
    time.sleep(0.5)  # it imports torch, which takes longer
    crew.close()
    assert "KeyboardInterrupt" not in capfd.readouterr().err
    assert children() == set()


def test_the_energy_of_training_is_not_counted_where_cells_share_its_processor(small, monkeypatch):
    alone = object()
    monkeypatch.setattr(energy, "counter", lambda device: alone)
    assert small.training_counter is alone
    shared = dataclasses.replace(small, device_lock=device_lock.device_lock_of(small.invocation, "cpu"))
    assert "other cells shared the processor" in shared.training_counter.reason
    assert shared.counter is alone  # what is timed has it alone
    on_gpu = dataclasses.replace(shared, device=torch.device("cuda"))
    assert on_gpu.training_counter is alone  # each cell has one of its own
