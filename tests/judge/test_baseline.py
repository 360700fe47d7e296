"""Baselines are made and replaced deliberately, and nothing is lost where that is refused."""

import os
import subprocess
import sys

import pytest
from fixtures import failed, floor, make, save

from equibench.errors import UserError
from equibench.judge import baseline, check
from equibench.record import find

CLEAN = [make(family) for family in ("gan", "vae")]  # seed 0: the fixtures say that the code of seed 1 was changed


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_it_holds_the_records_and_their_arrays(tmp_path):
    results = save(CLEAN, tmp_path / "results")
    changes = baseline.make([results], tmp_path / "baseline")
    assert changes == ["gan: new (seed 0)", "vae: new (seed 0)"]
    assert contents(tmp_path / "baseline") == contents(results)
    assert len(contents(results)) == 4


def test_a_floor_that_each_run_has_measured_alike_is_there_once(tmp_path):
    """Runs of one seed each, in folders of their own, as jobs of a batch system leave them."""
    folders = [tmp_path / str(seed) for seed in range(3)]
    for seed, folder in enumerate(folders):
        save([make("vae", seed), floor("uniform", bits=8.0)], folder)
    baseline.make(folders, tmp_path / "base", allow_dirty=True)
    assert [one.entrant for _, one in find.read_all([tmp_path / "base"])] == ["uniform", "vae", "vae", "vae"]
    assert not check.check([tmp_path / "base"], folders).regressions
    for file in folders[2].glob("uniform-*"):
        file.unlink()
    save([floor("uniform", bits=8.1)], folders[2])
    with pytest.raises(UserError, match="there are two records of uniform with seed 0 in the results"):
        baseline.make(folders, tmp_path / "other", allow_dirty=True)
    assert not (tmp_path / "other").exists()


def test_an_update_replaces_it_and_says_what_changes(tmp_path):
    out = tmp_path / "baseline"
    baseline.make([save([*CLEAN, make("flow")], tmp_path / "a")], out)
    (out / "README.md").write_text("why")
    other = make("vae").model_copy(update={"likelihood": None})
    second = save([CLEAN[0], other, make("diffusion")], tmp_path / "b")
    changes = baseline.make([second], out, update=True)
    assert changes == [
        "flow: gone (seed 0)",
        "diffusion: new (seed 0)",
        "gan: as before (seed 0)",
        "vae: other values (seed 0)",
    ]
    assert contents(out).pop("README.md") == b"why"
    assert {one.entrant for _, one in find.read_all([out])} == {"gan", "vae", "diffusion"}
    assert len(contents(out)) == 7


@pytest.mark.parametrize(
    ("records", "options", "sentence"),
    [
        (CLEAN, {}, "replace it deliberately with --update"),
        ([make("vae", 1)], {"update": True}, "uncommitted changes"),
        ([make("vae"), failed("gan", 0, "diverged", "x")], {"update": True}, "gan with seed 0 is diverged"),
        ([make("vae"), make("gan", status="budget missed", reason="x")], {"update": True}, "budget missed"),
        ([make("vae"), make("vae", protocol="0")], {"update": True}, "protocols"),
    ],
)
def test_what_is_refused_leaves_the_old_one(tmp_path, records, options, sentence):
    out = tmp_path / "baseline"
    baseline.make([save(CLEAN, tmp_path / "a")], out)
    before = contents(out)
    with pytest.raises(UserError, match=sentence):
        baseline.make([save(records, tmp_path / "b")], out, **options)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_dirty_code_is_taken_when_asked(tmp_path):
    results = save([make("vae", 1)], tmp_path / "results")
    assert baseline.make([results], tmp_path / "baseline", allow_dirty=True) == ["vae: new (seed 1)"]


def test_results_are_not_their_own_baseline(tmp_path):
    results = save(CLEAN, tmp_path / "results")
    before = contents(results)
    with pytest.raises(UserError, match="is where the records lie"):
        baseline.make([results], results, update=True)
    assert contents(results) == before


def test_the_command_line(tmp_path):
    results = save(CLEAN, tmp_path / "results")
    command = [sys.executable, "-m", "equibench", "baseline", str(results), "--out", str(tmp_path / "baseline")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "vae: new (seed 0)" in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--update" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def replaced(tmp_path):
    """A baseline of two records, and a run of other ones to replace it with."""
    out = tmp_path / "base"
    baseline.make([save(CLEAN, tmp_path / "a")], out)
    return out, save([make("vae", suite="other"), make("flow")], tmp_path / "b")


def test_no_file_of_another_s_is_touched(replaced):
    out, new = replaced
    others = {
        "README.md": b"why", "package.json": b"{}", "notes.npz": b"x", ".gitattributes": b"*.npz filter=lfs",
    }  # fmt: skip
    for name, content in others.items():
        (out / name).write_bytes(content)
    partial = out.with_name("base.partial")
    partial.mkdir()
    (partial / "mine.txt").write_text("mine")
    baseline.make([new], out, update=True)
    assert contents(partial) == {"mine.txt": b"mine"}
    assert contents(out) == contents(new) | others


def test_a_file_in_the_way_is_not_replaced(replaced):
    out, new = replaced
    before = contents(out)
    (taken,) = new.glob("flow-*.npz")
    (out / taken.name).write_bytes(b"mine")
    with pytest.raises(UserError, match="is there already and is not the baseline's"):
        baseline.make([new], out, update=True)
    assert contents(out) == before | {taken.name: b"mine"}


def test_what_a_run_wrote_is_no_baseline(tmp_path):
    run = save([make("vae", checkpoint="vae.safetensors")], tmp_path / "run")
    (run / "vae.safetensors").write_bytes(b"weights")
    before = contents(run)
    with pytest.raises(UserError, match="is where a run wrote, with checkpoints"):
        baseline.make([save(CLEAN, tmp_path / "other")], run, update=True)
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(UserError, match="holds a baseline"):
        baseline.make([run], tmp_path / "link")
    with pytest.raises(UserError, match="is where the records lie"):
        baseline.make([run], tmp_path / "link", update=True)
    assert contents(run) == before


@pytest.mark.parametrize("moves", range(5))
def test_a_kill_leaves_the_old_one_the_new_one_or_says_what_to_do(replaced, monkeypatch, moves):
    """Killed as it moves its n-th file of four to its place."""
    out, new = replaced
    old = contents(out)
    usual, done = os.replace, []

    def replace(source, target):
        if str(target) in {str(out / file.name) for file in new.iterdir()}:
            if len(done) == moves:
                raise KeyboardInterrupt
            done.append(target)
        usual(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr("pathlib.Path.replace", lambda self, target: replace(self, target))
    try:
        baseline.make([new], out, update=True)
    except KeyboardInterrupt:
        monkeypatch.undo()
        if {name for name in contents(out) if not name.startswith(".")} != set(old):
            with pytest.raises(UserError, match=r"was being replaced .*; run the same command"):
                find.read_all([out])
        baseline.make([new], out, update=True)
    assert contents(out) == contents(new)
    assert [one.entrant for _, one in find.read_all([out])] == ["flow", "vae"]
