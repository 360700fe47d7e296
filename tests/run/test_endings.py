"""Whatever an entrant does, its row says why, the others go on, stages before keep their numbers, nothing is left."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import endings
import psutil
import pytest
import torch

from equibench import suite
from equibench.data import sets
from equibench.machine import processes
from equibench.measure.features.load import load_extractor
from equibench.run.loop import run_cells
from equibench.run.session import Session
from equibench.suite import Entrant

CPU = torch.device("cpu")
LIMIT_SEC = 40.0  # of a cell that hangs, and of the sound one after it: ten times what that takes on a quiet machine


def blocks(images):
    """Features of a test's own: means of 7x7 blocks of one channel."""
    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    smoke = suite.load("smoke")
    few = {"bound": [], "annealing": None, "out_of_distribution": [], "sampler_points": False}
    budget = smoke.budget[0].model_copy(update={"params": 92_000})  # of the width that all have
    smoke = smoke.model_copy(update={"measure": smoke.measure.model_copy(update=few), "budget": [budget]})
    data = sets.load(smoke.dataset).limited(smoke.train_images, smoke.test_images)
    reload = partial(load_extractor, "test_endings:blocks", CPU)
    out = tmp_path_factory.mktemp("out")
    return Session(smoke, data, CPU, reload(), out, allow_code=True, reload=reload)


@pytest.fixture
def run(session):
    """Runs the entrant that ends so, and one after it, which the first test measures; gives the record."""

    def run(how, where="update", limit_sec=None):
        ends = Entrant(name="ends", family="endings:Family", config={"how": how, "where": where, "width": 8})
        after = Entrant(name="after", family="endings:Family", config={"width": 8})
        changes = {"entrant": [ends, after], "cell_limit_sec": limit_sec}
        here = dataclasses.replace(session, suite=session.suite.model_copy(update=changes))
        found = {done.cell.name: done.record for done in run_cells(here, lambda *_: None)}
        assert found["after"].status == "ok", found["after"].reason
        assert found["real data"].status == "ok"
        assert left_behind() == []
        return found["ends"]

    return run


def left_behind():
    """Processes of cells that are still there, a moment later."""
    server = processes.server_pid()
    deadline = time.monotonic() + 5
    while found := [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if endings.MARK in (one.info["cmdline"] or []) or (server and one.ppid() == server)
    ]:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("segfault", "crashed", r"ended by signal 11 \(SIGSEGV\) in train"),
        ("kill", "crashed", r"ended by signal 9 \(SIGKILL\) in train"),
        ("terminate", "crashed", r"ended by signal 15 \(SIGTERM\)"),
        ("abort", "crashed", r"ended by signal 6 \(SIGABRT\) in train"),
        ("leave", "crashed", "SystemExit"),
        ("leave_at_once", "crashed", "without a result, with code 0 in train"),
        ("leave_an_orphan", "crashed", "RuntimeError: left something behind"),
        ("run_out", "out of memory", "memory"),
        ("lie_about_memory", "crashed", "RuntimeError: it is not that I am out of memory"),
        ("speak_out_of_turn", "crashed", "RuntimeError: said too much"),
        ("interrupt", "crashed", r"without a result, with code 1 \(KeyboardInterrupt\) in train"),
        ("raise_what_says_nothing", "crashed", "MuteError"),
        ("name_a_file_of_other_bytes", "crashed", r"^ValueError: no caf\\udce9 here$"),
        ("open_too_many", "crashed", "Too many open files"),
    ],
)
def test_a_training_that_ends_badly(run, how, status, reason):
    record = run(how)
    assert record.status == status
    assert re.search(reason, record.reason), record.reason
    assert record.config["width"] == 8
    assert record.weights_sha256 is None


def test_ten_megabytes_of_words_are_a_short_reason(run):
    record = run("talk")
    assert record.status == "crashed"
    assert len(record.reason) < 400
    assert record.reason.startswith("ValueError: yyy")


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("hang", marks=pytest.mark.slow),
        pytest.param("hang_deaf", marks=pytest.mark.slow),
        "hang_with_the_lock",
    ],
)
def test_what_hangs_is_stopped_with_all_it_started(run, how):
    record = run(how, limit_sec=LIMIT_SEC)
    assert record.status == "timed out"
    assert "stopped in train" in record.reason
    assert "40 s" in record.reason


