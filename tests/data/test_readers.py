"""Files of images: what is read from them, and what is said of those that cannot be."""

import gzip
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from files_of_images import idx, pixels, write_cifar, write_idx, write_pngs
from PIL import Image

from equibench.data import readers, sets
from equibench.errors import UserError


def test_cifar_batch_as_python_2_wrote_it(tmp_path):
    images = pixels(2, 3, 32, 32)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    array += b"(K\x01K\x02M\x00\x0c\x86" + dtype + b"\x89T" + struct.pack("<I", images.size) + images.tobytes() + b"tb"
    (tmp_path / "batch").write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x06K\x09eu.")
    got, labels = readers.cifar_batch(tmp_path / "batch")
    assert np.array_equal(got, images)
    assert labels.tolist() == [6, 9]


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_cifar_batch_runs_no_code(tmp_path, capsys):
    write_cifar(tmp_path, [pixels(4, 3, 32, 32)] * 6)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({b"data": Evil()}, protocol=2))
    with pytest.raises(UserError, match=r"data_batch_2 is not a CIFAR-10 batch .*refers to \w+\.print"):
        sets.load("cifar10", root=tmp_path)
    assert capsys.readouterr().out == ""


def test_colour_folder(tmp_path):
    images = pixels(60, 8, 12, 3)
    write_pngs(tmp_path / "mine/deep", images[:30])
    write_pngs(tmp_path / "mine", images[30:], ".bmp")
    (tmp_path / "mine/notes.txt").write_text("no image")
    (tmp_path / "mine/._0001.png").write_bytes(b"left by another system")
    dataset = sets.load(str(tmp_path / "mine"))
    assert dataset.name == "mine"
    assert dataset.shape == (3, 8, 12)
    got = np.concatenate([dataset.train, dataset.test]).transpose(0, 2, 3, 1)
    assert sorted(image.tobytes() for image in got) == sorted(image.tobytes() for image in images)
    assert len(dataset.test) < len(dataset.train)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "mixed"])
def test_grey_folder_has_one_channel(tmp_path, mode):
    images = pixels(60, 8, 8)
    for i, image in enumerate(images):
        to = mode if mode != "mixed" else ("L", "RGB")[i % 2]
        Image.fromarray(image).convert(to).save(tmp_path / f"{i}.png", **({"transparency": b"\0"} if to == "P" else {}))
    dataset = sets.load(str(tmp_path))
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
    dataset = sets.load(str(tmp_path / "mine.npz"))
    assert dataset.name == "mine.npz"
    assert dataset.shape == expected
    assert dataset.train[:, 0, 0, 0].tolist() == dataset.train_labels.tolist()  # labels follow their images
    assert dataset.test[:, 0, 0, 0].tolist() == dataset.test_labels.tolist()


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
        sets.load(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize("content", [b"", b"no zip file", b"\x93NUMPY"])
def test_npz_that_is_none(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*mine\.npz \(.*\); save it again with numpy\.savez"):
        sets.load(str(tmp_path / "mine.npz"))


def test_npz_that_is_damaged_or_holds_no_array(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, images=pixels(60, 8, 8))
    content = bytearray(path.read_bytes())
    content[1000:1010] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*mine\.npz"):
        sets.load(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"no array")
    with pytest.raises(UserError, match=r"mine\.npz holds images of type bytes; save levels"):
        sets.load(str(path))


@pytest.fixture
def folder(tmp_path):
    return write_pngs(tmp_path / "mine", pixels(30, 8, 8, 3))


def test_folder_with_a_broken_image(folder):
    broken = folder / "0007.png"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot read the image .*0007\.png \(.+\); replace or remove it"):
        sets.load(str(folder))


def test_folder_with_two_sizes(folder):
    Image.fromarray(pixels(1, 12, 8, 3)[0]).save(folder / "0009.png")
    sentence = r"0000\.png has 8x8 pixels and .*0009\.png has 8x12; crop or resize"
    with pytest.raises(UserError, match=sentence):
        sets.load(str(folder))


def test_folder_with_16_bits(folder):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "0004.png")
    with pytest.raises(UserError, match=r"0004\.png has more than 8 bits a channel; convert it to 8 bits"):
        sets.load(str(folder))


def test_folder_of_large_images_is_refused_at_the_first(tmp_path, monkeypatch):
    write_pngs(tmp_path, pixels(3, 128, 128, 3))
    reads = []
    original = readers._read_image
    monkeypatch.setattr(readers, "_read_image", lambda file: (reads.append(file), original(file))[1])
    with pytest.raises(UserError, match=r"0000\.png has 128x128 pixels; sides must be multiples of 4 from 8 to 64"):
        sets.load(str(tmp_path))
    assert len(reads) == 1


def test_folder_without_images(tmp_path):
    with pytest.raises(UserError, match=r"holds no images; give a folder with files \.png, \.jpg"):
        sets.load(str(tmp_path))


def test_neither_folder_nor_npz(tmp_path):
    (tmp_path / "one.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"one\.png is neither a folder of images nor an \.npz file"):
        sets.load(str(tmp_path / "one.png"))


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
        sets.load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps([1], 2), pickle.dumps({b"data": pixels(2, 7)}, 2), pickle.dumps({}, 2)]
)
def test_broken_cifar_batch(tmp_path, content):
    write_cifar(tmp_path, [pixels(4, 3, 32, 32)] * 6)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(UserError, match=r"test_batch is not a CIFAR-10 batch of the python version"):
        sets.load("cifar10", root=tmp_path)


def test_a_cifar_batch_cannot_choose_what_its_bytes_mean(tmp_path):
    """numpy's own way to make a type from a pickle takes flags, and an array of objects would be addresses."""

    class Forged:
        def __reduce__(self):
            return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)

    class Array:
        def __reduce__(self):
            make = np.empty(0).__reduce__()[0]
            return make, (np.ndarray, (0,), b"b"), (1, (2,), Forged(), False, b"A" * 16)

    folder = tmp_path / "cifar-10-batches-py"
    write_cifar(folder, [pixels(4, 3, 32, 32)] * 6)
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Array(), b"labels": [0, 1]}, protocol=2))
    with pytest.raises(UserError, match="not a CIFAR-10 batch"):
        sets.load("cifar10", tmp_path)


def test_a_file_that_is_a_program_is_not_handed_on(tmp_path):
    """Pillow would give PostScript to Ghostscript."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match="cannot read the image"):
        readers.pictures(tmp_path)
