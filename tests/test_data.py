"""Data sets: pinned hashes, splits that ignore names and order, readers on files written here, and each mistake."""

import gzip
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equibench import UserError
from equibench.data import readers as read
from equibench.data import sets as data

PACKAGED = "a4f30e7f5b2cad6d971ae89815f6e89118d107cbb2a01213551535cc92ca4639"
ORACLE = "941245c87f74c418f975b841bd7edf7427d71e43cdbcdbe254c8b2dd1a441222"


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch, tmp_path_factory):
    """Neither a cache nor the Debian package, unless a test asks for it."""
    monkeypatch.setattr(data, "_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(data, "_DEBIAN", data._CACHE / "debian")


def pixels(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def write_pngs(folder, images, suffix=".png"):
    folder.mkdir(exist_ok=True, parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:04}{suffix}")
    return folder


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, train, test, pack=lambda content: content, suffix=""):
    folder.mkdir(exist_ok=True, parents=True)
    for kind, images in (("train", train), ("t10k", test)):
        (folder / f"{kind}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
        (folder / f"{kind}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(images[:, 0, 0] % 10)))
    return folder


def write_cifar(folder, batches):
    folder.mkdir(exist_ok=True, parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, images in zip(names, batches, strict=True):
        batch = {b"data": images.reshape(len(images), -1), b"labels": [int(i) for i in images[:, 0, 0, 0] % 10]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


# Named data sets


def test_packaged_data_set_is_the_pinned_one():
    dataset = data.load()
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
    if not data._DEBIAN.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    full = data.load("fashion-mnist")
    assert (len(full.train), len(full.test)) == (60_000, 10_000)
    limited, packaged = full.limited(10_000, 10_000), data.load()
    assert limited.sha256 == PACKAGED
    assert np.array_equal(limited.train_labels, packaged.train_labels)
    for name in data._IDX[2:]:
        shipped = data._PACKAGED / f"fashion-mnist-{name}.gz"
        assert shipped.read_bytes() == (data._DEBIAN / f"{name}.gz").read_bytes()


def test_oracle_is_the_pinned_one():
    dataset = data.load("oracle")
    assert dataset.train.shape == dataset.test.shape == (10_000, 3, 32, 32)
    assert dataset.train_labels is None
    assert dataset.entropy_bits_per_dim == pytest.approx(2.10616, abs=1e-5)
    assert dataset.sha256 == ORACLE


def test_hash_is_of_shapes_pixels_and_splits_alone():
    images = pixels(12, 3, 8, 12)
    base = data.Dataset("a", images[:8], images[8:])
    labelled = data.Dataset("b", images[:8], images[8:], np.arange(8), np.arange(4))
    strided = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert base.sha256 == labelled.sha256 == data.Dataset("c", strided[:8], strided[8:]).sha256
    changed = images.copy()
    changed[11, 2, 7, 11] ^= 1
    others = [
        data.Dataset("a", changed[:8], changed[8:]),
        data.Dataset("a", images[:7], images[7:]),
        data.Dataset("a", images.reshape(12, 3, 12, 8)[:8], images.reshape(12, 3, 12, 8)[8:]),
        base.limited(8, 3),
    ]
    assert len({dataset.sha256 for dataset in [base, *others]}) == 5


def test_limited_takes_the_first_of_each_split():
    images = pixels(12, 1, 8, 8)
    dataset = data.Dataset("a", images[:8], images[8:], np.arange(8), np.arange(4))
    limited = dataset.limited(5, 100)
    assert np.array_equal(limited.train, images[:5])
    assert limited.train_labels.tolist() == [0, 1, 2, 3, 4]
    assert limited.test_labels.tolist() == [0, 1, 2, 3]
    assert dataset.limited(100, 100).sha256 == dataset.sha256


# Files in a folder of the user's


@pytest.mark.parametrize("place", ["", "MNIST/raw", "mnist"])
@pytest.mark.parametrize(("pack", "suffix"), [(lambda content: content, ""), (gzip.compress, ".gz")])
def test_idx_folder(tmp_path, place, pack, suffix):
    train, test = pixels(6, 28, 28), pixels(4, 28, 28, seed=1)
    write_idx(tmp_path / place, train, test, pack, suffix)
    dataset = data.load("mnist", root=tmp_path)
    assert np.array_equal(dataset.train[:, 0], train)
    assert np.array_equal(dataset.test[:, 0], test)
    assert dataset.train_labels.tolist() == (train[:, 0, 0] % 10).tolist()
    assert dataset.test_labels.tolist() == (test[:, 0, 0] % 10).tolist()
    assert dataset.train.flags.writeable  # torch warns of arrays that are not


def test_own_folder_comes_before_the_root(tmp_path):
    mnist, fashion = pixels(6, 28, 28), pixels(6, 28, 28, seed=1)
    write_idx(tmp_path / "MNIST/raw", mnist, mnist)
    write_idx(tmp_path, fashion, fashion)
    assert np.array_equal(data.load("mnist", root=tmp_path).train[:, 0], mnist)
    assert np.array_equal(data.load("fashion-mnist", root=tmp_path).train[:, 0], fashion)


@pytest.mark.parametrize("place", ["", "cifar-10-batches-py"])
def test_cifar_folder(tmp_path, place):
    batches = [pixels(4, 3, 32, 32, seed=i) for i in range(6)]
    write_cifar(tmp_path / place, batches)
    dataset = data.load("cifar10", root=tmp_path)
    assert np.array_equal(dataset.train, np.concatenate(batches[:5]))
    assert np.array_equal(dataset.test, batches[5])
    assert dataset.train_labels.tolist() == (np.concatenate(batches[:5])[:, 0, 0, 0] % 10).tolist()


def test_cifar_batch_as_python_2_wrote_it(tmp_path):
    images = pixels(2, 3, 32, 32)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    array += b"(K\x01K\x02M\x00\x0c\x86" + dtype + b"\x89T" + struct.pack("<I", images.size) + images.tobytes() + b"tb"
    (tmp_path / "batch").write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x06K\x09eu.")
    got, labels = read.cifar_batch(tmp_path / "batch")
    assert np.array_equal(got, images)
    assert labels.tolist() == [6, 9]


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_cifar_batch_runs_no_code(tmp_path, capsys):
    write_cifar(tmp_path, [pixels(4, 3, 32, 32)] * 6)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({b"data": Evil()}, protocol=2))
    with pytest.raises(UserError, match=r"data_batch_2 is not a CIFAR-10 batch .*refers to \w+\.print"):
        data.load("cifar10", root=tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rooted", [True, False])
def test_download_goes_through_torchvision_to_the_root_or_the_cache(tmp_path, monkeypatch, rooted):
    datasets = pytest.importorskip("torchvision.datasets")
    train = pixels(6, 28, 28)

    def fake(root, download):
        assert download
        write_idx(Path(root) / "MNIST/raw", train, train, gzip.compress, ".gz")

    monkeypatch.setattr(datasets, "MNIST", fake)
    root = tmp_path if rooted else None
    assert np.array_equal(data.load("mnist", root, download=True).train[:, 0], train)
    assert data.describe(root)[2].found == str((root or data._CACHE) / "MNIST/raw")


def test_download_that_fails(monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")

    def fake(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets, "CIFAR10", fake)
    with pytest.raises(UserError, match=r"cannot download cifar10 \(no route to host\); pass --data-root FOLDER"):
        data.load("cifar10", download=True)


def test_download_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match=r"downloading mnist needs torchvision; install equibench\[fid\]"):
        data.load("mnist", download=True)


def test_describe_says_where_each_is(tmp_path):
    write_idx(tmp_path / "MNIST/raw", pixels(1, 28, 28), pixels(1, 28, 28))
    sources = {source.name: source for source in data.describe(tmp_path)}
    assert list(sources) == ["fashion-mnist-10k", "fashion-mnist", "mnist", "cifar10", "oracle", "PATH"]
    assert sources["mnist"].found == str(tmp_path / "MNIST/raw")
    assert sources["cifar10"].found == "pass --download, or --data-root FOLDER"
    assert all(source.what for source in sources.values())


def test_importing_and_describing_needs_no_torch():
    code = "import sys; from equibench.data import sets; sets.describe(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Folders of images and .npz files


def test_colour_folder(tmp_path):
    images = pixels(60, 8, 12, 3)
    write_pngs(tmp_path / "mine/deep", images[:30])
    write_pngs(tmp_path / "mine", images[30:], ".bmp")
    (tmp_path / "mine/notes.txt").write_text("no image")
    (tmp_path / "mine/._0001.png").write_bytes(b"left by another system")
    dataset = data.load(str(tmp_path / "mine"))
    assert dataset.name == "mine"
    assert dataset.shape == (3, 8, 12)
    got = np.concatenate([dataset.train, dataset.test]).transpose(0, 2, 3, 1)
    assert sorted(image.tobytes() for image in got) == sorted(image.tobytes() for image in images)
    assert len(dataset.test) < len(dataset.train)


def test_split_ignores_names_and_order_and_keeps_duplicates_together(tmp_path):
    images = pixels(80, 8, 8, 3)
    images[40:50] = images[30:40]
    one = data.load(str(write_pngs(tmp_path / "one", images)))
    other = data.load(str(write_pngs(tmp_path / "other", images[::-1])))
    assert one.sha256 == other.sha256
    train, test = ({image.tobytes() for image in split} for split in (one.train, one.test))
    assert not train & test
    assert len(one.train) + len(one.test) == 80
    assert len(train) + len(test) == 70


def test_split_of_more_images_moves_none(tmp_path):
    images = pixels(120, 8, 8)
    np.savez(tmp_path / "less.npz", images=images[:90])
    np.savez(tmp_path / "more.npz", images=images)
    less, more = (data.load(str(tmp_path / name)) for name in ("less.npz", "more.npz"))
    for split in ("train", "test"):
        assert {i.tobytes() for i in getattr(less, split)} <= {i.tobytes() for i in getattr(more, split)}


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "mixed"])
def test_grey_folder_has_one_channel(tmp_path, mode):
    images = pixels(60, 8, 8)
    for i, image in enumerate(images):
        to = mode if mode != "mixed" else ("L", "RGB")[i % 2]
        Image.fromarray(image).convert(to).save(tmp_path / f"{i}.png", **({"transparency": b"\0"} if to == "P" else {}))
    dataset = data.load(str(tmp_path))
    assert dataset.shape == (1, 8, 8)
    got = np.concatenate([dataset.train, dataset.test])[:, 0]
    assert sorted(image.tobytes() for image in got) == sorted(image.tobytes() for image in images)


@pytest.mark.parametrize("key", ["images", "arr_0", "x"])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 12), (1, 8, 12)), ((8, 12, 3), (3, 8, 12)), ((8, 12, 1), (1, 8, 12)), ((3, 8, 12), (3, 8, 12))],
)
def test_npz_layouts(tmp_path, key, shape, expected):
    images = pixels(60, *shape)
    np.savez(tmp_path / "mine.npz", **{key: images}, labels=images.reshape(60, -1)[:, 0])
    dataset = data.load(str(tmp_path / "mine.npz"))
    assert dataset.name == "mine.npz"
    assert dataset.shape == expected
    assert dataset.train[:, 0, 0, 0].tolist() == dataset.train_labels.tolist()  # labels follow their images
    assert dataset.test[:, 0, 0, 0].tolist() == dataset.test_labels.tolist()