@pytest.mark.parametrize(
    ("how", "reason"), [("segfault", "SIGSEGV"), ("leave_at_once", "code 0"), ("run_out", "out of memory")]
)
def test_a_stage_that_ends_the_process_takes_no_other_with_it(run, how, reason):
    record = run(how, where="nats")
    assert record.status == "incomplete"
    assert reason in record.failures["likelihood"]
    assert record.quality.value is not None or record.quality.reason
    assert record.quality.also  # measured before it
    assert record.speed.images_per_sec > 0  # and after it, by another process
    assert record.portrait is not None
    assert record.spent.updates == 4


@pytest.mark.slow
def test_a_stage_that_hangs_keeps_what_was_measured(run):
    record = run("hang", where="nats", limit_sec=LIMIT_SEC)
    assert record.status == "timed out"
    assert "likelihood" in record.reason
    assert record.quality.also
    assert record.weights_sha256


def test_a_number_of_the_portrait_that_is_none_is_said_and_the_others_kept(run):
    record = run("nan", where="show")
    assert record.status == "incomplete"
    assert record.failures == {"portrait": "odd is nan, which no record holds; the other numbers are kept"}
    assert record.portrait.numbers
    assert "odd" not in record.portrait.numbers
    assert record.portrait.pictures


def test_a_sampler_of_the_wrong_shape_is_said(run):
    record = run("wrong_shape", where="sample")
    assert record.status == "incomplete"
    assert "[32, 1, 5, 5]" in record.failures["quality"]
    assert record.likelihood.bits_per_dim > 0


def test_a_likelihood_of_nan_is_said(run):
    record = run("nan", where="nats")
    assert "likelihood" in record.failures
    assert record.quality.also


def test_a_changed_default_changes_no_number_of_what_follows(run):
    plain, changed = run("none"), run("change_defaults", where="sample")
    assert changed.status == "ok", changed.reason
    assert changed.quality.also == plain.quality.also
    assert changed.likelihood.bits_per_dim == plain.likelihood.bits_per_dim


def test_memory_ran_out_only_where_the_system_says_so(monkeypatch):
    counts = iter([3, 3, 3, 4])
    monkeypatch.setattr(processes, "out_of_memory_kills", lambda: next(counts))
    before = processes.out_of_memory_kills()
    assert processes.ending(-signal.SIGKILL, before) == (False, "the process was ended by signal 9 (SIGKILL)")
    before = processes.out_of_memory_kills()
    ran_out, how = processes.ending(-signal.SIGKILL, before)
    assert ran_out
    assert "memory had run out" in how


@pytest.mark.parametrize(
    ("file", "text"),
    [("memory.events", "low 0\noom 4\noom_kill 7\n"), ("memory.oom_control", "oom_kill_disable 0\noom_kill 7\n")],
)
def test_the_count_of_a_control_group_is_read(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    assert processes._field(tmp_path / file, "oom_kill") == 7
    assert processes._field(tmp_path / "missing", "oom_kill") is None


def test_processes_end_with_the_one_that_started_them(tmp_path):
    """Also where it is killed, and had no time to end them."""
    suite_file = tmp_path / "own.toml"
    text = suite.shipped()["smoke"].read_text()
    head, *_ = text.partition("[[entrant]]")
    suite_file.write_text(
        head + '[[entrant]]\nname = "ends"\nfamily = "endings:Family"\nconfig = { how = "hang_deaf", width = 8 }\n'
    )
    command = [
        sys.executable,
        "-m",
        "equibench",
        "run",
        str(suite_file),
        "--out",
        str(tmp_path / "out"),
        "--allow-code",
    ]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, os.path.dirname(__file__)])}
    run = subprocess.Popen([*command, "--extractor", "test_endings:blocks"], env=here, cwd=os.path.dirname(__file__))
    deadline = time.monotonic() + 120
    while not marked() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert marked()
    family = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs([one for one in family if endings.MARK not in safe_command(one)], timeout=10)
    assert alive == []
    for one in marked():  # of a session of its own: only who waits for it can know of it
        one.kill()


def marked():
    return [one for one in psutil.process_iter(["cmdline"]) if endings.MARK in (one.info["cmdline"] or [])]


def safe_command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
