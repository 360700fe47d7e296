"""Which files are read as records: those that are named, and the records among whatever else lies in a folder."""

import json
import os
import socket

import pytest
from fixtures import arrays, make, save

from equibench.errors import Remark, UserError
from equibench.record import files as record_files
from equibench.record import find
from equibench.record.reading import content_sha256

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.fixture
def folder(tmp_path):
    return save([make("vae"), make("gan")], tmp_path / "results", with_arrays=False)


def entrants(paths, **options):
    found = [find.read_if_record(file, paths) for file in find.record_files(paths, **options)]
    return sorted(one.entrant for one in found if one)


def text_of(entrant="flow"):
    value = make(entrant).model_dump(mode="json")
    return json.dumps(value | {"content_sha256": content_sha256(value)})


def test_a_file_is_that_record_alone(folder):
    (vae,) = folder.glob("vae-*.json")
    assert entrants([vae]) == entrants([vae], deep=True) == ["vae"]
    assert [path for path, _ in find.read_all([vae])] == [vae]


@pytest.mark.parametrize("name", ["nowhere", "vae-s0-00000000.json", "results/nowhere", "x" * 300])
def test_a_path_that_is_not_there_is_never_its_parent(folder, name):
    with pytest.raises(UserError, match="no records at"):
        find.read_all([folder, folder / name])


OTHERS = {
    "tables.json": b'{"sections":[],"tables":{}}',
    "check.json": b"",  # a shell makes it before the command starts
    "package.json": b'{"name": "key", "key": 1, "entrant": 2}',
    "package-lock.json": b"[1, 2]",
    "bom.json": b"\xef\xbb\xbf{}",
    "latin.json": b'{"caf\xe9": 1}',
    "pointer.json": LFS,
    "conflict.json": b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n",
    "notes.txt": b"vae",
}


def test_other_json_beside_records_is_left_out(folder):
    for name, content in OTHERS.items():
        (folder / name).write_bytes(content)
    assert entrants([folder]) == entrants([folder], deep=True) == ["gan", "vae"]
    assert [one.entrant for _, one in find.read_all([folder])] == ["gan", "vae"]
    for name in ("tables.json", "check.json"):
        with pytest.raises(UserError, match=f"{name} is not a valid record: it (lacks|is empty)"):
            find.read_all([folder / name])  # named, it has to be one


def test_a_renamed_record_is_one_and_a_damaged_one_is_remarked_on(folder):
    (folder / "my best flow.json").write_text(text_of())
    assert entrants([folder]) == ["flow", "gan", "vae"]
    (folder / "my best flow.json").write_text(text_of()[:-10])
    with pytest.warns(Remark, match="left out: .*my best flow.json is no record, as it is no JSON"):
        assert entrants([folder]) == ["gan", "vae"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (LFS, "git lfs pull"),
        (OTHERS["conflict.json"], "marks of a merge conflict"),
        (b'{"a": ', "it is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "too large"),
        (b"\xff\xff\xff", "no text in UTF-8"),
        (b"\xff\xfe\x00", "no text in UTF-16"),
        (b"null", "it lacks entrant, key, protocol"),
        (b'{"key": 1}', "it lacks entrant, key, protocol"),
        (text_of().replace('"seed": 0', f'"seed": {10**400}').encode(), "too large"),
        (text_of().replace('"seed": 0', '"seed": NaN').encode(), "seed"),
        (text_of().replace('"entrant": "flow"', '"entrant": "\\ud800"').encode(), "half a character"),
        (text_of().replace('"seed": 0', '"seed": 0, "sed": 0').encode(), "sed: no field of a record"),
    ],
)
def test_what_has_a_record_s_name_and_is_none_is_said_and_nobody_is_told_to_delete(folder, content, sentence):
    path = folder / "flow-s0-0123abcd.json"
    path.write_bytes(content)
    for paths in ([folder], [path]):
        with pytest.raises(UserError) as caught:
            find.read_all(paths)
        assert sentence in str(caught.value)
        assert str(path) in str(caught.value)
        assert "delete" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_hindrance(tmp_path, encoding):
    for name in ("flow-s0-0123abcd.json", "renamed.json"):
        (tmp_path / name).write_bytes(text_of().encode(encoding))
        found = record_files.read(tmp_path / name)
        assert found == make("flow").model_copy(update={"content_sha256": found.content_sha256})
    assert entrants([tmp_path]) == ["flow", "flow"]


