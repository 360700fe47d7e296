"""Arrays in files: every layout read, everything else refused with what would make it right."""

import io
import os
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from files_of_images import npy, pixels

from equibench.data import arrays
from equibench.data.source import of_path
from equibench.errors import UserError


def refused(path, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        of_path(path).whole()
    assert str(path) in str(caught.value)


@pytest.fixture(params=["npy", "npz", "npz packed"])
def save(request, tmp_path):
    """A file of images, in each of the three forms."""

    def saved(images, **others):
        path = tmp_path / f"a.{request.param[:3]}"
        if path.suffix == ".npy":
            np.save(path, images)
        else:
            (np.savez if request.param == "npz" else np.savez_compressed)(path, images=images, **others)
        return path

    return saved


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 7), (1, 5, 7)),
        ((5, 7, 1), (1, 5, 7)),
        ((5, 7, 3), (3, 5, 7)),
        ((3, 5, 7), (3, 5, 7)),
        ((1, 5, 7), (1, 5, 7)),
        ((1, 1), (1, 1, 1)),
        ((2, 1), (1, 2, 1)),
        ((178, 218, 3), (3, 178, 218)),
    ],
)
def test_layouts_and_sizes(save, shape, expected):
    images = pixels(4, *shape)
    source = of_path(save(images))
    assert (source.count, source.shape) == (4, expected)
    first = images[:, None] if len(shape) == 2 else images
    wanted = first if first.shape[1:] == expected else first.transpose(0, 3, 1, 2)
    assert np.array_equal(source.whole(), wanted)


