"""Cells of a run: many processes in one folder, failures of the machine, cells tried again, what `status` says."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures import equibench
from small_suites import small_suite
from test_endings import session  # noqa: F401 (a fixture)

from equibench import suite
from equibench.errors import UserError
from equibench.machine import processes
from equibench.machine.clock import Clock
from equibench.record import files as record_files
from equibench.record import find
from equibench.run import claims, loop, supervise
from equibench.run.cell import measure_cell
from equibench.run.loop import run_cells
from equibench.run.stages import STAGES
from equibench.run.status import UNFINISHED, status, want
from equibench.run.unfinished import Unfinished
from equibench.suite import Entrant

HERE = Path(__file__).parent
ENTRANTS = """
[[entrant]]
name = "one"
family = "endings:Family"
config = { width = 8 }
[[entrant]]
name = "two"
family = "endings:Family"
config = { width = 8 }
"""
MINI = small_suite("mini", ENTRANTS, updates=2)


@pytest.fixture
def mini(session, tmp_path):  # noqa: F811
    """A session of two small entrants in an empty folder."""
    file = tmp_path / "mini.toml"
    file.write_text(MINI)
    chosen = suite.load(str(file))
    return dataclasses.replace(session, suite=chosen, data=session.data.limited(60, 60), out=tmp_path / "out")


def run(session, **options):  # noqa: F811
    return list(run_cells(session, lambda *_: None, **options))


def only(session, *entrants):  # noqa: F811
    return dataclasses.replace(session, suite=session.suite.model_copy(update={"entrant": list(entrants)}))


@pytest.mark.slow
def test_four_processes_in_one_folder_do_each_cell_once(tmp_path):
    """Floors are common to all, and every entrant is wanted by two."""
    (tmp_path / "mini.toml").write_text(MINI)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)])}
    command = [sys.executable, "-m", "equibench", "run", "mini.toml", "--allow-code", "--extractor"]
    command += ["test_endings:blocks", "--out", "out", "--only"]
    runs = [
        subprocess.Popen([*command, name], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two", "one", "two")
    ]
    said = [line for one in runs for line in one.communicate(timeout=300)[0].splitlines()]
    lines = [line for line in said if " s0: " in line]  # a cell each
    assert [one.returncode for one in runs] == [0] * 4
    done = [line for line in lines if "there already" not in line]
    assert len(lines) == 4 * 6
    assert len(done) == 5 + 2
    assert {record.status for _, record in find.read_all([tmp_path / "out"])} == {"ok"}
    assert not [file for file in (tmp_path / "out").rglob("*") if file.suffix == ".partial"]


def test_a_cell_that_another_process_holds_is_waited_for(mini, monkeypatch):
    """Its record is taken as soon as it is there; a cell whose holder ends is done here."""
    one, two = (cell for cell in suite.cells(mini.suite) if cell.entrant)
    holder = claims.take(mini.folder(one), claims.Observer())
    dead = claims.take(mini.folder(two), claims.Observer())
    waited = []
    monkeypatch.setattr(claims.Observer, "is_dead", lambda self, claim: bool(waited) and claim.owner == dead.owner)
    monkeypatch.setattr(loop, "LOOK_SEC", 0.0)

    def tell(cell, what, share):  # noqa: ARG001
        if what == "done by another process" and not waited:
            waited.append(cell.name)
            supervise.run_cell(one, mini)
            holder.give_back()

    found = {done.cell.name: done.found for done in run_cells(mini, tell)}
    assert (found["one"], found["two"]) == (True, False)
    assert list(found)[-2:] == ["one", "two"]


@pytest.mark.slow
def test_cells_that_did_not_end_well_are_tried_again(mini):
    ends = Entrant(name="one", family="endings:Family", config={"how": "leave_at_once", "where": "nats", "width": 8})
    here = only(mini, ends)
    first = run(here)[-1]
    assert first.record.status == "incomplete"
    weights = first.path.with_suffix(".safetensors").stat().st_mtime_ns
    assert [done.found for done in run(here)] == [True] * 6
    assert [one.state for one in status(here.out)] == ["done"] * 5 + ["failed"]
    again = run(here, retry=True)
    assert [done.found for done in again] == [True] * 5 + [False]
    assert again[-1].record.failures.keys() == first.record.failures.keys()
    assert again[-1].record.created >= first.record.created
    assert first.path.with_suffix(".safetensors").stat().st_mtime_ns == weights  # not trained again
    replaced = [file.suffix for file in sorted((here.out / UNFINISHED / "replaced").iterdir())]
    assert replaced == [".json", ".npz"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE, errno.EDQUOT])
def test_a_failure_of_the_machine_is_no_result(mini, monkeypatch, number):
    """A disk that fills up, a mount that is lost: the run stops, and the same command goes on."""
    sound = Unfinished.save

    def fail(self, progress, found):
        if "likelihood" in progress.done:
            raise OSError(number, os.strerror(number), "progress.json")
        sound(self, progress, found)

    cell = next(cell for cell in suite.cells(mini.suite) if cell.entrant)
    monkeypatch.setattr(Unfinished, "save", fail)
    mini = dataclasses.replace(mini, peak_memory=lambda *_, **__: None)
    with pytest.raises(OSError, match=os.strerror(number)):
        measure_cell(cell, mini, Clock(), unfinished=Unfinished(mini.folder(cell)))
    monkeypatch.setattr(Unfinished, "save", sound)
    progress, found = Unfinished(mini.folder(cell)).load(mini.identity(cell))
    assert progress.done == list(STAGES)[: list(STAGES).index("likelihood")]
    assert found.results.quality.also
    assert not mini.path(cell).exists()


def test_a_full_disk_in_a_cell_s_process_stops_the_run(mini):
    full = Entrant(name="full", family="endings:Family", config={"how": "fill_the_disk", "width": 8})
    _, two = mini.suite.entrant
    here = only(mini, full, two)
    with pytest.raises(
        UserError, match=r"full with seed 0 cannot go on: No space left on device.*what was done is kept"
    ):
        run(here)
    states = {one.cell: one.state for one in status(here.out)}
    assert states["real data"] == "done"
    assert states["two"] == "left"
    assert not list(here.out.glob("full-*.json"))


def test_what_an_entrant_changes_of_its_process_is_its_own(mini, tmp_path, monkeypatch):
    """Its working folder, where results go to a relative path, and its threads."""
    monkeypatch.chdir(tmp_path)
    changing = [
        Entrant(name=how, family="endings:Family", config={"how": how}) for how in ("move", "take_more_threads")
    ]
    here = dataclasses.replace(only(mini, *changing), out=Path("relative"))
    assert {done.record.reason for done in run(here)} == {None}
    assert len(list(Path("relative").glob("*.safetensors"))) == 2


def test_a_process_that_ends_before_its_cell_begins_is_no_result(mini):
    """The feature network that a user brings may end every process that loads it."""
    here = dataclasses.replace(mini, reload=os.abort)
    with pytest.raises(UserError, match=r"real data with seed 0 was not begun: .*SIGABRT.* run again"):
        run(here)
    assert not list(mini.out.glob("*.json"))


@pytest.fixture
def interruptible():
    """Ctrl-C is heard: a shell that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_cell_is_no_result_where_all_is_ended(mini, monkeypatch):
    """The signal to this process comes a little after that to the cell's."""
    monkeypatch.setattr(processes, "SETTLE_SEC", 5.0)
    ends = Entrant(name="ends", family="endings:Family", config={"how": "end_with_all"})
    with pytest.raises(KeyboardInterrupt):
        run(only(mini, ends))
    assert not list(mini.out.glob("ends-*.json"))


