"""The workflows that users copy: their commands are run here, in order, on a tiny suite in place of `smoke`."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from fixtures import ROOT, equibench

TINY = """
name = "tiny"
about = "one small entrant"
dataset = "fashion-mnist-10k"
train_images = 100
test_images = 60
seeds = [0]
[[budget]]
params = 60_000
unit = "updates"
amount = 2
[measure]
samples = 60
reference_images = 60
splits = 1
resamples = 2
memorization_images = 0
sampler_points = false
likelihood_images = 20
speed_batch_sizes = [8]
speed_limit_sec = 0.05
memory_batch_size = 8
[[entrant]]
name = "gan"
family = "gan"
"""


def commands(file):
    """Commands of a workflow in order: `run:` steps of GitHub, items of GitLab's scripts without what keeps a code."""
    lines = (ROOT / "docs" / "ci" / file).read_text().splitlines()
    found = [re.match(r"\s+(?:run:|-)\s+((?:equibench|pip) .*?)(?: \|\| code=.*)?$", line) for line in lines]
    return [match[1] for match in found if match]


def preparation(file):
    """The commands in the comment on top, which make the baseline."""
    lines = (ROOT / "docs" / "ci" / file).read_text().splitlines()
    return [line.removeprefix("#").strip() for line in lines if re.match(r"#\s+equibench ", line)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the baseline that the workflows' comments make; both make the same."""
    path = tmp_path_factory.mktemp("project")
    (path / "tiny.toml").write_text(TINY)
    for command in preparation("github-actions.yml"):
        done = execute(command, path)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(path / "results" / "run")  # a runner starts with what was committed
    return path


def execute(command, folder, **environment):
    words = shlex.split(command.replace("smoke --seeds 0,1,2", "tiny.toml --seeds 0,1"))
    assert words[0] == "equibench"
    if words[1] == "baseline":
        words.append("--allow-dirty")  # the checkout that is tested may have changes
    env = {**os.environ, **environment}
    env.pop("GITHUB_ACTIONS", None)
    return subprocess.run(
        [sys.executable, "-m", "equibench", *words[1:]],
        cwd=folder,
        env=env | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_with_a_cell_that_is_not_ok_ends_in_3_and_is_reported(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY.replace("seeds = [0]", "seeds = [0]\ncell_limit_sec = 0.001"))
    run = ("run", "tiny.toml", "--device", "cpu", "--out", "out")
    for _ in range(2):  # what is there already counts too
        done = equibench(*run, cwd=tmp_path)
        assert done.returncode == 3, done.stderr
        assert re.search(r"[1-6] of 6 cells are not ok; their records say why", done.stderr)
    assert "timed out" in done.stdout
    assert equibench("report", "out", "--out", "page", cwd=tmp_path).returncode == 0
    assert equibench(*run[:-1], "tiny.toml", cwd=tmp_path).returncode == 2  # a file


@pytest.fixture
def pretended(tmp_path):
    """A command `equibench` that notes its verb and ends in the code that is pretended for it."""
    (tmp_path / "equibench").write_text('#!/bin/sh\necho "$1" >> "$(dirname "$0")/verbs"\neval "exit \\${$1:-0}"\n')
    (tmp_path / "equibench").chmod(0o755)

    def ended(line, **codes):
        (tmp_path / "verbs").write_text("")
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **{k: str(v) for k, v in codes.items()}}
        done = subprocess.run(line, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        return done.returncode, (tmp_path / "verbs").read_text().split(), done.stderr

    ended.folder = tmp_path
    return ended


@pytest.mark.parametrize(
    ("codes", "verbs", "code"),
    [
        ({}, ["run", "report"], 0),
        ({"run": 3}, ["run", "report"], 3),
        ({"run": 2}, ["run"], 2),
        ({"run": 130}, ["run"], 130),
        ({"report": 2}, ["run", "report"], 2),
        ({"run": 3, "report": 2}, ["run", "report"], 2),
    ],
)
def test_make_report_reports_after_a_failed_cell_and_ends_with_its_code(pretended, codes, verbs, code):
    found, done, told = pretended(f"make --old-file .venv/installed report BIN={pretended.folder}", **codes)
    assert done == verbs
    assert found == (2 if code else 0)  # make's own
    assert not code or f"Error {code}" in told
    page = (ROOT / "docs" / "exit-codes.md").read_text()
    script = page.partition("```sh\n")[2].partition("```")[0]
    assert pretended(script, **codes)[:2] == (code, verbs)


@pytest.mark.parametrize(
    ("codes", "code"), [({}, 0), ({"run": 3}, 3), ({"check": 1}, 1), ({"run": 3, "check": 1}, 3), ({"check": 2}, 2)]
)
def test_the_jobs_check_and_report_after_a_failed_cell(pretended, codes, code):
    lines = (ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text().splitlines()
    script = [line.removeprefix("    - ") for line in lines if re.match(r"    - (equibench (run|check)|exit) ?", line)]
    assert len(script) == 3
    assert pretended("set -e\n" + "\n".join(script), **codes)[:2] == (code, ["run", "check"])
    assert any(line.startswith("  after_script:") for line in lines)  # reports whatever the code was
    steps = (ROOT / "docs" / "ci" / "github-actions.yml").read_text().split("      - name: ")
    conditions = {step.split()[0]: re.search(r"if: (.*)", step) for step in steps[1:]}
    assert conditions["Check"][1] == '"!cancelled()"'
    assert conditions["Report"][1] == "always()"


def test_both_make_the_same_baseline_by_the_same_run():
    assert preparation("github-actions.yml") == preparation("gitlab-ci.yml") != []
    assert commands("github-actions.yml") == commands("gitlab-ci.yml")
    assert len(commands("github-actions.yml")) == 4


def test_the_commands_pass_and_write_what_is_uploaded(folder):
    install, *rest = commands("github-actions.yml")
    assert install == "pip install equibench"
    outputs = []
    for command in rest:
        done = execute(command, folder, GITHUB_ACTIONS="true")
        outputs.append(done.stdout)
        if command.startswith("equibench check"):
            # here others use the machine: speed and memory may fail, what was trained must reproduce
            suite = ElementTree.parse(folder / "check.xml").getroot().find("testsuite")
            failed = [case.get("name") for case in suite if case.find("failure") is not None]
            assert all(name.startswith(("speed.", "memory.")) for name in failed), done.stdout
            assert done.returncode == bool(failed), done.stdout + done.stderr
        else:
            assert done.returncode == 0, done.stdout + done.stderr
    assert "reproduced" in outputs[1]
    assert "::notice title=equibench check::" in outputs[1]
    text = (ROOT / "docs" / "ci" / "github-actions.yml").read_text()
    uploaded = text.partition("path: |")[2].split()
    assert uploaded == ["check.xml", "report", "results/run/*.json"]
    assert all(list(folder.glob(name)) for name in uploaded)


def test_a_broken_model_stops_the_job(folder):
    worse = folder / "worse"
    shutil.copytree(folder / "results" / "run", worse)
    for file in worse.glob("gan-*.json"):
        found = json.loads(file.read_text())
        found["weights_sha256"] = "0" * 64
        for metric in found["quality"]["also"]:
            if metric["name"] == "KD":
                metric["value"] = metric["value"] * 10
        file.write_text(json.dumps(found))
    check = next(command for command in commands("gitlab-ci.yml") if " check " in command)
    done = execute(check.replace("results/run", "worse"), folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Regression" in done.stdout
