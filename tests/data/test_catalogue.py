"""Data sets of other libraries, read by these libraries from files in their own formats, made here."""

import hashlib
import io
import json
import pickle
import sys

import numpy as np
import pytest
from files_of_images import pixels
from PIL import Image

from equibench.data import catalogue, library, sets
from equibench.data.library import Split, gathered
from equibench.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = f"hub:someone/shapes@{COMMIT}"
TRAIN, TEST = pixels(40, 3, 32, 32, seed=1), pixels(12, 3, 32, 32, seed=2)
LABELS = (np.arange(40) % 10).tolist(), (np.arange(12) % 10).tolist()


def write_cifar(root, monkeypatch):
    """CIFAR-10 as torchvision lays it, of a few images; its checksums are those of these files."""
    import torchvision.datasets

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sums = {}
    parts = [(f"data_batch_{i + 1}", TRAIN[8 * i : 8 * i + 8], LABELS[0][8 * i : 8 * i + 8]) for i in range(5)]
    for name, images, labels in [*parts, ("test_batch", TEST, LABELS[1])]:
        (folder / name).write_bytes(pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels}))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    known = torchvision.datasets.CIFAR10
    monkeypatch.setattr(known, "train_list", [[name, sums[name]] for name, *_ in parts])
    monkeypatch.setattr(known, "test_list", [["test_batch", sums["test_batch"]]])
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": meta})
    return names


def write_idx(root):
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for split, images in (("train", TRAIN), ("t10k", TEST)):
        grey, labels = images[:, 0, :28, :28], np.arange(len(images), dtype=np.uint8) % 10
        for kind, array in (("images-idx3", grey), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
            (folder / f"{split}-{kind}-ubyte").write_bytes(head + array.tobytes())


def test_cifar_by_torchvision(tmp_path, monkeypatch):
    names = write_cifar(tmp_path, monkeypatch)
    found = sets.load("torchvision:CIFAR10", tmp_path)
    assert np.array_equal(found.train, TRAIN)
    assert np.array_equal(found.test, TEST)
    assert (found.train_labels.tolist(), found.test_labels.tolist()) == LABELS
    assert (found.name, list(found.classes), found.split, found.lossy) == (
        "torchvision:CIFAR10",
        names,
        "its own",
        None,
    )


def test_idx_by_torchvision_is_grey(tmp_path):
    write_idx(tmp_path)
    found = sets.load("torchvision:FashionMNIST", tmp_path)
    assert np.array_equal(found.train[:, 0], TRAIN[:, 0, :28, :28])
    assert found.shape == (1, 28, 28)
    assert found.info().classes[:2] == ["T-shirt/top", "Trouser"]
    assert np.array_equal(sets.load("fashion-mnist", tmp_path).test, found.test)


def test_a_side_behind_a_name_brings_all_images_to_it(tmp_path):
    write_idx(tmp_path)
    found = sets.load("torchvision:FashionMNIST:64", tmp_path)
    assert (found.shape, found.name) == ((1, 64, 64), "torchvision:FashionMNIST:64")
    assert found.sha256 != sets.load("torchvision:FashionMNIST", tmp_path).sha256


def test_what_is_not_there_is_not_fetched_unasked(tmp_path, monkeypatch):
    import torchvision.datasets

    asked = []
    known = torchvision.datasets.SVHN
    monkeypatch.setattr(known, "download", lambda self: asked.append(self.root))
    with pytest.raises(UserError, match=r"torchvision:SVHN is not in .*; pass --download to fetch it") as found:
        sets.load("torchvision:SVHN", tmp_path)
    assert "\n" not in str(found.value)
    assert not asked
    with pytest.raises(UserError, match="cannot fetch torchvision:SVHN"):
        sets.load("torchvision:SVHN", tmp_path / "new", download=True)
    assert asked == [str(tmp_path / "new")]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("torchvision:SVNH", "none of torchvision's data sets that are known here; did you mean 'SVHN'"),
        ("torchvision:SVHN:", "ends in no side in pixels; give one as torchvision:SVHN:64"),
        ("torchvision:SVHN:0", "ends in no side"),
        ("torchvision:SVHN:x", "ends in no side"),
        ("hub:shapes", "hub:shapes is no name on the hub; give one as hub:OWNER/NAME@COMMIT"),
        ("hub:../shapes", "is no name on the hub"),
        ("hub:someone/shapes", "not pinned, as without a revision it is another one tomorrow"),
        ("hub:someone/shapes@main", "not pinned, as the revision 'main' may move; give the 40 digits of a commit"),
        (f"hub:someone/shapes@{COMMIT[:-1]}", "may move; give the 40 digits"),
        (HUB, f"hub:someone/shapes@{COMMIT} is not on this machine; pass --download to fetch it from the hub"),
    ],
)
def test_a_mistake_in_a_name_is_a_sentence(tmp_path, monkeypatch, name, sentence):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match=sentence) as found:
        sets.load(name, tmp_path)
    assert "\n" not in str(found.value)


def test_without_the_library_the_extra_is_named(monkeypatch, tmp_path):
    (tmp_path / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"install it with `pip install 'equibench\[datasets\]'`"):
        sets.load(str(tmp_path))


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def table(images, labels, names=("circle", "square")):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"picture": datasets.Image(), "label": datasets.ClassLabel(names=list(names))})
    rows = {"picture": [png(image.transpose(1, 2, 0)) for image in images], "label": labels}
    return datasets.Dataset.from_dict(rows, features=features)


