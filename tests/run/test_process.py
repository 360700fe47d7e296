"""What the program hears from a cell's process, and when it stops to listen or to work."""

import json
import os
import socket
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_endings import session  # noqa: F401 (a fixture)

from equibench import suite
from equibench.machine import processes
from equibench.measure.cost import memory
from equibench.run import isolated, process
from equibench.run.isolated import isolated_plan
from equibench.run.train import StoppedError
from equibench.run.unfinished import Progress, Unfinished
from equibench.run.work import Found, attempt
from equibench.run.worker import Messenger
from equibench.suite import Entrant


@pytest.fixture
def bell():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    yield SimpleNamespace(ours=ours, theirs=theirs)
    ours.close()
    theirs.close()


@pytest.fixture
def watch(bell):
    """Of a process that never ends."""
    never, end = os.pipe()
    yield process._Watch(
        SimpleNamespace(sentinel=never), bell.ours, Path("nothing"), lambda *_: None, lambda doing, share: None
    )
    os.close(never)
    os.close(end)


@pytest.mark.parametrize(
    "words",
    [
        b"[" * 30_000,
        b'{"doing": "x", "share": 1' + b"0" * 400 + b"}",
        b"\xff",
        b"7",
        b'{"apart": 7}',
        b'{"apart": [[], [1, "cpu"], {}]}',
        b'{"apart": ["speed", ["compile"], {}]}',
        b'{"share": NaN}',
    ],
    ids=["deep", "huge", "no text", "a number", "no order", "no stage", "no device", "no number"],
)
def test_whatever_is_said_nothing_breaks(bell, watch, words):
    bell.theirs.send(words)
    bell.theirs.send(json.dumps({"doing": "train", "share": 0.5}).encode())
    assert watch._hear()
    assert watch._hear()
    assert not watch._hear()
    assert watch.found.doing == "train"


def test_a_wait_before_the_cell_began_does_not_lengthen_its_limit(bell, watch, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for clock[0], words in [
        (0.0, {"waits": True}),
        (100.0, {"waits": False}),
        (101.0, {"ready": True}),
        (110.0, {"waits": True}),
        (130.0, {"waits": False}),
    ]:
        bell.theirs.send(json.dumps(words).encode())
        assert watch._hear()
    assert watch.waited(0.0) == 101.0 + 20.0


def test_who_never_stops_talking_is_stopped_all_the_same(watch, monkeypatch):
    monkeypatch.setattr(watch, "_hear", lambda: True)
    until_sec = time.monotonic() + 0.05
    watch.wait(lambda: until_sec)
    assert watch.found.timed_out


def test_a_stop_does_not_wait_for_memory_to_be_measured(bell):
    messenger = Messenger(bell.theirs)
    messenger.stop()
    with pytest.raises(StoppedError):
        messenger.peak_memory("vae", {}, (1, 8, 8), {}, "cpu", train_batch_size=2, sample_batch_size=2)


@pytest.mark.parametrize("asked", ["told", "memory", "memory, heard"])
def test_a_cell_whose_program_was_killed_stops_and_records_no_failure(bell, asked):
    """It lives a moment longer than the program, in which it could write down that a stage of its own had failed."""
    messenger = Messenger(bell.theirs)
    memory_of = partial(messenger.peak_memory, "gan", {}, (1, 28, 28), {}, torch.device("cpu"))
    if asked == "memory, heard":
        heard = messenger.send
        messenger.send = lambda message: (heard(message), bell.ours.close())
    else:
        bell.ours.close()
    with pytest.raises(StoppedError):
        attempt(Found(), "speed", partial(messenger.tell, "speed", 0.5) if asked == "told" else memory_of)


def test_no_process_is_started_for_a_cell_that_is_over(monkeypatch):
    monkeypatch.setattr(processes, "start", lambda *_: pytest.fail("started"))
    batches = {"train_batch_size": 2, "sample_batch_size": 2}
    found = memory.peak_memory("vae", {}, (1, 8, 8), {}, torch.device("cpu"), **batches, wanted=lambda: False)
    assert found.reason == "train: stopped; sample: stopped"


def test_a_fork_server_that_was_killed_is_not_running(monkeypatch):
    """Also while nobody has asked yet how it ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(processes.forkserver._forkserver, "_forkserver_pid", child)
    assert processes.server_pid() is None
    os.waitpid(child, 0)


def test_others_hear_of_a_cell_while_an_entrant_is_planned(session, monkeypatch):  # noqa: F811
    monkeypatch.setattr(isolated, "LIMIT_SEC", 1.0)
    monkeypatch.setattr(isolated, "LOOK_SEC", 0.1)
    hangs = Entrant(name="hangs", family="endings:Family", config={"how": "hang", "where": "plan"})
    chosen = session.suite.model_copy(update={"entrant": [hangs]})
    cell = next(cell for cell in suite.cells(chosen) if cell.entrant)
    beats = []
    assert isolated_plan(cell, session.data.shape, lambda: beats.append(1)) is None
    assert len(beats) > 1


def test_what_is_kept_can_be_read_again_whatever_names_are_in_it(tmp_path):
    """A byte of a path that is no UTF-8 is no text that JSON can hold."""
    unfinished = Unfinished(tmp_path)
    found = Found().failed("quality", "no \udce9 here")
    unfinished.save(Progress(identity="one", done=["quality"]), found)
    progress, again = unfinished.load("one")
    assert progress.done == ["quality"]
    assert again.results.failures == {"quality": "no ? here"}