def test_hidden_and_published_folders_are_left_out_unless_named(folder):
    for name in (".cells", ".ipynb_checkpoints", "published/quick"):
        save([make("flow", entrant=name.strip("./").replace("/", "-"))], folder / name, with_arrays=False)
    (folder / ".flow-s0-0123abcd.json").write_text("{")
    assert entrants([folder], deep=True, without=["published"]) == ["gan", "vae"]
    assert entrants([folder], deep=True) == ["gan", "published-quick", "vae"]
    assert entrants([folder / "published"], deep=True, without=["published"]) == ["published-quick"]
    assert entrants([folder / ".cells"]) == ["cells"]


def test_what_is_there_twice_counts_once(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    (vae,) = folder.glob("vae-*.json")
    (folder / "again.json").symlink_to(vae)
    os.link(vae, folder / "flow-s0-0123abcd.json")
    paths = [folder, tmp_path / "link", folder / "..", vae, folder / ".." / "results"]
    assert entrants(paths) == ["gan", "vae"]
    with pytest.warns(Remark, match="link, as links to folders are not followed"):
        assert entrants(paths, deep=True) == ["gan", "vae"]


def test_links_to_folders_are_not_followed_and_loops_end(folder, tmp_path):
    save([make("flow")], tmp_path / "elsewhere")
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    with pytest.warns(Remark, match="links to folders are not followed"):
        assert entrants([folder], deep=True) == ["gan", "vae"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UserError, match=r"no records at .*round"):
        find.read_all([tmp_path / "round"])


def test_special_files_never_block(folder, monkeypatch):
    os.mkfifo(folder / "flow-s0-0123abcd.json")
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "gan-s0-0123abcd.json").mkdir()
    monkeypatch.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.json")
        assert entrants([folder]) == entrants([folder], deep=True) == ["gan", "vae"]
        for name, kind in (("pipe.json", "a pipe"), ("socket.json", "a socket"), ("/dev/null", "a device")):
            with pytest.raises(UserError, match=f"is {kind}, not a record"):
                find.read_all([folder / name])
            with pytest.raises(UserError, match=f"is {kind}, not a record"):
                record_files.read(folder / name)
    with pytest.raises(UserError, match="is a folder, not a record"):
        record_files.read(folder / "folder.json")


def test_a_record_whose_link_leads_nowhere_is_said(folder):
    (folder / "other.json").symlink_to("gone.json")
    assert entrants([folder]) == ["gan", "vae"]
    (folder / "flow-s0-0123abcd.json").symlink_to("annex/gone.json")
    with pytest.raises(UserError, match=r"flow-s0-0123abcd.json .a link to annex/gone.json, which is not there"):
        find.read_all([folder])


def test_what_may_not_be_read_is_said(folder, monkeypatch):
    save([make("flow")], folder / "closed")
    usual = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.warns(Remark, match=r"closed, which cannot be looked into .Permission denied"):
        assert entrants([folder], deep=True) == ["gan", "vae"]
    with pytest.raises(UserError, match=r"cannot look into .*closed"):
        find.read_all([folder / "closed"])
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: scandir(f"{path} is closed"))
    with pytest.raises(UserError, match=r"cannot read .*Permission denied"):
        find.read_all([folder])


def test_names_of_every_kind(tmp_path):
    for name in (b"a[b]*?", b"\x1b[31m", b"line\nbreak", b"caf\xe9", "猫".encode()):
        folder = tmp_path / os.fsdecode(name)
        save([make("vae")], folder, with_arrays=False)
        assert entrants([folder]) == ["vae"]
    assert entrants([tmp_path], deep=True) == ["vae"] * 5


def test_a_file_far_too_large_is_not_read(tmp_path):
    path = tmp_path / "vae-s0-0123abcd.json"
    with path.open("wb") as stream:
        stream.truncate(record_files.LARGEST_RECORD_BYTES + 1)  # takes no room
    with pytest.raises(UserError, match="far more than any record"):
        record_files.read(path)


@pytest.mark.parametrize(
    ("content", "sentence"), [(LFS, "git lfs pull"), (b"other", "not the file that its record was written with")]
)
def test_arrays_that_are_not_the_record_s(tmp_path, content, sentence):
    path = record_files.write(make("vae"), tmp_path, arrays())
    path.with_suffix(".npz").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        record_files.read_arrays(path, record_files.read(path))
    assert "delete" not in str(caught.value)


def test_arrays_left_by_a_killed_run_are_replaced(tmp_path):
    one = make("vae")
    file = tmp_path / record_files.filename(one.entrant, one.seed, one.key)
    file.with_suffix(".npz").write_bytes(b"of a training that was killed")
    path = record_files.write(one, tmp_path, arrays())
    assert record_files.read_arrays(path, record_files.read(path)).keys() == arrays().keys()
