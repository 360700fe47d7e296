"""`measure` and `reference` as a person sees them: on a terminal, in a log, with whole data sets and lossy samples."""

import json
import re
from io import StringIO

import numpy as np
import pytest
from files_of_images import pixels, write_pngs
from rich.console import Console

from equibench.cli import measure
from equibench.cli.main import cli
from equibench.errors import UserError
from equibench.measure.quality import metrics

NETWORK = """
import torch

def f(images):
    return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images without splits, samples in JPEG, and a network of 12 numbers."""
    root = tmp_path_factory.mktemp("own")
    (root / "twelve.py").write_text(NETWORK)
    write_pngs(root / "real", pixels(90, 9, 13, 3))
    write_pngs(root / "jpegs", pixels(60, 9, 13, 3, seed=1), ".jpg")
    return root


@pytest.fixture
def said(folder, monkeypatch, capsys):
    """What a verb says in that folder: with nothing of progress in a log."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(metrics, "PROJECTIONS", 20)

    def saying(*arguments):
        cli([*arguments, "--extractor", "twelve:f"], standalone_mode=False)
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return saying


def test_a_folder_against_all_of_itself(said):
    found = json.loads(said("measure", "real", "--dataset", "real", "--split", "all", "--json"))
    assert found["quality"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["quality"]["n_reference"] == 90
    assert found["data"]["split"] == "by hash"


def test_a_split_by_hash_is_said(said):
    assert "of real's 90 images, by hash; --split all takes them all" in said("measure", "real", "--dataset", "real")


def test_statistics_of_all(said, folder):
    assert "all.npz: twelve:f, 90 of real's 90 images (all)" in said("reference", "real", "all.npz", "--split", "all")
    with np.load(folder / "all.npz") as found:
        assert int(found["n"]) == 90
    assert "of real's 90 images (test)" in said("reference", "real", "test.npz")


def test_lossy_samples_are_measured_where_it_is_allowed(said):
    arguments = ("measure", "jpegs", "--dataset", "real", "--split", "all")
    sentence = "60 of 60 images of jpegs and 0 of 90 of real were compressed with loss (such as jpegs/0000.jpg, JPEG)"
    with pytest.raises(UserError, match=re.escape(sentence)):
        said(*arguments)
    found = json.loads(said(*arguments, "--allow-lossy", "--json"))
    assert found["allowed_lossy"].startswith("60 of 60 images of jpegs")
    assert any("--allow-lossy" in note for note in found["notes"])


def test_plan_says_how_a_folder_was_split(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_pngs(folder / "small", pixels(90, 8, 8, 3))
    cli(["plan", "smoke", "--dataset", "small", "--device", "cpu"], standalone_mode=False)
    assert "Note: small has no splits of its own: " in capsys.readouterr().out
    with pytest.raises(UserError, match="has 13x9 pixels; to be trained on, sides must be multiples of 4 from 8"):
        cli(["plan", "smoke", "--dataset", "real", "--device", "cpu"], standalone_mode=False)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_with_the_time_that_is_left_on_a_terminal_alone(monkeypatch, terminal):
    screen = StringIO()
    monkeypatch.setattr(
        measure, "console", lambda **_: Console(file=screen, force_terminal=terminal, width=100, _environ={})
    )
    with measure.bars() as tell:
        tell("features of a [red]set[/]", 30, 90)
        tell("features of a [red]set[/]", 30, 90)
    assert ("features of a [red]set[/]" in screen.getvalue()) == terminal
    assert ("60/90" in screen.getvalue()) == terminal
    assert ("0:00:0" in screen.getvalue()) == terminal


@pytest.mark.parametrize(("split", "images"), [("train", "training images"), ("test", "test images")])
def test_classes_that_are_missed_are_told_in_words(said, folder, split, images):
    dark, light = (pixels(60, 9, 13, 3, seed=seed) // 4 + base for seed, base in ((2, 0), (3, 180)))
    labels = np.repeat([0, 1], 30)
    both = np.concatenate([dark[:30], light[:30]]).transpose(0, 3, 1, 2).astype(np.uint8)
    np.savez(folder / "two.npz", train=both, test=both, train_labels=labels, test_labels=labels)
    np.save(folder / "dark.npy", dark.astype(np.uint8))
    text = " ".join(said("measure", "dark.npy", "--dataset", "two.npz", "--split", split).split())
    assert f"too few lie nearest to class 1 (none, against 50 % of the {images})" in text
