"""The machine's load beside a timed block: by made-up counters, a made-up driver, and a process that is really busy."""

import os
import subprocess
import sys
import types

import pytest
import torch

from equibench.machine import load
from equibench.machine.load import LoadMeter, Usage
from equibench.machine.others_on_gpu import GpuProcesses, others_on_gpu

CPU = torch.device("cpu")


def meter(*usages, **options):
    """A meter that reads these, one a look."""
    left = iter(usages)
    return LoadMeter(usage=lambda: next(left), **options)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        (Usage(140.0, 60.0, 30.0), 0.5),  # of 40 s, 30 busy and 10 of them its own
        (Usage(140.0, 50.0, 30.0), 0.25),
        (Usage(140.0, 39.9, 30.0), 0.0),  # counts of two kinds differ by a tick
        (Usage(140.0, 140.0, 20.0), 1.0),
    ],
)
def test_the_share_is_of_what_others_took_of_all_cores(after, share):
    assert meter(Usage(100.0, 30.0, 20.0), after).load().others_cpu_share == pytest.approx(share)


def test_looks_add_up_and_a_least_is_kept(monkeypatch):
    free = iter([500, 300, 400])
    monkeypatch.setattr(load.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=next(free)))
    found = meter(Usage(0, 0, 0), Usage(10, 9, 0), Usage(20, 9, 0), Usage(30, 9, 0))
    found.look()
    found.look()
    told = found.load()
    assert (told.others_cpu_share, told.free_memory_bytes, told.reason) == (pytest.approx(0.3), 300, None)


def test_a_look_comes_no_sooner_than_asked_for():
    now, readings = [0.0], []
    found = LoadMeter(usage=lambda: readings.append(now[0]) or Usage(now[0], 0, 0), now=lambda: now[0])
    for now[0] in (1.0, 4.0, 9.9):
        found.look(10.0)
    assert readings == [0.0]
    now[0] = 10.0
    found.look(10.0)
    assert readings == [0.0, 10.0]


def test_what_an_earlier_process_saw_counts():
    first = meter(Usage(0, 0, 0), Usage(10, 10, 0))
    second = meter(Usage(1000, 0, 0), Usage(1030, 10, 10))
    second.resume(first.totals())
    assert second.load().others_cpu_share == pytest.approx(10 / 40)


def test_counters_that_may_not_be_read_are_a_reason():
    def refuse():
        raise PermissionError(13, "Permission denied", "/proc/stat")

    told = LoadMeter(usage=refuse).load()
    assert told.others_cpu_share is None
    assert "Permission denied" in told.reason


def test_counters_that_stand_still_are_a_reason():
    told = meter(Usage(0, 0, 0), Usage(0, 0, 1.0)).load()
    assert (told.others_cpu_share, told.reason) == (None, "the system counted too little processor time to tell")


def test_the_cores_that_count_are_those_it_may_use(monkeypatch):
    core = lambda **t: types.SimpleNamespace(_asdict=lambda: t)  # noqa: E731
    cores = [core(user=1.0, idle=9.0), core(user=5.0, steal=2.0, iowait=1.0, idle=2.0, guest=1.0)]
    monkeypatch.setattr(load.psutil, "cpu_times", lambda percpu: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    used = load.processor_usage()
    assert (used.all_sec, used.busy_sec) == (10.0, 7.0)  # user holds the guest's second already


LOOK_BESIDE = """
import sys, time, psutil
from equibench.machine.load import LoadMeter
used = lambda: sum(psutil.Process(int(sys.argv[1])).cpu_times()[:2])
meter, before = LoadMeter(), used()
# however busy the machine is, and long enough for a share to be told
while used() - before < 0.5 or meter.totals().all_sec < 1.5:
    time.sleep(0.05)
print(meter.totals().others_sec, meter.load().others_cpu_share)
"""


def test_a_busy_process_beside_is_seen_and_a_child_is_not():
    before = load.processor_usage().own_sec
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        command = [sys.executable, "-c", LOOK_BESIDE, str(busy.pid)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            own_sec = load.processor_usage().own_sec - before
        finally:
            busy.kill()
    others_sec, share = map(float, done.stdout.split())
    assert others_sec >= 0.4  # of 0.5 s at least, as ticks are counted
    assert share > 0
    assert own_sec >= 0.4  # to this process it is a child of its own


class Error(Exception):
    pass


class NotFoundError(Error):
    """What NVML raises where it has no sample since then."""


def nvml(there, samples=()):
    """A stand-in for NVML with processes on its one board."""
    sample = lambda pid, util, at: types.SimpleNamespace(pid=pid, smUtil=util, timeStamp=at)  # noqa: E731
    return types.SimpleNamespace(
        NVMLError=Error,
        NVMLError_NotFound=NotFoundError,
        nvmlDeviceGetComputeRunningProcesses=lambda board: [types.SimpleNamespace(pid=pid) for pid in there],
        nvmlDeviceGetProcessUtilization=lambda board, since: [sample(*one) for one in samples],
    )


def test_others_on_a_gpu_by_their_samples():
    me = os.getpid()
    samples = [(7, 40, 2_000_000), (7, 20, 3_000_000), (8, 10, 2_500_000), (me, 90, 2_000_000), (7, 99, 500_000)]
    assert GpuProcesses(nvml([me, 7, 8], samples), "board")(1.0) == pytest.approx(0.3 + 0.1)
    assert GpuProcesses(nvml([me]), "board")(1.0) == 0.0
    told = meter(
        Usage(0, 0, 0), Usage(10, 0, 0), others_on_gpu=lambda since: 0.25, now=iter([1.0, 3.0]).__next__
    ).load()
    assert told.others_gpu_share == 0.25


def test_a_gpu_that_does_not_tell_is_a_reason():
    with pytest.raises(LookupError, match="which processes on the GPU are this cell's"):
        GpuProcesses(nvml([7]), "board")(1.0)

    def refuse(board):  # noqa: ARG001
        raise Error("Not Supported")

    silent = nvml([])
    silent.nvmlDeviceGetComputeRunningProcesses = refuse
    told = meter(Usage(0, 0, 0), Usage(10, 0, 0), others_on_gpu=GpuProcesses(silent, "board")).load()
    assert told.others_gpu_share is None
    assert "Not Supported" in told.reason
    assert told.others_cpu_share == 0.0
    assert others_on_gpu(CPU) is None


def test_a_stretch_of_which_the_driver_has_no_sample_is_left_out():
    def no_sample(board, since):  # noqa: ARG001
        raise NotFoundError("Not Found")

    others = nvml([os.getpid(), 7])
    others.nvmlDeviceGetProcessUtilization = no_sample
    assert GpuProcesses(others, "board")(1.0) is None
    told = meter(Usage(0, 0, 0), Usage(10, 0, 0), others_on_gpu=GpuProcesses(others, "board")).load()
    assert told.others_gpu_share is None
    assert "no sample" in told.reason
    shares = iter([None, 0.5])
    watched = meter(*[Usage(0, 0, 0)] * 3, others_on_gpu=lambda since: next(shares))
    watched.look()
    found = watched.load()
    assert (found.others_gpu_share, found.reason) == (0.5, "the system counted too little processor time to tell")
