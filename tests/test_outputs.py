"""What a command replaces, and what it leaves alone."""

import os
import threading

import pytest

from equibench import outputs
from equibench.errors import UserError


def is_ours(path):
    return path.read_bytes().startswith(b"ours")


@pytest.mark.parametrize("content", [None, b"", b"ours, of yesterday"])
def test_nothing_an_empty_file_and_our_own_may_be_replaced(tmp_path, content):
    path = tmp_path / "new" / "file"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    outputs.refuse_foreign(path, is_ours, "a thing", "give another")
    outputs.put(path, b"ours", "give another")
    assert path.read_bytes() == b"ours"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_another_s_file_and_a_folder_may_not(tmp_path):
    (tmp_path / "mine").write_text("my own")
    with pytest.raises(UserError, match="is there already and is not a thing of equibench; give another"):
        outputs.refuse_foreign(tmp_path / "mine", is_ours, "a thing", "give another")
    with pytest.raises(UserError, match="is a folder"):
        outputs.refuse_foreign(tmp_path, is_ours, "a thing", "give another")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("ours")
    (tmp_path / "link").symlink_to("real")
    outputs.put(tmp_path / "link", b"ours, new", "give another")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"ours, new"


def test_pipes_and_devices_are_written_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    thread = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    thread.start()
    outputs.refuse_foreign(tmp_path / "pipe", is_ours, "a thing", "give another")
    outputs.put(tmp_path / "pipe", b"text", "give another")
    thread.join(10)
    assert read == [b"text"]
    assert not (tmp_path / "pipe").is_file()


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*; give another"):
        outputs.put(tmp_path / "file" / "below", b"text", "give another")
