"""The workflows that users copy: their commands are run here, in order, on a tiny suite in place of `ci`."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import yaml
from fixtures import ROOT, equibench

from equibench.cli.main import cli
from equibench.record import files as record_files

TINY = """
name = "tiny"
about = "one small entrant"
dataset = "fashion-mnist-10k"
train_images = 100
test_images = 60
seeds = [0]
[[budget]]
params = 100_000
unit = "updates"
amount = 2
[measure]
samples = 60
reference_images = 60
splits = 1
resamples = 2
memorization_images = 0
sampler_points = false
likelihood_images = 60
speed_batch_sizes = [8]
speed_limit_sec = 0.05
memory_batch_size = 8
[[entrant]]
name = "vae"
family = "vae"
"""


FILES = ("github-actions.yml", "gitlab-ci.yml")
JOBS = {"check": ("check", "equibench"), "nightly": ("nightly", "equibench-nightly")}


def read(file):
    return (ROOT / "docs" / "ci" / file).read_text()


def commands(file, job="check"):
    """Commands of a job in order: `run` of GitHub's steps, GitLab's scripts without what keeps a code."""
    found = yaml.safe_load(read(file))
    if "jobs" in found:
        return [step["run"] for step in found["jobs"][JOBS[job][0]]["steps"] if "run" in step]
    whole = {**found["equibench"], **found[JOBS[job][1]]}
    lines = [line for part in ("before_script", "script", "after_script") for line in whole[part]]
    return [line.partition(" || code=")[0] for line in lines if not line.startswith("exit")]


def preparation(file):
    """The commands in the comment on top, which make the baseline, those of a loop once for each of its words."""
    found = []
    for line in read(file).splitlines():
        if loop := re.fullmatch(r"#\s+for (\w+) in ([\d ]+); do (equibench [^;]+); done", line):
            name, words, command = loop.groups()
            found += [command.replace(f"${name}", word) for word in words.split()]
        elif re.match(r"#\s+equibench ", line):
            found.append(line.removeprefix("#").strip())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the baseline that the workflows' comments make; both make the same."""
    path = tmp_path_factory.mktemp("project")
    (path / "tiny.toml").write_text(TINY)
    *runs, baseline = preparation("github-actions.yml")
    for command in [*runs[:3], baseline]:  # three seeds of five are enough here
        done = execute(command, path)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(path / "results")  # a runner starts with what was committed
    return path


def execute(command, folder, **environment):
    words = shlex.split(command.replace("$GITHUB_STEP_SUMMARY", str(folder / "summary.md")))
    assert words[0] == "equibench"
    if words[1] == "run":
        assert words[2] == "ci"
        words[2] = "tiny.toml"
    if "--confirm" in words:
        words += ["--suite", "tiny.toml"]  # it does not ship
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


@pytest.mark.slow
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


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize(
    ("codes", "code"), [({}, 0), ({"run": 3}, 3), ({"check": 1}, 1), ({"run": 3, "check": 1}, 3), ({"check": 2}, 2)]
)
def test_the_jobs_check_and_report_after_a_failed_cell(pretended, job, codes, code):
    gitlab, github = (yaml.safe_load(read(file)) for file in reversed(FILES))
    script = gitlab[JOBS[job][1]]["script"]
    assert len(script) == 3
    assert pretended("set -e\n" + "\n".join(script), **codes)[:2] == (code, ["run", "check"])
    assert gitlab["equibench"]["after_script"] == ["equibench report results/run --out report"]  # whatever the code was
    steps = {step.get("name", step.get("uses")): step.get("if") for step in github["jobs"][job]["steps"]}
    assert steps["Check"] == "!cancelled()"
    assert steps["Report"] == steps["actions/upload-artifact@v4"] == "always()"


@pytest.mark.parametrize("file", FILES)
def test_one_job_runs_at_a_time(file):
    found = yaml.safe_load(read(file))
    jobs = found.get("jobs", found)
    conditions = [str(job.get("if") or job["rules"][0]["if"]) for job in jobs.values()]
    assert sorted(re.search("(!=|==)", one)[1] for one in conditions) == ["!=", "=="]
    assert all("schedule" in one for one in conditions)
    assert set(jobs) == {names[FILES.index(file)] for names in JOBS.values()}


def test_both_make_the_same_baseline_by_the_same_run():
    *runs, baseline = preparation(FILES[0])
    assert [*runs, baseline] == preparation(FILES[1])
    assert [re.search(r"--seeds (\S+)", line)[1] for line in runs] == ["0", "1", "2", "3", "4"]  # an invocation each
    assert baseline.startswith("equibench baseline ")
    for job in JOBS:
        github, gitlab = (commands(file, job) for file in FILES)
        assert [line.replace('"$GITHUB_STEP_SUMMARY"', "check.md") for line in github] == gitlab
        assert len(github) == 4


def written():
    """Every command of equibench in the workflows and the pages on them."""
    for path in [*(ROOT / "docs" / "ci").iterdir(), ROOT / "docs" / "ci.md", ROOT / "Makefile"]:
        for line in path.read_text().splitlines():
            if found := re.search(r"(?:^|[#:;-] +|BIN\)/)(equibench (?!baseline/)[a-z].*)", line.strip()):
                command = re.split(r" \|\| |;|  #", found[1])[0]
                yield pytest.param(command, id=f"{path.name}: {command}")


@pytest.mark.parametrize("command", list(written()))
def test_every_command_that_is_shown_is_one(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, verb, *words = shlex.split(command)
    cli.commands[verb].make_context(verb, words)  # raises for an option or a value that there is not


@pytest.mark.slow
def test_the_commands_pass_and_write_what_is_uploaded(folder):
    install, *rest = commands(FILES[0])
    assert install == "pip install equibench"
    outputs = []
    for command in rest:
        done = execute(command, folder, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(folder / "summary.md"))
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
    assert "none trained fresh seeds" in outputs[1]
    assert "::notice title=equibench check::" in outputs[1]
    assert "## equibench check" in (folder / "summary.md").read_text()
    uploads = [step["with"]["path"].split() for step in steps_of("check") if "upload-artifact" in step.get("uses", "")]
    assert uploads == [["check.xml", "report", "results/run/*.json"]]
    assert all(list(folder.glob(name)) for name in uploads[0])


def steps_of(job):
    return yaml.safe_load(read(FILES[0]))["jobs"][job]["steps"]


@pytest.mark.slow
def test_a_bad_seed_is_cleared_by_fresh_ones_and_stops_the_nightly_job(folder):
    """The code is sound: that one record is bad was chance, which the first job asks about and the second does not."""
    for file in (folder / "results" / "run").glob("vae-*.json"):
        one = record_files.read(file)
        bits = one.likelihood.model_copy(update={"bits_per_dim": one.likelihood.bits_per_dim + 1})
        record_files.write(one.model_copy(update={"likelihood": bits, "weights_sha256": "0" * 64}), folder / "worse")
    check, nightly = (commands(FILES[0], job)[2].replace("results/run", "worse") for job in JOBS)
    done = execute(nightly, folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Regression: vae bits_per_dim" in done.stdout
    done = execute(check, folder)
    assert "Regression: vae bits_per_dim" not in done.stdout, done.stdout + done.stderr
    assert "trained 3 more: decided by fresh seeds 3, 4 and 5" in done.stdout
    fresh = [record_files.read(file) for file in (folder / "worse-confirm").glob("*.json")]
    assert sorted((one.entrant, one.seed) for one in fresh) == [("vae", 3), ("vae", 4), ("vae", 5)]  # and no floor
