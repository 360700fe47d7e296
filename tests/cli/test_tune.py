"""`equibench tune`: a whole study of a suite and a family of one's own, in two sittings, and what a person is told."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import tunable
from click.testing import CliRunner
from fixtures import equibench

from equibench import suite
from equibench.cli import tune
from equibench.cli.main import cli
from equibench.errors import UserError
from equibench.record import study as study_files

SUITE = """
name = "own"
about = "a test"
dataset = "data.npz"
seeds = [0]
budget = [{ params = 1088, unit = "updates", amount = 8 }]
measure = { extractor = "tunable:features" }
[[entrant]]
name = "mine"
family = "tunable:Tunable"
config = { batch_size = 4 }
"""
SPACE = """
[search]
trials = 4
best = 1
seeds = [0]
startup_trials = 2
samples = 60
[family."tunable:Tunable".config]
good = { low = 0.3, high = 1 }
[family."tunable:Tunable".sampler]
brightness = { low = -5, high = 5 }
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a suite, a space and data, to work in; gives what calls `tune` there."""
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", train=tunable.data().train[:, 0], test=tunable.data().test[:, 0])
    Path("own.toml").write_text(SUITE)
    Path("space.toml").write_text(SPACE)

    def call(*arguments):
        words = ["tune", "own.toml", "--space", "space.toml", "--device", "cpu", "--allow-code", *arguments]
        done = CliRunner().invoke(cli, words)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout

    return call


def test_a_study_in_two_sittings_and_its_lines_in_the_suite(own, monkeypatch):
    assert "searched" in (planned := own("--dry-run"))
    assert "│ 4" in planned
    assert not Path("results").exists()

    now = [0.0]
    monkeypatch.setattr(tune, "monotonic", lambda: now[0])
    told = tune._told

    def slowly(*given):
        now[0] += 50.0
        return told(*given)

    monkeypatch.setattr(tune, "_told", slowly)
    first = own("--minutes", "1.5")
    assert "Stopped after 1.5 minutes; the same command goes on." in first
    assert first.count("mine, trial") == 2
    file = Path("results/tuning/own/mine.json")
    assert len(study_files.read(file).trainings) == 2
    assert "Left to do" in own("--dry-run")

    second = own()
    assert second.count("mine, trial") == 2
    assert second.count("mine, full run") == 2
    study = study_files.read(file)
    assert (len(study.trials), len(study.full_runs)) == (4, 2)
    assert study.chosen.candidate.number != 0  # what is searched is nearer to the best
    assert own().count("mine,") == 0  # and nothing is trained again

    lines = second.split("Its lines in the suite:\n")[1]
    Path("studies/own").mkdir(parents=True)
    Path("studies/own/mine.json").write_bytes(file.read_bytes())
    before = SUITE.replace("config = { batch_size = 4 }\n", "")
    Path("own.toml").write_text(before + lines)
    assert set(tomllib.loads(lines)) == {"config", "sampler", "tuned"}
    (tuned,) = suite.load("own.toml").entrant
    assert tuned.tuning.trials == 4
    assert tuned.config["batch_size"] == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["smoke"], "of 200 training images 50 would be held out"),
        (["scaling"], "the suite scaling has 6 budgets"),
        (["quick", "--space", "nowhere.toml"], "cannot read the space nowhere.toml"),
        (["quick", "--only", "gna"], "did you mean 'gan'?"),
        (["quick", "--trials", "0"], "--trials"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["tune", *arguments, "--device", "cpu"])
    said = str(done.exception) if isinstance(done.exception, UserError) else done.stderr
    assert sentence in said
    assert not list(tmp_path.iterdir())


def test_what_the_entrant_as_it_stands_cannot_do_is_said_before_anything_is_trained(own):
    Path("own.toml").write_text(SUITE.replace("amount = 8", "amount = 3"))
    with pytest.raises(UserError, match=r"the budget of 0\.75 updates is too small for one update"):
        own()
    Path("own.toml").write_text(SUITE.replace("batch_size = 4", "batch_sise = 4"))
    with pytest.raises(UserError, match="batch_sise"):
        own()


@pytest.mark.slow
def test_a_shipped_suite_is_planned(tmp_path):
    done = equibench("tune", "quick", "--dry-run", "--device", "cpu", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "7,500 training and 2,500 validation images" in done.stdout
    assert not (tmp_path / "out").exists()
