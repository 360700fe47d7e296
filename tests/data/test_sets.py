"""Data sets by name: what they hold, where they are found, how they are split."""

import gzip
import hashlib
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from files_of_images import pixels, write_cifar, write_idx, write_pngs

from equibench.data import sets
from equibench.errors import UserError

PACKAGED = "b938cc94631cde6b9a81fe7409b6b283433398b7f62c70f6b8612f2a4e2ca6a1"


ORACLE = "6bd32e14b47c029e7c90a594799298e7525ec5c304b71ece6d39fc7a26659be9"


def test_packaged_data_set_is_the_pinned_one():
    dataset = sets.load()
    assert dataset.name == "fashion-mnist-10k"
    assert dataset.train.shape == dataset.test.shape == (10_000, 1, 28, 28)
    assert dataset.shape == (1, 28, 28)
    assert dataset.train.dtype == np.uint8
    assert dataset.train_labels.dtype == np.int64
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert dataset.entropy_bits_per_dim is None
    assert dataset.sha256 == PACKAGED


def test_packaged_data_set_is_the_start_of_the_full_one(monkeypatch):
    monkeypatch.undo()
    if not sets._DEBIAN.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    full = sets.load("fashion-mnist")
    assert (len(full.train), len(full.test)) == (60_000, 10_000)
    packaged = sets.load()
    start = sets.Dataset("a", full.train[:10_000], full.test, full.train_labels[:10_000], full.test_labels)
    assert start.sha256 == PACKAGED
    assert np.array_equal(start.train_labels, packaged.train_labels)
    for name in sets._IDX[2:]:
        shipped = sets._PACKAGED / f"fashion-mnist-{name}.gz"
        assert shipped.read_bytes() == (sets._DEBIAN / f"{name}.gz").read_bytes()


def test_oracle_is_the_pinned_one():
    dataset = sets.load("oracle")
    assert dataset.train.shape == dataset.test.shape == (10_000, 3, 32, 32)
    assert dataset.train_labels is None
    assert dataset.entropy_bits_per_dim == pytest.approx(2.10616, abs=1e-5)
    assert dataset.sha256 == ORACLE


def test_hash_is_of_shapes_pixels_labels_and_splits_alone():
    images = pixels(12, 3, 8, 12)
    base = sets.Dataset("a", images[:8], images[8:])
    strided = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert base.sha256 == sets.Dataset("c", strided[:8], strided[8:], notes=("read",)).sha256
    changed = images.copy()
    changed[11, 2, 7, 11] ^= 1
    labels = np.arange(8) % 4, np.arange(4)
    others = [
        sets.Dataset("a", changed[:8], changed[8:]),
        sets.Dataset("a", images[:7], images[7:]),
        sets.Dataset("a", images.reshape(12, 3, 12, 8)[:8], images.reshape(12, 3, 12, 8)[8:]),
        sets.Dataset("a", images[[1, 0, *range(2, 8)]], images[8:]),
        base.limited(8, 3),
        sets.Dataset("a", images[:8], images[8:], labels[0]),
        sets.Dataset("a", images[:8], images[8:], None, labels[1]),
        sets.Dataset("a", images[:8], images[8:], *labels),
        sets.Dataset("a", images[:8], images[8:], labels[0][::-1].copy(), labels[1]),
        sets.Dataset("a", images[:8], images[8:], *labels, classes=("p", "q", "r", "s")),
        sets.Dataset("a", images[:8], images[8:], *labels, classes=("q", "p", "r", "s")),
    ]
    assert len({dataset.sha256 for dataset in [base, *others]}) == 12


def test_hash_by_hand():
    """Of each split its shape and the sha256 of each image, then its labels; then the names of the classes."""
    images, labels = pixels(3, 1, 8, 8), np.array([1, 0], np.int64)
    total = hashlib.sha256()
    for shape, split, more in (
        ("(2, 1, 8, 8)", images[:2], b"labels" + bytes([1, *[0] * 15])),
        ("(1, 1, 8, 8)", images[2:], b""),
    ):
        digests = b"".join(hashlib.sha256(bytes(image.flatten().tolist())).digest() for image in split)
        total.update(hashlib.sha256(shape.encode() + digests).hexdigest().encode() + more)
    total.update(b'["cat", "dog"]')
    assert sets.Dataset("a", images[:2], images[2:], labels, classes=("cat", "dog")).sha256 == total.hexdigest()


