"""Every verb reads the records that it was given: a file alone, a folder, never a parent, never what lies beside."""

import json
import os
import shutil

import pytest
from fixtures import ROOT, equibench, make, save

from equibench.cache import NOWHERE, cache_folder
from equibench.record.schema import SCHEMA_VERSION


@pytest.fixture
def project(tmp_path, monkeypatch):
    save([make("vae", seed) for seed in range(3)], tmp_path / "results" / "run", with_arrays=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seed(project, number):
    return next((project / "results" / "run").glob(f"vae-s{number}-*.json")).relative_to(project)


def test_a_file_is_cited_alone(project):
    one = json.loads(equibench("cite", "FD", "vae", "--results", seed(project, 1), "--format", "json").stdout)
    assert [found["seeds"] for found in one] == [[1]]
    both = equibench("cite", "FD", "vae", "--results", seed(project, 0), "--results", seed(project, 2)).stdout
    assert "seeds 0 and 2" in both
    assert "trained once" in equibench("cite", "--methods", "--results", seed(project, 1)).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["cite", "FD", "vae", "--results", "WHERE"],
        ["cite", "--methods", "--results", "WHERE"],
        ["check", "WHERE", "--baseline", "results/run"],
        ["check", "results/run", "--baseline", "WHERE"],
        ["baseline", "WHERE", "--out", "base"],
        ["report", "WHERE", "--out", "page"],
        ["history", "WHERE", "--out", "page.html"],
        ["archive", "WHERE", "--out", "paper.zip"],
        ["export", "hub-card", "WHERE", "--out", "card.md"],
        ["export", "wandb", "WHERE", "--out", "runs"],
        ["verify", "FD_5k=1|seeds:0|rec:0123abcd", "--results", "WHERE"],
    ],
    ids=lambda words: "-".join(words[:2]).replace("/", "-"),
)
def test_a_missing_path_is_no_other(project, words):
    where = "results/run/nowhere"
    done = equibench(*[word.replace("WHERE", where) for word in words])
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no records at {where}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in project.iterdir()) == ["results"]


def test_what_commands_leave_in_results_does_not_disturb_them(project):
    """A report, the output of `--json` while it is written and afterwards, a baseline, notebooks' copies."""
    run, base = "results/run", "results/baseline"
    assert equibench("baseline", run, "--out", base, "--allow-dirty").returncode == 0
    assert equibench("report", run, "--out", f"{run}/report").returncode == 0
    shutil.copytree(project / run, project / run / ".ipynb_checkpoints")
    for file in (project / run / ".ipynb_checkpoints").glob("*.json"):
        file.write_text("{")
    for words in (["check", run, "--baseline", base, "--json"], ["cite", "FD", "vae", "--format", "json"]):
        with open(f"{run}/{words[0]}.json", "w") as stream:
            stream.write(equibench(*words).stdout or pytest.fail("no output"))
    (project / run / "empty.json").touch()
    assert equibench("cite", "FD", "vae").stdout.startswith("FD_5k: ")
    assert equibench("check", run, "--baseline", base).returncode == 0
    assert equibench("report", run, "--out", f"{run}/report").returncode == 0
    signature = equibench("cite", "FD", "vae").stdout.rpartition("signature: ")[2].strip()
    done = equibench("verify", signature)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_came_with_a_checkout_is_not_one_s_own(project):
    shutil.copytree(ROOT / "results" / "published" / "quick", project / "results" / "published" / "quick")
    told = json.loads(equibench("cite", "FD", "vae", "--format", "json").stdout)
    assert [found["data"].partition(" ")[0] for found in told] == ["Fashion-MNIST"]  # of the made up records
    assert "unknown entrant" in equibench("cite", "FD", "diffusion").stderr
    assert equibench("cite", "FD", "diffusion", "--results", "results").returncode == 0
    assert equibench("cite", "FD", "diffusion", "--results", "results/published").returncode == 0


def test_records_of_form_0_are_cited_and_verified_as_of_an_older_form():
    published = ROOT / "tests" / "form_0"
    told = json.loads(equibench("cite", "FD_5k", "vae", "--results", published, "--format", "json").stdout)
    assert told[0]["signature"].startswith("FD_5k=1092±12|entrant:vae|n:5000|ref:fashion-mnist-10k-test@")
    assert told[0]["signature"].endswith("|rec:2f8aaf79,3a0af814,605a37f4")
    done = equibench("verify", told[0]["signature"], "--results", published)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(f"is of an older form (0; this version of equibench writes {SCHEMA_VERSION})") == 3
    assert "DOES NOT HOLD" not in done.stdout


@pytest.mark.parametrize("name", [b"a[red]b[bold]:smile:", b"\x1b[31mcaf\xe9", "猫 é".encode()])
def test_names_are_printed_as_they_are_and_move_no_cursor(project, name):
    folder = os.fsdecode(name)
    (project / "results").rename(folder)
    shown = "".join(c if c.isprintable() else f"\\x{ord(c) % 256:02x}" for c in folder)
    done = equibench("cite", "FD", "vae", "--results", f"{folder}/nowhere")
    assert (done.returncode, f"no records at {shown}/nowhere" in done.stderr) == (2, True), done.stderr
    done = equibench("report", folder + "/run", "--out", folder + "/page")
    assert (done.returncode, f"{shown}/page/index.html" in done.stdout) == (0, True), done.stderr + done.stdout
    done = equibench("check", folder + "/run", "--baseline", folder + "/run", "--junit", folder + "/check.xml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_relative_paths_from_a_subfolder(project, monkeypatch):
    monkeypatch.chdir(project / "results" / "run")
    for where in (".", "..", "../../results"):
        assert "seeds 0, 1 and 2" in equibench("cite", "FD", "vae", "--results", where).stdout
    assert equibench("check", ".", "--baseline", "../run").returncode == 0
    done = equibench("report", ".", "--out", ".")
    assert (done.returncode, "is where the records lie" in done.stderr) == (2, True)


def test_no_home_and_a_long_folder_for_temporary_files(project, monkeypatch):
    """`HOME` that is not there, or cannot be written, and a TMPDIR longer than a socket's path may be."""
    long = project / ("t" * 200)
    long.mkdir()
    env = {**os.environ, "HOME": "/proc/nowhere", "TMPDIR": str(long)}
    for words in (["cite", "FD", "vae"], ["report", "results/run", "--out", "page"], ["ls"]):
        done = equibench(*words, env=env)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    monkeypatch.setattr("platformdirs.user_cache_path", homeless)
    assert cache_folder() == NOWHERE


def homeless(*_, **__):
    """As platformdirs answers a user without an entry in the list of users."""
    raise RuntimeError("could not determine the home directory")