def test_fortran_order(save):
    images = pixels(9, 5, 7, 3)
    assert np.array_equal(of_path(save(np.asfortranarray(images))).whole(), images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("positions", [[0], [8], [3, 4, 8], [0, 2, 5, 8], list(range(9))])
def test_rows_at_positions(save, monkeypatch, positions):
    monkeypatch.setattr(arrays, "PIECE_BYTES", 3 * 35)  # three images at a time
    images = pixels(9, 5, 7)
    source = of_path(save(images))
    got = np.concatenate(list(source.batches(2, np.array(positions))))
    assert np.array_equal(got[:, 0], images[positions])


def test_files_larger_than_memory_are_read_in_pieces(save):
    images = np.zeros((2**13, 64, 64), np.uint8)  # 32 MiB
    images[-1] = 7
    path = save(images)
    del images
    tracemalloc.start()
    seen = [int(batch.max()) for batch in of_path(path).batches(100)]
    assert tracemalloc.get_traced_memory()[1] < 2**25 * 0.8
    tracemalloc.stop()
    assert seen == [0] * 81 + [7]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.linspace(0, 1, 32).reshape(2, 4, 4), "float64 from 0 to 1; save levels 0..255 as uint8: (255 * images).r"),
        (np.linspace(-1, 1, 32, dtype=np.float16).reshape(2, 4, 4), "((images + 1) * 127.5).round().astype(numpy."),
        (np.linspace(-1.02, 1, 32).reshape(2, 4, 4), "((images.clip(-1, 1) + 1) * 127.5).round()"),
        (np.linspace(-0.01, 1.04, 32).reshape(2, 4, 4), "(255 * images.clip(0, 1)).round()"),
        (np.linspace(0, 255, 32, dtype="<f4").reshape(2, 4, 4), "from 0 to 255; save levels 0..255 as uint8: images.r"),
        (np.linspace(0, 255, 32, dtype=">f4").reshape(2, 4, 4), "from 0 to 255; save levels 0..255 as uint8: images.r"),
        (np.linspace(-2.1, 2.6, 32).reshape(2, 4, 4), "from -2.1 to 2.6; save levels 0..255 as uint8: undo their norm"),
        (np.array([np.nan] + [0.5] * 31).reshape(2, 4, 4), "with NaN or infinity in them"),
        (np.array([0.5] * 31 + [np.inf]).reshape(2, 4, 4), "with NaN or infinity in them"),
        (np.arange(32).reshape(2, 4, 4) * 8, "from 0 to 248; save levels 0..255 as uint8: images.astype(numpy.uint8)"),
        (np.arange(32, dtype=">u2").reshape(2, 4, 4), "images.astype(numpy.uint8)"),
        (np.arange(32, dtype=np.uint16).reshape(2, 4, 4) * 2000, "(images / 257).round().astype(numpy.uint8)"),
        (np.eye(4, dtype=bool)[None], "type bool from 0 to 1; save levels 0..255 as uint8: (255 * images).astype"),
        (np.arange(-16, 16, dtype=np.int8).reshape(2, 4, 4), "(images.astype(int) + 128).astype(numpy.uint8)"),
        (np.eye(4, dtype=np.int64)[None] * 2 - 1, "((images + 1) * 127.5).round()"),
        (np.zeros((2, 4, 4), complex), "type complex128; save levels 0..255 as uint8"),
        (np.zeros((2, 4, 4), [("r", "u1"), ("g", "u1")]), "; save levels 0..255 as uint8"),
        (np.full((2, 4, 4), "a"), "type <U1; save levels 0..255 as uint8"),
        (np.array([None, "a"]), "holds Python objects, not numbers"),
        (np.uint8(3), "holds images of shape (); save [N, H, W]"),
        (pixels(60, 784), "holds images of shape (60, 784); save [N, H, W], [N, H, W, C] or [N, C, H, W]"),
        (pixels(2, 5, 6, 4), "holds images of shape (2, 5, 6, 4)"),
        (pixels(2, 2, 5, 6), "holds images of shape (2, 2, 5, 6)"),
        (pixels(16, 16, 3), "holds images of shape (16, 16, 3)"),  # one image in colour
        (pixels(2, 1, 3, 5, 5), "holds images of shape (2, 1, 3, 5, 5)"),
        (pixels(0, 5, 6), "holds no images ([0, 5, 6])"),
        (pixels(6, 0, 5), "holds images without pixels ([6, 0, 5])"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_levels(save, images, sentence):
    refused(save(images), sentence)


@pytest.mark.parametrize(
    ("others", "notes"),
    [
        ({"labels": np.arange(4)}, ()),
        ({"mu": np.zeros(3), "sigma": np.eye(3)}, ()),
        ({"latents": np.zeros((4, 4, 8, 8))}, ("latents in a.npz, of type float64, was not read",)),
    ],
)
def test_what_lies_beside_images(tmp_path, others, notes):
    np.savez(tmp_path / "a.npz", images=pixels(4, 5, 6), **others)
    assert of_path(tmp_path / "a.npz").notes == notes


def test_shards_are_named_and_labels_beside_the_images_of_adm_are_none(tmp_path):
    np.savez(tmp_path / "a.npz", pixels(4, 5, 6), pixels(3, 5, 6), pixels(2, 5, 6, 3))
    refused(tmp_path / "a.npz", "holds images in arr_0, arr_1, arr_2, and one array is read")
    np.savez(tmp_path / "a.npz", pixels(4, 5, 6), np.arange(4))
    assert of_path(tmp_path / "a.npz").count == 4
    np.savez(tmp_path / "a.npz", faces=pixels(4, 5, 6))
    refused(tmp_path / "a.npz", "holds faces; save the samples as `images` in it")


def zipped(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (npy((2**40, 64, 64), content=bytes(99)), "says it has [1099511627776, 64, 64] of uint8"),
        (npy((4, 8, 8), content=bytes(4 * 64 - 1)), "but 255 are there"),
        (npy((4, 8, 8), content=bytes(4 * 64 + 1)), "but 257 are there"),
        (npy((-4, 8, 8), content=bytes(4 * 64)), "says it has [-4, 8, 8]"),
        (npy((1, 2**14, 2**14), content=bytes(2**28)), "is its first axis the images?"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99), "cannot read"),
        (b"\x93NUMPY\x01\x00\x04\x00abc\n", "cannot read"),
        (b"\x93NUMPY\x01\x00\x0b\x00{'shape': (\n", "cannot read"),  # a TokenError of Python's own
        (b"\x93NUMPY\x09\x00\x04\x00abc\n", "is no array of numpy's"),
        (b"no array", "is no array of numpy's"),
        (npy((4, 8, 8), dtype="|O", content=bytes(99)), "holds Python objects, not numbers"),
    ],
)  # fmt: skip
def test_headers_that_lie(tmp_path, suffix, content, sentence):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        zipped(path, [("images.npy", content)])
    else:
        path.write_bytes(content)
    tracemalloc.start()
    refused(path, sentence)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_that_swell_are_not_unpacked(tmp_path, kind):
    path = zipped(tmp_path / "a.npz", [("images.npy", npy((2**14, 64, 64), content=bytes(2**26)))], kind)
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    refused(path, "is not packed as numpy.savez_compressed does")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"no zip file", b"\x93NUMPY", b"PK\x03\x04"])
def test_an_npz_that_is_none(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", "cannot read")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS")],
)
def test_files_that_are_not_there_yet(tmp_path, suffix, content, sentence):
    (tmp_path / f"a{suffix}").write_bytes(content)
    refused(tmp_path / f"a{suffix}", sentence)


def test_damage_within_the_pixels_is_found(tmp_path):
    images = pixels(60, 8, 8)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", images=images)
        content = bytearray((tmp_path / "a.npz").read_bytes())
        content[1000:1010] = bytes(10)
        (tmp_path / "a.npz").write_bytes(content)
        refused(tmp_path / "a.npz", "cannot read")


def test_members_that_are_twice_there(tmp_path):
    content = io.BytesIO()
    np.save(content, pixels(4, 5, 6))
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(tmp_path / "a.npz", [("images.npy", content.getvalue())] * 2)
    refused(tmp_path / "a.npz", "holds images twice")


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz"])
def test_nothing_there(tmp_path, name):
    refused(tmp_path / name, "there are no samples at")
    (tmp_path / name).symlink_to("gone")
    refused(tmp_path / name, "is a link to nothing (gone)")


def test_neither_a_folder_nor_an_array(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    refused(tmp_path / "a.txt", "is neither a folder of images nor an .npz or .npy file")


def test_capitals_in_a_suffix(tmp_path):
    np.save(tmp_path / "a.npy", pixels(4, 5, 6))
    os.rename(tmp_path / "a.npy", tmp_path / "a.NPY")
    assert of_path(tmp_path / "a.NPY").count == 4