def test_npz_with_splits_is_used_as_it_is(tmp_path):
    train, test = pixels(5, 8, 8, 3), pixels(3, 8, 8, 3, seed=1)
    np.savez(tmp_path / "mine.npz", train=train, test=test, test_labels=[3, 1, 2])
    dataset = data.load(str(tmp_path / "mine.npz"))
    assert np.array_equal(dataset.train.transpose(0, 2, 3, 1), train)
    assert np.array_equal(dataset.test.transpose(0, 2, 3, 1), test)
    assert dataset.train_labels is None
    assert dataset.test_labels.tolist() == [3, 1, 2]


# Mistakes


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fashon-mnist", "there is no data set 'fashon-mnist'; did you mean 'fashion-mnist' (of "),
        ("CIFAR-10", "there is no data set 'CIFAR-10'; did you mean 'cifar10' (of "),
        ("Oracle", "there is no data set 'Oracle'; did you mean 'oracle' (of "),
        ("", "there is no data set ''; did you mean '"),
        ("~nobody/images", "there is no folder or .npz file ~nobody/images"),
        ("nowhere/images", "there is no folder or .npz file nowhere/images; give an existing one"),
        ("nothing.npz", "there is no folder or .npz file nothing.npz; give an existing one"),
        ("mnist", "mnist is not on this machine; pass --download to fetch it with torchvision, or --data-root FOLDER"),
        ("cifar10", "cifar10 is not on this machine; pass --download"),
    ],
)
def test_unknown_or_missing(name, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        data.load(name)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": np.ones((60, 8, 8), np.float32)}, "mine.npz holds images of type float32; save levels 0..255"),
        ({"images": pixels(60, 8)}, "mine.npz holds images of shape (60, 8); save [N, H, W],"),
        ({"images": pixels(60, 8, 8, 4)}, "mine.npz holds images of shape (60, 8, 8, 4)"),
        ({"images": pixels(60, 10, 8)}, "mine.npz has 8x10 pixels; sides must be multiples of 4 from 8 to 64"),
        ({"images": pixels(60, 68, 8)}, "mine.npz has 8x68 pixels"),
        ({"images": pixels(60, 4, 8)}, "mine.npz has 8x4 pixels"),
        ({"images": pixels(2, 8, 8)}, "mine.npz has too few images: by their hashes 2 go to train and 0 to test"),
        ({"images": pixels(0, 8, 8)}, "mine.npz has too few images: by their hashes 0 go to train and 0 to test"),
        ({"faces": pixels(60, 8, 8)}, "mine.npz holds faces; save images, or train and test, in it"),
        ({}, "mine.npz holds nothing; save images"),
        ({"images": pixels(60, 8, 8), "labels": np.arange(59)}, "mine.npz holds labels that do not fit 60 images"),
        ({"images": pixels(60, 8, 8), "labels": np.ones(60)}, "give one integer an image"),
        ({"train": pixels(5, 8, 8), "test": pixels(5, 8, 12)}, "mine.npz has splits (5, 1, 8, 8) and (5, 1, 8, 12)"),
        ({"train": pixels(5, 8, 8), "test": pixels(0, 8, 8)}, "neither may be empty"),
        ({"images": np.array([None, "a"])}, "mine.npz (Object arrays cannot be loaded"),
    ],
)
def test_npz_mistakes(tmp_path, arrays, sentence):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UserError, match=re.escape(sentence)):
        data.load(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize("content", [b"", b"no zip file", b"\x93NUMPY"])
def test_npz_that_is_none(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*mine\.npz \(.*\); save it again with numpy\.savez"):
        data.load(str(tmp_path / "mine.npz"))


def test_npz_that_is_damaged_or_holds_no_array(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, images=pixels(60, 8, 8))
    content = bytearray(path.read_bytes())
    content[1000:1010] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*mine\.npz"):
        data.load(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"no array")
    with pytest.raises(UserError, match=r"mine\.npz holds images of type bytes; save levels"):
        data.load(str(path))


@pytest.fixture
def folder(tmp_path):
    return write_pngs(tmp_path / "mine", pixels(30, 8, 8, 3))


def test_folder_with_a_broken_image(folder):
    broken = folder / "0007.png"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot read the image .*0007\.png \(.+\); replace or remove it"):
        data.load(str(folder))


def test_folder_with_two_sizes(folder):
    Image.fromarray(pixels(1, 12, 8, 3)[0]).save(folder / "0009.png")
    sentence = r"0000\.png has 8x8 pixels and .*0009\.png has 8x12; crop or resize"
    with pytest.raises(UserError, match=sentence):
        data.load(str(folder))


def test_folder_with_16_bits(folder):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "0004.png")
    with pytest.raises(UserError, match=r"0004\.png has more than 8 bits a channel; convert it to 8 bits"):
        data.load(str(folder))


def test_folder_of_large_images_is_refused_at_the_first(tmp_path, monkeypatch):
    write_pngs(tmp_path, pixels(3, 128, 128, 3))
    reads = []
    original = read._read_image
    monkeypatch.setattr(read, "_read_image", lambda file: (reads.append(file), original(file))[1])
    with pytest.raises(UserError, match=r"0000\.png has 128x128 pixels; sides must be multiples of 4 from 8 to 64"):
        data.load(str(tmp_path))
    assert len(reads) == 1


def test_folder_without_images(tmp_path):
    with pytest.raises(UserError, match=r"holds no images; give a folder with files \.png, \.jpg"):
        data.load(str(tmp_path))


def test_neither_folder_nor_npz(tmp_path):
    (tmp_path / "one.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"one\.png is neither a folder of images nor an \.npz file"):
        data.load(str(tmp_path / "one.png"))


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(pixels(6, 28, 28)))[:-500], "fetch it again"),
        ("train-images-idx3-ubyte.gz", b"not gzip", "train-images-idx3-ubyte.gz (Not a gzipped file"),
        ("train-images-idx3-ubyte", idx(pixels(6, 28, 28))[:-1], "is not a whole IDX file of 3-dimensional bytes"),
        ("train-images-idx3-ubyte", b"", "is not a whole IDX file of 3-dimensional bytes"),
        ("train-images-idx3-ubyte", idx(pixels(6)), "is not a whole IDX file of 3-dimensional bytes"),
        ("t10k-labels-idx1-ubyte", idx(pixels(3)), "t10k-labels-idx1-ubyte holds labels that do not fit 4 images"),
    ],
)
def test_broken_idx_files(tmp_path, file, content, sentence):
    write_idx(tmp_path, pixels(6, 28, 28), pixels(4, 28, 28))
    (tmp_path / file.removesuffix(".gz")).unlink()
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(sentence)):
        data.load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps([1], 2), pickle.dumps({b"data": pixels(2, 7)}, 2), pickle.dumps({}, 2)]
)
def test_broken_cifar_batch(tmp_path, content):
    write_cifar(tmp_path, [pixels(4, 3, 32, 32)] * 6)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(UserError, match=r"test_batch is not a CIFAR-10 batch of the python version"):
        data.load("cifar10", root=tmp_path)


def test_damaged_package(tmp_path, monkeypatch):
    packaged = tmp_path / "datasets"
    shutil.copytree(data._PACKAGED, packaged)
    monkeypatch.setattr(data, "_PACKAGED", packaged)
    labels = packaged / "fashion-mnist-t10k-labels-idx1-ubyte.gz"
    content = bytearray(labels.read_bytes())
    content[2000] ^= 1
    labels.write_bytes(content)
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is damaged .*; reinstall equibench"):
        data.load()
    labels.unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is missing; reinstall equibench"):
        data.load()