def test_limited_draws_from_each_split():
    images = pixels(12, 1, 8, 8)
    dataset = sets.Dataset("a", images[:8], images[8:], np.arange(8), np.arange(4))
    limited = dataset.limited(5, 100)
    assert len(set(limited.train_labels.tolist())) == 5
    assert limited.train_labels.tolist() == sorted(limited.train_labels)  # in the order that they have in the data set
    assert np.array_equal(limited.train, images[limited.train_labels])
    assert limited.test_labels.tolist() == [0, 1, 2, 3]
    assert dataset.limited(100, 100).sha256 == dataset.sha256
    assert set(dataset.limited(3, 4).train_labels) < set(limited.train_labels)  # fewer are part of more


def test_what_is_drawn_is_no_matter_of_order():
    """Of 1000 images that lie sorted by class, 100 in a class, 100 drawn: about ten of each class, and the same images
    in any order.
    """
    images = pixels(1000, 1, 8, 8)
    labels = np.repeat(np.arange(10), 100)
    chosen = sets.Dataset("a", images, images[:1], labels).limited(100, 1)
    assert np.bincount(chosen.train_labels, minlength=10).min() >= 3  # of a fair draw less once in 300 orders
    assert np.bincount(chosen.train_labels, minlength=10).max() <= 20
    order = np.random.default_rng(0).permutation(1000)
    again = sets.Dataset("a", images[order], images[:1], labels[order]).limited(100, 1)
    assert {image.tobytes() for image in again.train} == {image.tobytes() for image in chosen.train}


@pytest.mark.parametrize("place", ["", "MNIST/raw", "mnist"])
@pytest.mark.parametrize(("pack", "suffix"), [(lambda content: content, ""), (gzip.compress, ".gz")])
def test_idx_folder(tmp_path, place, pack, suffix):
    train, test = pixels(6, 28, 28), pixels(4, 28, 28, seed=1)
    write_idx(tmp_path / place, train, test, pack, suffix)
    dataset = sets.load("mnist", root=tmp_path)
    assert np.array_equal(dataset.train[:, 0], train)
    assert np.array_equal(dataset.test[:, 0], test)
    assert dataset.train_labels.tolist() == (train[:, 0, 0] % 10).tolist()
    assert dataset.test_labels.tolist() == (test[:, 0, 0] % 10).tolist()
    assert dataset.train.flags.writeable  # torch warns of arrays that are not


def test_own_folder_comes_before_the_root(tmp_path):
    mnist, fashion = pixels(6, 28, 28), pixels(6, 28, 28, seed=1)
    write_idx(tmp_path / "MNIST/raw", mnist, mnist)
    write_idx(tmp_path, fashion, fashion)
    assert np.array_equal(sets.load("mnist", root=tmp_path).train[:, 0], mnist)
    assert np.array_equal(sets.load("fashion-mnist", root=tmp_path).train[:, 0], fashion)


@pytest.mark.parametrize("place", ["", "cifar-10-batches-py"])
def test_cifar_folder(tmp_path, place):
    batches = [pixels(4, 3, 32, 32, seed=i) for i in range(6)]
    write_cifar(tmp_path / place, batches)
    dataset = sets.load("cifar10", root=tmp_path)
    assert np.array_equal(dataset.train, np.concatenate(batches[:5]))
    assert np.array_equal(dataset.test, batches[5])
    assert dataset.train_labels.tolist() == (np.concatenate(batches[:5])[:, 0, 0, 0] % 10).tolist()


@pytest.mark.parametrize("rooted", [True, False])
def test_download_goes_through_torchvision_to_the_root_or_the_cache(tmp_path, monkeypatch, rooted):
    datasets = importlib.import_module("torchvision.datasets")
    train = pixels(6, 28, 28)

    def fake(root, download):
        assert download
        write_idx(Path(root) / "MNIST/raw", train, train, gzip.compress, ".gz")

    monkeypatch.setattr(datasets, "MNIST", fake)
    root = tmp_path if rooted else None
    assert np.array_equal(sets.load("mnist", root, download=True).train[:, 0], train)
    assert sets.describe(root)[2].found == str((root or sets._CACHE) / "MNIST/raw")