def both():
    datasets = pytest.importorskip("datasets")
    splits = {"train": table(TRAIN, [i % 2 for i in range(40)]), "test": table(TEST, [i % 2 for i in range(12)])}
    return datasets.DatasetDict(splits)


def hub_cache(folder, monkeypatch):
    """A data set in the hub's cache, as its library lays it: parquet files of a commit behind links."""
    pytest.importorskip("huggingface_hub")
    there = folder / "datasets--someone--shapes"
    snapshot, blobs = there / "snapshots" / COMMIT / "data", there / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for split, rows in both().items():
        rows.to_parquet(str(blobs / split))
        (snapshot / f"{split}-00000-of-00001.parquet").symlink_to(blobs / split)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "own"))


def test_a_data_set_of_the_hub_comes_from_its_cache(tmp_path, monkeypatch):
    hub_cache(tmp_path, monkeypatch)
    found = sets.load(HUB)
    assert np.array_equal(found.train, TRAIN)
    assert np.array_equal(found.test, TEST)
    assert found.test_labels.tolist() == [i % 2 for i in range(12)]
    assert (found.name, found.classes, found.split) == (HUB, ("circle", "square"), "its own")
    assert COMMIT in found.info().name  # which the record holds
    with pytest.raises(UserError, match="is not on this machine"):
        sets.load(HUB.replace("0123", "3210", 1))  # another commit of the same


def test_what_datasets_saved_to_a_folder_is_a_data_set(tmp_path):
    both().save_to_disk(str(tmp_path / "shapes"))
    found = sets.load(str(tmp_path / "shapes"))
    assert np.array_equal(found.train, TRAIN)
    assert (found.name, found.train_labels[:3].tolist()) == ("shapes", [0, 1, 0])
    table(TRAIN, [0] * 40).save_to_disk(str(tmp_path / "alone"))
    alone = sets.load(str(tmp_path / "alone"))
    assert alone.split == "by hash"
    assert len(alone.train) + len(alone.test) == 40
    assert "alone has no splits of its own" in alone.notes[0]


def split(images, labels=None, classes=(), **more):
    return Split(len(images), lambda: iter(map(Image.fromarray, images)), labels, classes, **more)


def test_labels_of_both_splits_are_joined_by_the_names_of_classes():
    train = split(TRAIN[:, 0], np.arange(40) % 2, ("a", "b"))
    found = gathered("x", train, split(TEST[:, 0], np.arange(12) % 2, ("b", "a")), None)
    assert found.test_labels.tolist() == [1, 0] * 6
    with pytest.raises(UserError, match=r"test images of the class \['c'\]"):
        gathered("x", train, split(TEST[:, 0], np.arange(12) % 2, ("a", "c")), None)


def test_equal_splits_and_several_sizes_are_refused():
    with pytest.raises(UserError, match="the same images in both splits"):
        gathered("x", split(TRAIN[:, 0]), split(TRAIN[:5, 0]), None)
    some = gathered("x", split(TRAIN[:, 0]), split(np.concatenate([TRAIN[:1, 0], TEST[:, 0]])), None)
    assert some.notes == ("1 of 13 test images are training images, too, to the last pixel",)
    two = [TRAIN[0, 0], TRAIN[1, 0, :16]]
    with pytest.raises(UserError, match=r"several sizes, such as 32x32 and 32x16; give the side .* as x:64"):
        gathered("x", split(two), split(TEST[:, 0]), None)
    assert gathered("x", split(two), split(TEST[:, 0]), 8).train.shape == (2, 1, 8, 8)


def test_a_crop_is_of_the_middle_and_is_antialiased():
    wide = np.zeros((8, 16), np.uint8)
    wide[:, 4:12] = np.indices((8, 8)).sum(0) % 2 * 255  # a chequerboard in the middle
    (small,) = gathered("x", split([wide]), split(TEST[:, 0]), 4).train[:, 0]
    assert abs(small[1:3, 1:3].astype(float) - 127.5).max() < 40  # without a filter it would be 0 or 255
    kept = gathered("x", split([wide]), split([wide[::-1]]), None)
    assert np.array_equal(kept.train[0, 0], wide)


def test_images_that_were_jpegs_are_told(tmp_path):
    datasets = pytest.importorskip("datasets")
    stream = io.BytesIO()
    Image.fromarray(TRAIN[0].transpose(1, 2, 0)).save(stream, "JPEG")
    rows = [{"bytes": stream.getvalue(), "path": None}] + [png(one.transpose(1, 2, 0)) for one in TRAIN[1:]]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": rows}, features=features).save_to_disk(str(tmp_path / "j"))
    assert sets.load(str(tmp_path / "j")).lossy == "1 of 40 images, by JPEG"


def test_names_are_told_from_paths(tmp_path):
    assert not catalogue.is_named(str(tmp_path))
    assert catalogue.is_named("torchvision:SVHN")
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": []}))
    assert catalogue.is_named(str(tmp_path))
    assert library.Split(0, list).labels is None


def test_an_image_that_the_library_cannot_open_is_a_sentence():
    damaged = Split(2, lambda: (Image.open(io.BytesIO(content)) for content in (png(TRAIN[0, 0])["bytes"], b"junk")))
    with pytest.raises(UserError, match="x has an image that cannot be read") as found:
        gathered("x", damaged, split(TEST[:, 0]), None)
    assert "\n" not in str(found.value)