@pytest.mark.slow
def test_who_was_stopped_for_long_leaves_the_cell_to_who_took_it_over(mini, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SEC", 0.0)
    one = next(cell for cell in suite.cells(mini.suite) if cell.entrant)
    takers = []

    def tell(cell, what, share):  # noqa: ARG001
        if cell.name == "one" and what == "train" and not takers:
            takers.append(claims.take(mini.folder(one), SimpleNamespace(is_dead=lambda _: True)))
        if what == "done by another process" and len(takers) == 1:
            takers.append(supervise.run_cell(one, mini))
            takers[0].give_back()

    found = {done.cell.name: done for done in run_cells(mini, tell)}
    assert found["one"].found
    path, record = takers[1]
    assert found["one"].record.clock == record.clock
    assert record_files.read(path).clock == record.clock


def test_records_that_cannot_be_read_are_said_before_anything_is_trained(mini):
    one, two = (cell for cell in suite.cells(mini.suite) if cell.entrant)
    mini.out.mkdir()
    mini.path(two).write_text("{")
    with pytest.raises(UserError, match=r"two-s0.*move it away and run again"):
        run(mini)
    assert not mini.path(one).exists()
    states = {found.cell: found.state for found in status(mini.out)}
    assert (states["one"], states["two"]) == ("left", "failed")


def test_what_another_has_tried_again_meanwhile_is_not_tried_once_more(mini):
    here = only(mini, Entrant(name="one", family="endings:Family", config={"how": "leave_at_once"}))
    run(here)
    cells = run_cells(here, lambda *_: None, retry=True)
    next(cells)
    other = run(here, retry=True)[-1]
    assert not other.found
    mine = list(cells)[-1]
    assert mine.found
    assert mine.record.clock == other.record.clock
    assert len(list((here.out / UNFINISHED / "replaced").glob("*.json"))) == 1


def test_status_says_of_whom_nothing_was_heard_for_long(tmp_path):
    """A process of another machine may have ended since."""
    want(tmp_path, "mini", [("one", 0, tmp_path / "one-s0-1a2b3c4d.json")])
    folder = tmp_path / UNFINISHED / "one-s0-1a2b3c4d"
    folder.mkdir()
    owner = {"machine": "elsewhere", "pid": 1, "started": 1.0, "token": "x"}
    (folder / "claim-1").write_text(json.dumps(owner))
    beat = {"time": time.time() - 7200, "doing": "train", "share": 0.5}
    (folder / "beat-1").write_text(json.dumps(beat))
    assert status(tmp_path)[0][2:] == ("running", "train, 50%; not heard of for 120 min")
    (folder / "beat-1").write_text(json.dumps({**beat, "time": time.time()}))
    assert status(tmp_path)[0][2:] == ("running", "train, 50%")


def test_status_says_what_stands_where(mini, tmp_path):
    with pytest.raises(UserError, match="no run has written to"):
        status(tmp_path)
    one, two = (cell for cell in suite.cells(mini.suite) if cell.entrant)
    cells = run_cells(mini, lambda *_: None)
    next(cells)  # the first floor
    claim = claims.take(mini.folder(two), claims.Observer())
    claim.beat("train", 0.25)
    Unfinished(mini.folder(one)).training.parent.mkdir(parents=True)
    Unfinished(mini.folder(one)).training.write_bytes(b"kept")
    found = {one.cell: (one.state, one.detail) for one in status(mini.out)}
    assert found["real data"] == ("done", "ok")
    assert found["uniform"] == ("left", "")
    assert found["two"] == ("running", "train, 25%")
    assert found["one"][0] == "stopped"
    cells.close()
    shown = equibench("status", str(mini.out))
    assert shown.returncode == 0
    assert "train, 25%" in shown.stdout
    listed = json.loads(equibench("status", str(mini.out), "--json").stdout)
    assert {"cell": "two", "seed": 0, "state": "running", "detail": "train, 25%"} in listed
