"""Tries at a cell: who died with its whole program is known of, and one that kills every program becomes a record."""

import dataclasses

import pytest
from test_endings import session  # noqa: F401 (a fixture)
from test_loop import mini  # noqa: F401 (a fixture)

from equibench import suite
from equibench.record import files as record_files
from equibench.run.attempts import KILLED, MOST_DEATHS, Tries
from equibench.run.loop import run_cells
from equibench.run.unfinished import Progress, Unfinished
from equibench.run.work import Found


@pytest.fixture
def tries(tmp_path):
    return Tries(Unfinished(tmp_path), "same")


def die(tries):
    """One more try that ends with its program; gives the deaths before it."""
    deaths = tries.begin()
    tries.start()
    return deaths


def get_further(tries, *done):
    tries.unfinished.save(Progress(identity=tries.identity, done=list(done)), Found())


def test_deaths_in_one_place_are_counted(tries):
    """A program that dies says nothing: the next one finds that it was there."""
    assert [die(tries) for _ in range(4)] == [0, 1, 2, 3]


def test_deaths_after_getting_further_begin_anew(tries):
    assert [die(tries) for _ in range(3)] == [0, 1, 2]
    get_further(tries, "quality")
    assert [die(tries) for _ in range(2)] == [0, 1]
    get_further(tries, "quality", "speed")
    assert tries.begin() == 0


def test_what_was_stopped_in_good_order_is_no_death(tries):
    for _ in range(3):
        die(tries)
        tries.end("the run was stopped")
    assert die(tries) == 0
    assert die(tries) == 1  # the one before


def test_deaths_before_the_cell_itself_was_begun_do_not_count(tries):
    assert [tries.begin() for _ in range(4)] == [0, 0, 0, 0]
    assert [die(tries) for _ in range(2)] == [0, 1]
    assert [tries.begin() for _ in range(3)] == [2, 2, 2]


def test_other_code_begins_to_count_anew(tries):
    for _ in range(3):
        die(tries)
    assert Tries(tries.unfinished, "another").begin() == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"identity": "same", "noted": [{}]}', b"\xff"])
def test_a_damaged_list_is_as_good_as_none(tries, content):
    die(tries)
    (tries.unfinished.folder / "attempts.json").write_bytes(content)
    assert tries.begin() == 0


def test_a_record_tells_of_all_where_there_were_several(tries):
    tries.begin()
    assert tries.all(10) == []
    tries.begin()
    tries.end("the process was ended by signal 11 (SIGSEGV)")
    tries.begin()
    first, second, last = tries.all(10)
    assert [one.name for one in (first, second, last)] == ["1", "2", "3"]
    assert (first.ended, first.sec) == (KILLED, None)
    assert second.ended.endswith("(SIGSEGV)")
    assert second.sec >= 0
    assert (last.ended, last.to_updates) == (None, 10)
    tries.forget()
    assert tries.begin() == 0


def uniform(mini):  # noqa: F811
    cell = next(cell for cell in suite.cells(mini.suite) if cell.name == "uniform")
    return dataclasses.replace(mini, wanted=(cell,)), cell


def test_a_cell_that_ended_the_program_three_times_is_a_record(mini):  # noqa: F811
    here, cell = uniform(mini)
    tries = Tries(Unfinished(here.folder(cell)), here.identity(cell))
    for _ in range(MOST_DEATHS):
        die(tries)
    (done,) = run_cells(here, lambda *_: None)
    assert done.record.status == "crashed"
    assert "killed, or its machine stopped, 3 times in train" in done.record.reason
    assert "--retry" in done.record.reason
    assert len(done.record.attempts) == MOST_DEATHS + 1
    (again,) = run_cells(here, lambda *_: None, retry=True)
    assert (again.record.status, again.record.attempts) == ("ok", [])


def test_a_cell_that_was_killed_and_gone_on_from_tells_of_it(mini):  # noqa: F811
    here, cell = uniform(mini)
    Tries(Unfinished(here.folder(cell)), here.identity(cell)).begin()
    (done,) = run_cells(here, lambda *_: None)
    assert done.record.status == "ok"
    assert [one.ended for one in record_files.read(done.path).attempts] == [KILLED, None]
    assert not here.folder(cell).exists()