def test_download_that_fails(monkeypatch):
    datasets = importlib.import_module("torchvision.datasets")

    def fake(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets, "CIFAR10", fake)
    with pytest.raises(UserError, match=r"cannot download cifar10 \(no route to host\); pass --data-root FOLDER"):
        sets.load("cifar10", download=True)


def test_describe_says_where_each_is(tmp_path):
    write_idx(tmp_path / "MNIST/raw", pixels(1, 28, 28), pixels(1, 28, 28))
    sources = {source.name: source for source in sets.describe(tmp_path)}
    named = ["fashion-mnist-10k", "fashion-mnist", "mnist", "cifar10", "oracle"]
    assert list(sources) == [*named, "torchvision:NAME", "hub:OWNER/NAME@COMMIT", "PATH"]
    assert sources["mnist"].found == str(tmp_path / "MNIST/raw")
    assert sources["cifar10"].found == "pass --download, or --data-root FOLDER"
    assert all(source.what for source in sources.values())


def test_importing_and_describing_needs_no_torch():
    code = "import sys; from equibench.data import sets; sets.describe(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_split_ignores_names_and_order_and_keeps_duplicates_together(tmp_path):
    images = pixels(80, 8, 8, 3)
    images[40:50] = images[30:40]
    one = sets.load(str(write_pngs(tmp_path / "one", images)))
    other = sets.load(str(write_pngs(tmp_path / "other", images[::-1])))
    assert one.sha256 == other.sha256
    train, test = ({image.tobytes() for image in split} for split in (one.train, one.test))
    assert not train & test
    assert len(one.train) + len(one.test) == 80
    assert len(train) + len(test) == 70


def test_split_of_more_images_moves_none(tmp_path):
    images = pixels(120, 8, 8)
    np.savez(tmp_path / "less.npz", images=images[:90])
    np.savez(tmp_path / "more.npz", images=images)
    less, more = (sets.load(str(tmp_path / name)) for name in ("less.npz", "more.npz"))
    for split in ("train", "test"):
        assert {i.tobytes() for i in getattr(less, split)} <= {i.tobytes() for i in getattr(more, split)}


def test_npz_with_splits_is_used_as_it_is(tmp_path):
    train, test = pixels(5, 8, 8, 3), pixels(3, 8, 8, 3, seed=1)
    np.savez(tmp_path / "mine.npz", train=train, test=test, test_labels=[3, 1, 2])
    dataset = sets.load(str(tmp_path / "mine.npz"))
    assert np.array_equal(dataset.train.transpose(0, 2, 3, 1), train)
    assert np.array_equal(dataset.test.transpose(0, 2, 3, 1), test)
    assert dataset.train_labels is None
    assert dataset.test_labels.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fashon-mnist", "there is no data set 'fashon-mnist'; did you mean 'fashion-mnist' (of "),
        ("CIFAR-10", "there is no data set 'CIFAR-10'; did you mean 'cifar10' (of "),
        ("Oracle", "there is no data set 'Oracle'; did you mean 'oracle' (of "),
        ("", "there is no data set ''; did you mean '"),
        ("~nobody/images", "there is no folder, .npz or .npy file ~nobody/images"),
        ("nowhere/images", "there is no folder, .npz or .npy file nowhere/images; give an existing one"),
        ("nothing.npz", "there is no folder, .npz or .npy file nothing.npz; give an existing one"),
        ("mnist", "mnist is not on this machine; pass --download to fetch it with torchvision, or --data-root FOLDER"),
        ("cifar10", "cifar10 is not on this machine; pass --download"),
    ],
)
def test_unknown_or_missing(name, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        sets.load(name)


@pytest.fixture
def folder(tmp_path):
    return write_pngs(tmp_path / "mine", pixels(30, 8, 8, 3))


def test_damaged_package(tmp_path, monkeypatch):
    packaged = tmp_path / "datasets"
    shutil.copytree(sets._PACKAGED, packaged)
    monkeypatch.setattr(sets, "_PACKAGED", packaged)
    labels = packaged / "fashion-mnist-t10k-labels-idx1-ubyte.gz"
    content = bytearray(labels.read_bytes())
    content[2000] ^= 1
    labels.write_bytes(content)
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is damaged .*; reinstall equibench"):
        sets.load()
    labels.unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is missing; reinstall equibench"):
        sets.load()
