"""Statistics as files: where `reference` writes them, and what it never replaces."""

import os
from pathlib import Path

import numpy as np
import pytest
from fixtures import equibench

from equibench.errors import UserError
from equibench.measure.quality import exchange


@pytest.fixture
def project(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", train=images[:30], test=images[30:])
    np.savez(tmp_path / "other.npz", mu=np.zeros(3), sigma=np.eye(3))  # of another tool
    (tmp_path / "mean.py").write_text("def f(images):\n    return images.float().mean((2, 3))\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reference(*words):
    return equibench("reference", *words, "--extractor", "mean:f", "--device", "cpu")


def test_it_writes_statistics_and_replaces_its_own(project):
    for _ in range(2):
        done = reference("data.npz", "out/stats.npz")
        assert done.returncode == 0, done.stderr
    with np.load(project / "out" / "stats.npz") as found:
        assert found["mu"].shape == (3,)
        assert int(found["n"]) == 30
    assert [path.name for path in (project / "out").iterdir()] == ["stats.npz"]


def test_the_data_set_is_never_overwritten(project):
    before = (project / "data.npz").read_bytes()
    (project / "link.npz").symlink_to("data.npz")
    os.link("data.npz", "hard.npz")
    for out in ("data.npz", "./data.npz", "link.npz", "hard.npz", project / "data.npz"):
        with pytest.raises(UserError, match="is the data set itself"):
            exchange.refuse_out(Path(out), "data.npz", force=True)
    done = reference("data.npz", "data", "--force")
    assert (done.returncode, "data.npz is the data set itself, which would be lost" in done.stderr) == (2, True)
    assert (project / "data.npz").read_bytes() == before


def test_another_s_file_is_replaced_only_by_force(project):
    before = (project / "other.npz").read_bytes()
    done = reference("data.npz", "other.npz")
    assert (done.returncode, "is there already and is not a file of statistics" in done.stderr) == (2, True)
    assert (project / "other.npz").read_bytes() == before
    assert reference("data.npz", "other.npz", "--force").returncode == 0
    exchange.refuse_out(project / "other.npz", "data.npz")  # ours now


def test_a_file_of_the_data_s_folder_is_data_too(project):
    (project / "images").mkdir()
    (project / "images" / "0.png").write_bytes(b"an image")
    with pytest.raises(UserError, match="is there already"):
        exchange.refuse_out(project / "images" / "0.png", "images", force=True)
    with pytest.raises(UserError, match="is a folder"):
        exchange.refuse_out(project / "images", "data.npz", force=True)
    done = reference("data.npz", ".")
    assert (done.returncode, "is a folder" in done.stderr) == (2, True)
