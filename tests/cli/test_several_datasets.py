"""A suite of several data sets: one command, cells and sections of their own, and mistakes before any training."""

import json

import numpy as np
import pytest
from files_of_images import pixels
from fixtures import equibench

from equibench import suite
from equibench.cli.options import load_suite, load_suites
from equibench.errors import UserError

OPTIONS = {"dataset": None, "only": "vae", "seeds": None, "data_root": None, "download": False, "allow_code": False}


@pytest.fixture
def two(tmp_path, monkeypatch):
    """The path of a suite of a user's own images of two sizes."""
    monkeypatch.chdir(tmp_path)
    for name, side, seed in (("small", 8, 1), ("large", 12, 2)):
        np.savez(
            f"{name}.npz", train=pixels(60, 1, side, side, seed=seed), test=pixels(40, 1, side, side, seed=seed + 5)
        )
    text = 'name = "two"\nextends = "smoke"\ndataset = "small.npz"\nmore_datasets = ["large.npz"]\n'
    (tmp_path / "two.toml").write_text(text + "train_images = 60\ntest_images = 40\n")
    return "two.toml"


def test_each_data_set_is_a_suite_of_its_own(two):
    found = load_suites({**OPTIONS, "suite_name": two})
    assert [(one.dataset, one.more_datasets, data.shape) for one, data in found] == [
        ("small.npz", [], (1, 8, 8)), ("large.npz", [], (1, 12, 12)),
    ]  # fmt: skip
    alone, data = load_suite({**OPTIONS, "suite_name": two, "dataset": "large.npz"})
    assert (alone.datasets, data.name) == (["large.npz"], "large.npz")


def test_a_verb_that_takes_one_says_so(two):
    with pytest.raises(UserError, match="two is of 2 data sets; choose one of them with --dataset"):
        load_suite({**OPTIONS, "suite_name": two})


def test_a_data_set_may_be_there_once(two, tmp_path):
    (tmp_path / "x.toml").write_text(f'name = "x"\nextends = "{two}"\nmore_datasets = ["small.npz"]\n')
    with pytest.raises(UserError, match=r"x.toml: each data set may be there once: 'small.npz' is there twice"):
        suite.load("x.toml")


def test_a_missing_one_is_told_before_anything_is_trained(two, tmp_path):
    (tmp_path / "large.npz").unlink()
    done = equibench("run", two, "--device", "cpu")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no folder, .npz or .npy file large.npz" in done.stderr
    assert not (tmp_path / "results").exists()


def test_an_entrant_that_does_not_fit_one_of_them_is_named_with_it(two):
    np.savez("large.npz", train=pixels(60, 1, 96, 96), test=pixels(40, 1, 96, 96))
    done = equibench("run", two, "--only", "vae", "--device", "cpu", "--dry-run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "entrant 'vae' on large.npz: a cap of 60,000 parameters is too small for VAE" in done.stderr


@pytest.mark.slow
def test_one_command_does_them_all(two, tmp_path):
    done = equibench("run", two, "--only", "vae", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert [(one["entrant"], one["data"]) for one in cells if one["entrant"] == "vae"] == [
        ("vae", "small.npz"), ("vae", "large.npz"),
    ]  # fmt: skip
    assert len({one["record"] for one in cells}) == len(cells) == 12
    assert {one["status"] for one in cells} <= {"ok", "budget missed"}
    assert ("On small.npz:" in done.stderr, "On large.npz:" in done.stderr) == (True, True)
    assert equibench("report", "results/two", "--out", "report").returncode == 0
    page = (tmp_path / "report" / "report.md").read_text()
    assert "### A. large.npz" in page
    assert "### B. small.npz" in page
    planned = equibench("plan", two, "--only", "vae", "--device", "cpu", "--json")
    assert [one["data"]["name"] for one in json.loads(planned.stdout)] == ["small.npz", "large.npz"]
