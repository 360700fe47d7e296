"""What is timed has the device alone, and the others go on after it."""

import multiprocessing
import os
import signal

import pytest

from equibench.machine.device_lock import DeviceLock


def work(folder, end):
    """Take part until told to stop, saying what happens."""
    mine = DeviceLock(folder, waits=lambda begins: end.send(f"waits {begins}"))
    mine.acquire_shared()
    end.send("in")
    while True:
        if end.poll(0.005) and end.recv() == "time it":
            with mine.exclusive():
                end.send("alone")
                end.recv()
            end.send("not alone")
        mine.yield_to_waiters()


@pytest.fixture
def two(tmp_path):
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=work, args=(tmp_path, theirs), daemon=True))
        processes[-1].start()
        assert ours.recv() == "in"
        ends.append(ours)
    yield ends, processes
    for one in processes:
        one.kill()
        one.join()


def test_one_has_the_device_alone_and_the_other_waits_and_goes_on(two):
    (first, second), _ = two
    first.send("time it")
    assert second.recv() == "waits True"
    heard = [first.recv()]
    while heard[-1] != "alone":
        heard.append(first.recv())
    assert heard in (["alone"], ["waits True", "waits False", "alone"])
    second.send("time it")  # it wants it too, and cannot have it
    assert not second.poll(0.2)
    first.send("done")
    assert first.recv() == "not alone"
    assert second.recv() == "waits False"
    while second.recv() != "alone":
        pass


def test_one_that_is_killed_keeps_nobody_waiting(two):
    (first, second), processes = two
    first.send("time it")
    assert second.recv() == "waits True"
    os.kill(processes[0].pid, signal.SIGKILL)
    assert second.recv() == "waits False"


def test_nothing_is_shared_without_a_folder():
    mine = DeviceLock()
    mine.acquire_shared()
    assert not mine.is_wanted()
    mine.yield_to_waiters()
    with mine.exclusive():
        pass
