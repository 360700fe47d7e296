"""What equibench keeps: listed, sized, cleared; nothing else is touched; without a home all goes on without it."""

import os
import sys

import numpy as np
import pytest
from fixtures import equibench
from toys import IMAGES, extractor

from equibench import cache
from equibench.data import sets
from equibench.measure.quality.reference import reference_of_images
from equibench.run.kept_plans import remembered


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache with features, two data sets' files, and things of others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache.cache_folder()
    reference_of_images("test", IMAGES, extractor())
    remembered({}, dict, dict)
    (folder / "MNIST" / "raw").mkdir(parents=True)
    (folder / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").write_bytes(bytes(1000))
    (folder / "cifar-10-python.tar.gz").write_bytes(bytes(500))
    return folder


def put_others(folder, tmp_path):
    """What equibench did not make, in the cache and behind links in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "train-images-idx3-ubyte").write_bytes(b"mine")
    (folder / "notes.npz").write_bytes(b"mine")
    (folder / "features-short.npz").write_bytes(b"mine")
    (folder / "MNIST" / "raw" / "own.txt").write_bytes(b"mine")
    (folder / f"features-{'0' * 64}.npz").symlink_to(outside / "train-images-idx3-ubyte")
    (folder / "FashionMNIST").mkdir()
    (folder / "FashionMNIST" / "raw").symlink_to(outside)
    return {path: path.read_bytes() for path in (*folder.rglob("*"), *outside.iterdir()) if path.is_file()}


def test_what_equibench_made_is_listed_and_cleared_and_nothing_else(folder, tmp_path):
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert len(before) == 5  # features, statistics, a plan, two of data
    everything = put_others(folder, tmp_path)
    found = cache.kept(sets.downloads())
    assert [(one.what, len(one.files)) for one in found] == [
        ("features of images, and plans of entrants, computed", 3),
        ("data set mnist, downloaded", 1), ("data set cifar10, downloaded", 1),
    ]  # fmt: skip
    assert sum(one.size_bytes for one in found) == sum(path.stat().st_size for path in before)
    assert cache.clear(found) == sum(one.size_bytes for one in found)
    assert not any(path.exists() for path in before)
    assert {path: path.read_bytes() for path in everything.keys() - before} == {
        path: content for path, content in everything.items() if path not in before
    }
    assert not cache.kept(sets.downloads())


def test_the_verb_asks_before_it_removes(folder):
    done = equibench("cache")
    assert done.returncode == 0
    assert str(folder) in done.stdout
    assert "data set mnist, downloaded" in done.stdout
    done = equibench("cache", "--clear", stdin=-3)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    assert (folder / "cifar-10-python.tar.gz").exists()
    assert "Removed" in equibench("cache", "--clear", "--yes").stdout
    assert not (folder / "cifar-10-python.tar.gz").exists()
    assert not (folder / "MNIST").exists()


@pytest.mark.parametrize("home", [None, "relative", "~"])
def test_without_a_home_there_is_no_cache_and_nothing_is_lost(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no entry")))
    assert cache.cache_folder() == cache.NOWHERE
    found = reference_of_images("test", IMAGES, extractor())
    np.testing.assert_allclose(found.statistics.mean, extractor()(IMAGES).mean(0), rtol=1e-5)
    assert not cache.kept(sets.downloads())
    assert not list(tmp_path.iterdir())  # no folder called ~


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o500)
    assert reference_of_images("test", IMAGES, extractor()).statistics.n == len(IMAGES)


def test_data_sets_of_other_libraries_are_listed_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache.cache_folder()
    for name in ("torchvision/svhn/train.mat", "datasets/parquet/x.arrow", "other/kept.bin"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"12345")
    found = cache.kept({})
    assert [(one.what, one.size_bytes) for one in found] == [
        ("data sets of torchvision by name, downloaded", 5), ("data sets of the hub, as tables", 5),
    ]  # fmt: skip
    assert cache.clear(found) == 10
    assert [path.name for path in folder.iterdir()] == ["other"]
