"""IDX and CIFAR's batches: what is read from them, and what is said of those that cannot be."""

import gzip
import pickle
import re
import struct
import tracemalloc

import numpy as np
import pytest
from files_of_images import idx, pixels, write_cifar, write_idx

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


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(pixels(6, 28, 28)))[:-500], "fetch it again"),
        ("train-images-idx3-ubyte.gz", b"not gzip", "train-images-idx3-ubyte.gz (Not a gzipped file"),
        ("train-images-idx3-ubyte", idx(pixels(6, 28, 28))[:-1], "is not a whole IDX file of 3-dimensional bytes"),
        ("train-images-idx3-ubyte", b"", "train-images-idx3-ubyte is empty"),
        ("train-images-idx3-ubyte", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03", "is not a whole IDX file of 3-dimensional bytes"),
        ("train-images-idx3-ubyte", idx(pixels(6, 28, 28)) + b"\0", "is not a whole IDX file of 3-dimensional bytes"),
        # no image, of a size that no array may have
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8,
            "is not a whole IDX file of 3-dimensional",
        ),
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
    "content",
    [
        b"junk",
        b"\x80\x02X\xff\xff\xff\xfe",
        pickle.dumps([1], 2),
        pickle.dumps({b"data": pixels(2, 7)}, 2),
        pickle.dumps({}, 2),
    ],
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


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_no_more_of_an_idx_file_is_unpacked_than_its_header_says(tmp_path, suffix):
    """256 MiB of zeros behind a header of six images, and a header of four thousand million behind six."""
    write_idx(tmp_path, pixels(6, 28, 28), pixels(4, 28, 28))
    file = tmp_path / f"train-images-idx3-ubyte{suffix}"
    (tmp_path / "train-images-idx3-ubyte").unlink()
    pack = gzip.compress if suffix else lambda content: content
    for content in (
        idx(pixels(6, 28, 28)) + bytes(2**28),
        struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 28, 28) + bytes(99),
    ):
        file.write_bytes(pack(content))
        tracemalloc.start()
        with pytest.raises(UserError, match="is not a whole IDX file"):
            readers.idx(file, 3)
        assert tracemalloc.get_traced_memory()[1] < 2**26
        tracemalloc.stop()


def test_a_cifar_batch_encodes_its_bytes_in_no_other_way(tmp_path):
    write_cifar(tmp_path, [pixels(4, 3, 32, 32)] * 6)
    (tmp_path / "test_batch").write_bytes(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.")
    with pytest.raises(UserError, match="it encodes in zlib"):
        sets.load("cifar10", root=tmp_path)
