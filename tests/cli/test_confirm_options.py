"""Where fresh seeds go, and what is refused before any is trained."""

from types import SimpleNamespace

import pytest
import torch
from fixtures import equibench, make, save
from judging import changed

from equibench.cli.confirm import _beside, side_by_side


@pytest.fixture
def sides(tmp_path):
    """A baseline, and one seed that looks worse; both say a suite that ships, which has other settings."""
    save([make("vae", seed, suite="quick") for seed in range(5)], tmp_path / "base", with_arrays=False)
    one = changed(make("vae", 0, suite="quick"), weights_sha256="0" * 64, quality={"value": 300.0})
    save([one], tmp_path / "run", with_arrays=False)
    return tmp_path


def check(folder, *options):
    return equibench("check", folder / "run", "--baseline", folder / "base", "--confirm", 3, *options)


@pytest.mark.parametrize("where", ["run", "base"])
def test_fresh_seeds_go_beside_what_is_compared(sides, where):
    done = check(sides, "--confirm-out", sides / where)
    assert done.returncode == 2
    assert f"{sides / where} holds what is compared; give another folder with --confirm-out" in done.stderr
    assert _beside(sides / "run") == sides / "run-confirm"
    assert _beside(next((sides / "run").glob("*.json"))) == sides / "run-confirm"


def test_what_cannot_be_trained_is_a_sentence_and_leaves_nothing(sides):
    done = check(sides)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not the data of vae" in done.stderr or "does not have vae with the record's budget" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((sides / "run-confirm").glob("*"))


def test_who_does_not_look_worse_leaves_no_folder(sides):
    done = equibench("check", sides / "base", "--baseline", sides / "base", "--confirm", 3)
    assert done.returncode == 0, done.stderr
    assert "none trained fresh seeds" in done.stdout
    assert not (sides / "base-confirm").exists()


@pytest.mark.parametrize(
    ("cores", "threads", "cells", "device", "workers"),
    [(4, 1, 3, "cpu", 3), (4, 2, 3, "cpu", 2), (4, 1, 1, "cpu", None), (2, 2, 3, "cpu", None), (4, 1, 3, "meta", None)],
)
def test_fresh_seeds_are_trained_side_by_side_where_there_are_cores(
    monkeypatch, cores, threads, cells, device, workers
):
    monkeypatch.setattr("equibench.machine.cores.usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("equibench.engine.local.LaneCrew", lambda _, workers: workers)
    session = SimpleNamespace(device=torch.device(device), cells=range(cells))
    assert side_by_side(session) == workers
