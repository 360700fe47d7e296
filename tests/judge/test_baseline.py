"""Baselines are made and replaced deliberately, and nothing is lost where that is refused."""

import subprocess
import sys

import pytest
from fixtures import failed, make, save

from equibench.errors import UserError
from equibench.judge import baseline
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
