"""Files that are there whole or not at all."""

import errno
import multiprocessing
import os
import stat

import pytest

from equibench import atomic

WRITERS, FILES = 4, 50


def test_a_written_file_is_whole_and_leaves_nothing_beside_it(tmp_path):
    atomic.write(tmp_path / "new" / "a.json", b"first")
    atomic.write(tmp_path / "new" / "a.json", b"second")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.json"]
    assert (tmp_path / "new" / "a.json").read_bytes() == b"second"


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    atomic.write(tmp_path / "a", b"old")

    def write_half():
        with atomic.replacing(tmp_path / "a") as stream:
            stream.write(b"half of the ne")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_half()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_rights_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "a", b"")
        atomic.write_once(tmp_path / "b", b"")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"} == {0o640}


def test_the_longest_name_that_a_system_takes_can_be_written(tmp_path):
    atomic.write(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def _write_all(folder, token, results):
    results.put(sum(atomic.write_once(folder / str(i), token) for i in range(FILES)))


def test_of_many_writers_one_writes(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    writers = [context.Process(target=_write_all, args=(tmp_path, bytes([i]) * 9, results)) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    assert sum(results.get(timeout=60) for _ in writers) == FILES
    for writer in writers:
        writer.join()
    contents = {(tmp_path / str(i)).read_bytes() for i in range(FILES)}
    assert contents <= {bytes([i]) * 9 for i in range(WRITERS)}
    assert len(list(tmp_path.iterdir())) == FILES


def test_without_hard_links_one_writes_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert [atomic.write_once(tmp_path / "a", content) for content in (b"1", b"2")] == [True, False]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1"
