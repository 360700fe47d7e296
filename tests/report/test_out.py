"""Where a report is written: over a report, or where nothing is in the way; never among records."""

import os
import threading

import pytest
from fixtures import make, save

from equibench.errors import UserError
from equibench.record import find
from equibench.report import write


@pytest.fixture
def records(tmp_path):
    return save([make("vae")], tmp_path / "records", with_arrays=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Files of a report, without drawing them."""
    files = {"tables.json": b'{"sections":[]}', "index.html": b"page", "tables/cells.csv": b"a,b"}
    monkeypatch.setattr(write, "_files", lambda cells: files)


def test_a_report_replaces_a_report_and_leaves_notes(records, tmp_path):
    out = tmp_path / "out"
    written = write.write([records], out)
    (out / "notes.md").write_text("mine")
    (out / "index.html").write_text("older")
    assert write.write([records], out) == written
    assert (out / "index.html").read_bytes() == b"page"
    assert (out / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["index.html", "tables.json", "tables/cells.csv"])
def test_files_in_the_way_are_not_replaced(records, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    (tmp_path / "out" / "else.txt").touch()
    with pytest.raises(UserError, match="is there already and is of no report; choose an empty folder"):
        write.write([records], tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").rglob("*") if file.is_file()} == {path.name, "else.txt"}
    assert path.read_text() == "mine"


def test_records_are_not_among_a_report(records, tmp_path):
    (tmp_path / "link").symlink_to(records)
    (file,) = records.iterdir()
    for paths, out in (([records], records), ([file], records), ([records], tmp_path / "link")):
        with pytest.raises(UserError, match="is where the records lie; choose another --out"):
            write.write(paths, out)
    assert list(records.iterdir()) == [file]
    write.write([records], records / "report")  # readers leave it out
    write.write([records], tmp_path)
    assert [path for path, _ in find.read_all([records])] == [file]


def test_a_report_that_was_stopped_is_written_again(records, tmp_path, monkeypatch):
    written = []
    usual = write.atomic.write

    def stop(path, content):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        usual(path, content)

    monkeypatch.setattr(write.atomic, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        write.write([records], tmp_path / "out")
    monkeypatch.setattr(write.atomic, "write", usual)
    assert len(write.write([records], tmp_path / "out")) == 3


def test_two_reports_at_once_end_whole(records, tmp_path):
    failures = []

    def again():
        try:
            for _ in range(20):
                write.write([records], tmp_path / "out")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {file.name for file in (tmp_path / "out").rglob("*") if file.is_file()} == {
        "tables.json", "index.html", "cells.csv",
    }  # fmt: skip


def test_a_report_that_begins_between_two_looks_is_known_as_one(records, tmp_path, monkeypatch):
    """Another call writes its first files right after this one has looked for the tables, and found none."""
    looks, there = os.path.lexists, tmp_path / "out"

    def look(path):
        if not there.exists():
            monkeypatch.setattr(os.path, "lexists", looks)
            write.write([records], there)
        return looks(path)

    monkeypatch.setattr(os.path, "lexists", look)
    assert write.write([records], there)  # it raises where it takes these for files of no report
