"""Processes start wherever the system gives them, and a failure to start one is a sentence."""

import os
import signal
import subprocess
import sys
import time

import pytest

from equibench.errors import UserError
from equibench.machine import processes

START = (
    "import time; from equibench.machine import processes; processes.PRELOAD = [];"
    "p = processes.start(time.sleep, (0.0,)); p.join(); print(p.exitcode)"
)


@pytest.fixture(autouse=True, scope="module")
def _no_torch():
    """The processes of these tests need nothing imported; those of other tests are started by another fork server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "PRELOAD", [])
        stop_server()
        yield
        stop_server()


def stop_server():
    if server := processes.server_pid():
        os.kill(server, signal.SIGKILL)
    while processes.server_pid():
        time.sleep(0.01)


def test_a_long_folder_for_temporary_files_is_no_hindrance(tmp_path):
    """A socket's address has room for some hundred bytes."""
    folder = tmp_path / ("long" * 30) / ("long" * 30)
    folder.mkdir(parents=True)
    run = subprocess.run(
        [sys.executable, "-c", START], env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True
    )
    assert (run.stdout, run.returncode) == ("0\n", 0), run.stderr
    assert list(folder.iterdir()) == []


def test_a_fork_server_that_was_killed_is_started_again():
    processes.start(time.sleep, (0.0,)).join()
    server = processes.server_pid()
    os.kill(server, signal.SIGKILL)
    again = processes.start(time.sleep, (0.0,))
    again.join()
    assert again.exitcode == 0
    assert processes.server_pid() != server


def test_a_system_that_gives_no_process_is_one_sentence(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes.forkserver, "ensure_running", refuse)
    with pytest.raises(UserError, match=r"starts no further process .*Resource temporarily unavailable"):
        processes.warm_up()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (0, "the process ended without a result, with code 0"),
        (3, "the process ended without a result, with code 3"),
        (-signal.SIGSEGV, "the process was ended by signal 11 (SIGSEGV)"),
        (-64 - 1, "the process was ended by signal 65"),
    ],
)
def test_how_a_process_ended_is_a_clause(code, how):
    assert processes.ending(code, processes.out_of_memory_kills()) == (False, how)


def test_what_nobody_waits_for_is_ended():
    process = processes.start(time.sleep, (600.0,))
    processes.end_all()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
