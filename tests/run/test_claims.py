"""Of many that want a cell one has it, and the dead are taken over from once."""

import json
import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from equibench.run import claims

CELLS, TAKERS = 40, 4


def dead_owner():
    return {"machine": claims._machine(), "pid": 2**22 + 1, "started": 1.0, "token": "dead"}


def write(folder, number, owner):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"claim-{number}").write_text(json.dumps(owner))


def test_one_takes_and_another_waits(tmp_path):
    mine = claims.take(tmp_path / "cell", claims.Observer())
    assert (mine.number, claims.take(tmp_path / "cell", claims.Observer())) == (1, None)
    mine.give_back()
    assert not (tmp_path / "cell").exists()
    assert claims.take(tmp_path / "cell", claims.Observer()).number == 1


def test_what_was_kept_stays_as_a_claim_is_given_back(tmp_path):
    mine = claims.take(tmp_path / "cell", claims.Observer())
    mine.beat("train", 0.5)
    (tmp_path / "cell" / "training").write_bytes(b"x")
    assert mine.last_beat()["doing"] == "train"
    mine.give_back()
    assert [file.name for file in (tmp_path / "cell").iterdir()] == ["training"]


@pytest.mark.parametrize(
    "owner",
    [
        {},  # a process that is no more
        {"pid": os.getpid(), "started": 12345.0},  # its number given to another
    ],
)
def test_a_dead_owner_of_this_machine_is_taken_over_at_once(tmp_path, owner):
    write(tmp_path, 1, {**dead_owner(), **owner})
    assert claims.take(tmp_path, claims.Observer()).number == 2


def test_a_zombie_is_dead(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)

    def fields():
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()

    write(tmp_path, 1, {**dead_owner(), "pid": child, "started": float(fields()[19])})
    while fields()[0] != "Z":
        pass
    assert claims.take(tmp_path, claims.Observer()).number == 2
    os.waitpid(child, 0)


@pytest.mark.parametrize("machine", ["elsewhere 1 pid:[2]", f"{socket.gethostname()} another-boot pid:[1]"])
def test_of_another_machine_only_a_beat_that_stops_tells(tmp_path, machine):
    """Whatever its clock says: what counts is this one's, since the beat last changed."""
    now = [1000.0]
    observer = claims.Observer(now=lambda: now[0])
    write(tmp_path, 1, {**dead_owner(), "machine": machine})
    theirs = claims.last(tmp_path)
    for _ in range(5):
        theirs.beat("train", 0.1)
        assert claims.take(tmp_path, observer) is None
        now[0] += claims.DEAD_SEC - 1
        assert claims.take(tmp_path, observer) is None
    now[0] += 2
    assert claims.take(tmp_path, observer).number == 2


def test_a_claim_half_written_is_somebody_s(tmp_path):
    now = [0.0]
    observer = claims.Observer(now=lambda: now[0])
    (tmp_path / "claim-1").write_text('{"machine": "a')
    assert claims.take(tmp_path, observer) is None
    now[0] += claims.DEAD_SEC + 1
    assert claims.take(tmp_path, observer).number == 2


def test_other_files_are_no_claims(tmp_path):
    for name in ("claim-x", "claim-", "beat-7", "claim-3.partial"):
        (tmp_path / name).write_text("{}")
    assert claims.last(tmp_path) is None


def _take_all(folder, start, results):
    start.wait()
    observer = claims.Observer()
    results.put([i for i in range(CELLS) if claims.take(folder / str(i), observer)])
    results.put(None)
    start.wait()  # none ends, and is dead, before all have tried


def test_of_many_that_take_over_from_the_dead_one_does(tmp_path):
    for i in range(CELLS):
        write(tmp_path / str(i), 1, dead_owner())
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(TAKERS), context.Queue()
    takers = [context.Process(target=_take_all, args=(tmp_path, start, results)) for _ in range(TAKERS)]
    for taker in takers:
        taker.start()
    answers = [results.get(timeout=60) for _ in range(2 * TAKERS)]
    for taker in takers:
        taker.join()
    assert sorted(i for taken in answers if taken is not None for i in taken) == list(range(CELLS))
