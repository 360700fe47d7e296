"""Which files of a folder are read: links, hidden and special files, other formats, what cannot be read."""

import os
import re
import socket

import pytest

from equibench.data.listing import picture_files, shown
from equibench.data.source import of_path
from equibench.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Empty files: nothing is opened."""

    def make(*names):
        for name in names:
            file = tmp_path / "images" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / "images"

    return make


def listed(folder):
    found = picture_files(folder)
    return [str(file.relative_to(folder)) for file in found.files], found.notes


def refused(folder, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        picture_files(folder)


def test_all_suffixes_in_any_capitals_by_path(folder):
    names = ["A.PNG", "b/c.Jpeg", "b/d.jpg", "b.jpe", "e.JFIF", "f.bmp", "g.webp", "h.tif", "i.tiff"]
    assert listed(folder(*names, "notes.txt", "README", "stats.npz")) == (names, ())


def test_images_of_other_formats_are_counted(folder):
    files, notes = listed(folder("a.png", "b.gif", "c.GIF", "d/e.avif", "f.ppm", "g.tga", "h.jp2"))
    assert files == ["a.png"]
    assert notes == ("6 files of image formats that are not read (.avif, .gif, .jp2, .ppm, .tga) were left out",)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.gif"], "holds no images of a format that is read, but 1 of others (.gif)"),
        (["a.npz", "b.txt"], "holds no images, but a.npz, which is given by its own path"),
        (["b.txt"], "holds no images; give a folder with files .png, .jpg"),
    ],
)
def test_a_folder_without_images_says_what_it_holds(folder, names, sentence):
    refused(folder(*names), sentence)


def test_hidden_images_are_left_out_and_counted(folder):
    files, notes = listed(
        folder(
            "a.png", ".b.png", "._a.png", ".ipynb_checkpoints/a.png", "__MACOSX/._a.png", "@eaDir/a.jpg", "Thumbs.db"
        )
    )
    assert files == ["a.png"]
    assert len(notes) == 1
    assert notes[0].startswith("5 hidden images left out, ")
    assert listed(folder(".cache/x.txt", ".git/config"))[0] == ["a.png"]


def test_links_are_followed_and_each_file_is_read_once(folder, tmp_path):
    root = folder("real/a.png", "real/b.png")
    (tmp_path / "far").mkdir()
    (tmp_path / "far/c.png").touch()
    (root / "another").symlink_to(root / "real")  # before `real` by name
    (root / "far").symlink_to(tmp_path / "far")
    (root / "one.png").symlink_to(tmp_path / "far/c.png")
    (root / "two.png").symlink_to("real/a.png")
    (tmp_path / "d.png").touch()
    (root / "x.png").symlink_to(tmp_path / "d.png")
    (root / "y.png").symlink_to("x.png")
    files, notes = listed(root)
    assert files == ["far/c.png", "real/a.png", "real/b.png", "x.png"]
    assert len(notes) == 1
    assert notes[0].startswith("4 links left out, as what they lead to is there already")


def test_loops_of_links_end_and_lead_nowhere_else(folder, tmp_path):
    root = folder("a.png", "deep/b.png")
    (tmp_path / "beside.png").touch()  # not in the folder that is given
    (root / "deep/up").symlink_to("..")
    (root / "deep/self").symlink_to(".")
    (root / "out").symlink_to("../..")
    files, notes = listed(root)
    assert files == ["a.png", "deep/b.png"]
    assert notes[0].startswith("3 links left out")


@pytest.mark.parametrize("name", ["b.png", "b"])
@pytest.mark.parametrize("target", ["nowhere", "b.png", "b"])
def test_links_to_nothing_are_named(folder, name, target):
    root = folder("a.png")
    (root / name).symlink_to(target)
    if target != name:
        (root / target).unlink(missing_ok=True)
    refused(root, f"{name} is a link to nothing ({target}); mend or remove it")


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device"])
def test_special_files_never_block(folder, tmp_path, monkeypatch, kind):
    root = folder("a.png")
    monkeypatch.chdir(root)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        {
            "a pipe": os.mkfifo,
            "a socket": one.bind,
            "a device": lambda name: os.symlink("/dev/zero", name),
        }[kind]("b.png")
    refused(root, f"b.png is {kind}, not a file")
    (root / "b.png").rename(tmp_path / "samples.npz")
    with pytest.raises(UserError, match=f"samples.npz is {kind}, not a file"):
        of_path(tmp_path / "samples.npz")


def test_a_folder_that_cannot_be_read_stops(folder, monkeypatch):
    root, scan = folder("a/1.png", "b/2.png"), os.scandir

    def scandir(path):
        if str(path).endswith("b"):  # whom the tests run as may read all
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused(root, f"cannot read the folder {root / 'b'} (Permission denied)")


@pytest.mark.parametrize("name", ["[red]x[/].png", "a\x1b[31m.png", "new\nline.png", "*.png", "ü.png", " .png"])
def test_names_of_any_kind(folder, name):
    assert listed(folder(name))[0] == [name]


def test_names_that_are_no_utf_8_are_shown_escaped(folder):
    root = folder("a.png")
    os.rename(root / "a.png", os.fsencode(root) + b"/\xff.png")
    (file,) = picture_files(root).files
    assert shown(file.name) == "\\xff.png"
    assert shown("plain [red] ü") == "plain [red] ü"
