"""An archive: equal bytes for equal inputs, all that it names is in it, and a signature holds from it alone."""

import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
import zipfile

import pytest
from fixtures import LITE0, MACHINE, equibench, make, save

from equibench import suite
from equibench.archive.pack import pack
from equibench.cite import citation
from equibench.errors import UserError
from equibench.judge.verify import verify
from equibench.protocol import PROTOCOL
from equibench.record import find
from equibench.record.archive import is_archive, unpacked
from equibench.record.study import inline_table

ELSEWHERE = suite.shipped()["quick"].read_text().replace('"quick"', '"mine"', 1).replace('"studies/quick/', '"of-mine/')


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A report of two files, as drawing takes seconds; a process of its own draws."""
    monkeypatch.setattr("equibench.report.write._files", lambda cells: {"tables.json": b"{}", "index.html": b"page"})


@pytest.fixture
def results(tmp_path):
    return save([make("vae", 0), make("vae", 1), make("gan")], tmp_path / "results")


def members(archive):
    with zipfile.ZipFile(archive) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


def test_records_arrays_and_all_else_are_in_it(results, tmp_path):
    packed = pack([results], tmp_path / "paper.zip")
    found = members(tmp_path / "paper.zip")
    assert (packed.records, packed.arrays) == (3, 3)
    for file in results.iterdir():
        assert found[f"results/{file.name}"] == file.read_bytes()
    assert {"README.md", "checklist.md", "environment.json", "requirements.txt", "report/index.html",
            "suites/quick.toml"} <= found.keys()  # fmt: skip
    assert found["suites/quick.toml"] == suite.shipped()["quick"].read_bytes()
    listed = {one["file"]: one["sha256"] for one in json.loads(found["manifest.json"])["files"]}
    assert listed == {
        name: hashlib.sha256(content).hexdigest() for name, content in found.items() if name != "manifest.json"
    }
    environment = json.loads(found["environment.json"])
    assert [one["processor"] for one in environment["machines"]] == ["made-up processor"]
    assert len(environment["machines"][0]["records"]) == 3
    assert [one["dirty"] for one in environment["code"]] == [False, True]
    packages = {one["name"]: one for one in environment["packages"]}
    assert packages["pydantic"]["version"] == importlib.metadata.version("pydantic")
    assert packages["pydantic"]["sha256_of_the_list_of_installed_files"]
    assert (packages["numpy"]["version"], packages["numpy"]["in_the_records"]) == ("2.0.0", True)
    assert "numpy==2.0.0\n" in found["requirements.txt"].decode()


def test_equal_inputs_give_equal_bytes(results, tmp_path):
    for name in ("one.zip", "other.zip"):
        pack([results], tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as found:
        assert {(one.date_time, one.create_system, one.external_attr >> 16) for one in found.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 3, 0o100644),
        }


def test_a_signature_holds_from_the_archive_alone(results, tmp_path):
    text = citation.cite("FD", "vae", [results])[0].signature
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    for file in results.iterdir():
        file.unlink()
    findings = verify(text, [archive])
    assert {one.holds for one in findings} == {True}
    assert of_arrays(findings) == [True, True]
    assert citation.cite("FD", "vae", [archive])[0].signature == text
    done = equibench("verify", text, "--results", archive)
    assert (done.returncode, done.stderr) == (0, "")
    other = text.replace("entrant:vae", "entrant:gan")
    assert equibench("verify", other, "--results", archive).returncode == 1
    with pytest.raises(UserError, match=f"no record {'0' * 8} of vae in {archive}"):
        verify(f"{text.rpartition('|rec:')[0]}|rec:{'0' * 8},{'0' * 8}", [archive])


def test_records_of_one_name_in_two_folders_are_both_kept(tmp_path):
    vae = make("vae", 0)
    folders = [save([vae], tmp_path / name) for name in ("a", "b")]
    pack(folders, tmp_path / "paper.zip")
    names = [name for name in members(tmp_path / "paper.zip") if name.startswith("results/") and name.endswith(".json")]
    assert len(names) == 2
    with unpacked([tmp_path / "paper.zip"]) as places:
        assert len(find.record_files(places, deep=True)) == 2


@pytest.mark.parametrize("entrant", ["a\\b", "x\ny", "ж" * 80, ".hidden", "‮"])
def test_odd_names_of_entrants_are_found_again(tmp_path, entrant):
    results = save([make("vae", 0, entrant=entrant)], tmp_path / "results")
    file = next(file for file in results.iterdir() if file.name.endswith(".json"))
    text = citation.cite("FD", entrant, [file])[0].signature
    pack([file], tmp_path / "paper.zip")
    findings = verify(text, [tmp_path / "paper.zip"])
    assert ({one.holds for one in findings}, of_arrays(findings)) == ({True}, [True])


def test_studies_are_beside_the_suite_that_names_them(results, tmp_path):
    """The packed suite says the same of tuning, wherever it and its studies lay before."""
    pack([results], tmp_path / "paper.zip")
    with zipfile.ZipFile(tmp_path / "paper.zip") as archive:
        archive.extractall(tmp_path / "there")
    packed, shipped = suite.load(str(tmp_path / "there" / "suites" / "quick.toml")), suite.load("quick")
    assert packed == shipped
    assert any(one.tuning for one in packed.entrant)


@pytest.mark.parametrize("text", ['name = "mine"\nextends = "quick"\n', ELSEWHERE], ids=["extends", "elsewhere"])
def test_a_suite_of_ones_own_is_packed_with_its_studies(text, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    shutil.copytree(suite.shipped()["quick"].parent / "studies" / "quick", tmp_path / "of-mine")
    results = save([make("vae", 0, suite="mine")], tmp_path / "results")
    pack([results], tmp_path / "paper.zip", suites=[tmp_path / "mine.toml"])
    shutil.rmtree(tmp_path / "of-mine")
    with zipfile.ZipFile(tmp_path / "paper.zip") as archive:
        archive.extractall(tmp_path / "there")
    packed = suite.load(str(tmp_path / "there" / "suites" / "mine.toml"))
    assert [one.tuning for one in packed.entrant] == [one.tuning for one in suite.load("quick").entrant]
    assert str(tmp_path) not in (tmp_path / "there" / "suites" / "mine.toml").read_text()


def test_arrays_must_be_those_of_the_record(results, tmp_path):
    file = next(results.glob("gan-*.npz"))
    kept = file.read_bytes()
    file.write_bytes(kept + b"x")
    with pytest.raises(UserError, match="is not the file that its record was written with"):
        pack([results], tmp_path / "paper.zip")
    assert not (tmp_path / "paper.zip").exists()
    file.unlink()
    assert "arrays of 1 records are not here" in pack([results], tmp_path / "paper.zip").notes[0]
    assert "are not here" in members(tmp_path / "paper.zip")["README.md"].decode()


def test_a_suite_is_proved_by_the_keys_of_its_cells(tmp_path):
    text = suite.shipped()["smoke"].read_text().replace('name = "smoke"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(text)
    asked = suite.load(str(tmp_path / "mine.toml"))
    cell = next(cell for cell in suite.cells(asked) if cell.entrant and cell.name == "vae")
    key = cell.key(make("vae").data.sha256, LITE0, MACHINE.key)
    results = save([make("vae", cell.seed, key=key, suite="mine", protocol=PROTOCOL)], tmp_path / "results")
    assert "none that comes with equibench" in pack([results], tmp_path / "a.zip").notes[0]
    assert pack([results], tmp_path / "a.zip", suites=[tmp_path / "mine.toml"]).notes == ()
    assert members(tmp_path / "a.zip")["suites/mine.toml"] == text.encode()
    (tmp_path / "mine.toml").write_text(text.replace("[measure]", "[measure]\nsamples = 77"))
    with pytest.raises(UserError):
        pack([results], tmp_path / "a.zip", suites=[suite.shipped()["quick"]])


def test_a_suite_is_proved_by_what_it_loads_too(tmp_path):
    text = suite.shipped()["smoke"].read_text().replace('name = "smoke"', 'name = "mine"\nprecision = "fp32"')
    (tmp_path / "mine.toml").write_text(f'{text}\n[[entrant]]\nname = "theirs"\nload = "x.npz"\n')
    (tmp_path / "x.npz").write_bytes(b"")
    (cell,) = (cell for cell in suite.cells(suite.load(str(tmp_path / "mine.toml"))) if cell.name == "theirs")
    found = {"family": "samples", "precision": None}  # as the run sees what lies there
    cell = dataclasses.replace(cell, entrant=cell.entrant.model_copy(update=found))
    key = cell.key(make("vae").data.sha256, LITE0, MACHINE.key, "5" * 64)
    said = {"entrant": "theirs", "family": "samples", "suite": "mine", "protocol": PROTOCOL, "budget": None}
    one = make("vae", cell.seed, key=key, weights_sha256="5" * 64, **said)
    results = save([one], tmp_path / "results")
    assert pack([results], tmp_path / "a.zip", suites=[tmp_path / "mine.toml"]).notes == ()


def test_nothing_else_is_replaced(results, tmp_path):
    mine = tmp_path / "mine.zip"
    with zipfile.ZipFile(mine, "w") as archive:
        archive.writestr("mine.txt", "mine")
    content = mine.read_bytes()
    with pytest.raises(UserError, match="is not an archive of equibench"):
        pack([results], mine)
    assert mine.read_bytes() == content
    with pytest.raises(UserError, match=r"does not end in \.zip"):
        pack([results], tmp_path / "paper.tar")
    pack([results], tmp_path / "paper.zip")
    pack([results], tmp_path / "paper.zip")


def of_arrays(findings):
    return [one.holds for one in findings if ".npz" in one.sentence and ".zip" not in one.sentence]


def damaged(path, change, *, keep_comment=True):
    """The archive with other members: `change` gives name and content of each, or None."""
    with zipfile.ZipFile(path) as old:
        found, comment = [(name, old.read(name)) for name in old.namelist()], old.comment
    with zipfile.ZipFile(path, "w") as new:
        new.comment = comment if keep_comment else b""
        for name, content in found:
            for one in change(name, content):
                new.writestr(*one)


def test_only_records_and_arrays_are_read_and_no_place_of_ones_own_is_written(results, tmp_path):
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    evil = ["../evil.json", "results/../../evil.json", "/tmp/evil.json", "results/..\\evil.json", "results/.evil.json",
            "results/a/evil.json", "evil.json", "results/evil.pkl", "results/" + "x" * 300 + ".json"]  # fmt: skip
    damaged(archive, lambda name, content: [(name, content), *((one, b"{}") for one in evil if name == "README.md")])
    before = sorted(tmp_path.rglob("*"))
    with unpacked([archive, results]) as places:
        assert places[1] == results
        inside = sorted(file.name for file in places[0].rglob("*") if file.is_file())
        assert inside == sorted(file.name for file in results.iterdir())
    assert not places[0].exists()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_archive_does_not_hold(results, tmp_path):
    text = citation.cite("FD", "vae", [results])[0].signature
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    damaged(archive, lambda name, content: [(name, content + b"x" if name.endswith(".npz") else content)])
    assert of_arrays(verify(text, [archive])) == [False, False]
    pack([results], archive)
    damaged(archive, lambda name, content: [] if name.endswith(".npz") else [(name, content)])
    assert of_arrays(verify(text, [archive])) == [None, None]


def test_an_archive_that_was_packed_again_is_known_by_its_manifest(results, tmp_path):
    text = citation.cite("FD", "vae", [results])[0].signature
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    damaged(archive, lambda name, content: [(name, content)], keep_comment=False)
    assert is_archive(archive)
    findings = verify(text, [archive])
    assert findings[-1] == (True, "paper.zip has the files that it was packed with")
    assert {one.holds for one in findings} == {True}
    damaged(archive, lambda name, content: [] if name == "manifest.json" else [(name, content)], keep_comment=False)
    assert not is_archive(archive)


def test_each_file_is_compared_with_the_manifest(results, tmp_path):
    """Also those that no signature rests on: one changed, one gone, one added."""
    text = citation.cite("FD", "vae", [results])[0].signature
    archive = tmp_path / "paper.zip"
    pack([results], archive)

    def change(name, content):
        if name == "README.md":
            return [("own.txt", b"one's own"), (name, content[:-1] + b"!")]
        return [] if name == "checklist.md" else [(name, content)]

    damaged(archive, change)
    last = verify(text, [archive])[-1]
    assert last == (False, "paper.zip has other files than it was packed with: README.md, checklist.md, own.txt")
    (tmp_path / "paper.txt").write_text(f"{text}\n{text}\n")
    done = equibench("verify", tmp_path / "paper.txt", "--results", archive)
    assert (done.returncode, done.stdout.count("other files than"), done.stdout.count(" of vae:")) == (1, 1, 1)
    damaged(archive, lambda name, content: [] if name == "manifest.json" else [(name, content)])
    assert verify(text, [archive])[-1].holds is None


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"files": []}', b'{"equibench": 1, "files": [{"file": 1}]}'])
def test_a_manifest_of_others_makes_no_archive(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("manifest.json", content)
    assert not is_archive(tmp_path / "other.zip")


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9, -30])
def test_a_damaged_archive_is_one_sentence(results, tmp_path, keep):
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    done = equibench("cite", "FD", "vae", "--results", archive)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "paper.zip is no archive of equibench, or only a part of one; fetch it again" in done.stderr


def test_a_flipped_byte_is_damage(results, tmp_path):
    archive = tmp_path / "paper.zip"
    pack([results], archive)
    content = bytearray(archive.read_bytes())
    content[content.index(arrays_of(results)) + 40] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"paper\.zip is damaged \(Bad CRC"), unpacked([archive]):
        pass


def arrays_of(results):
    return next(results.glob("vae-s0-*.npz")).read_bytes()[:200]


def test_the_command_packs_a_whole_report(results, tmp_path):
    done = equibench("archive", results, "--out", tmp_path / "paper.zip")
    assert done.returncode == 0, done.stderr
    assert "paper.zip: 3 records, 3 with arrays" in done.stdout
    found = members(tmp_path / "paper.zip")
    assert found["report/index.html"].startswith(b"<!doctype html>")
    assert b"results/" in found["README.md"]


def test_studies_of_names_that_one_file_cannot_tell_apart_are_all_there(tmp_path):
    """Of two entrants whose names are one as a file's, and of two suites whose files have one name."""
    base = suite.load("quick").entrant[1]
    shutil.copy(suite.shipped()["quick"].parent / "studies" / "quick" / "vae.json", tmp_path)
    head = 'without = ["gan", "vae", "flow", "diffusion"]\nextends = "quick"\n'
    entrants = "".join(
        f'[[entrant]]\nname = "{name}"\nfamily = "vae"\ntuned = "../vae.json"\nconfig = {inline_table(base.config)}\n'
        for name in ("m+a", "m_a")
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.toml").write_text(f'name = "{name}"\n{head}{entrants}')
    results = save([make("vae", seed, suite=name) for seed, name in enumerate(("one", "two"))], tmp_path / "results")
    pack([results], tmp_path / "a.zip", suites=[tmp_path / name / "mine.toml" for name in ("one", "two")])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "there")
    found = sorted((tmp_path / "there" / "suites").rglob("mine.toml"))
    assert len(found) == 2
    for file in found:
        assert [one.tuning for one in suite.load(str(file)).entrant] == [base.tuning] * 2
