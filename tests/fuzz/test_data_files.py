"""Arrays, pictures and the files of known data sets: whatever they hold, they are read or refused."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zlib

import numpy as np
from attack import attack
from damage import TEXTS, damaged, npy_files, npz_files, zipped
from files_of_images import idx, npy, pixels, png, tiff
from hypothesis import strategies as st
from PIL import Image

from equibench.data import own, readers
from equibench.data.parts import surveyed
from equibench.data.source import of_path

NAMES = ("samples", "images", "arr_0", "x", "train", "test", "val", "train_labels", "test_labels", "labels")


def as_file(name):
    def write(content, folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def read_images(path):
    """As `measure` and `run` do, to the last pixel."""
    surveyed(str(path), of_path(path), grey_alike=True)
    own.split(path, own.own_images(path))


FLAGGED = npy((True, 8), "<f4", bytes(32))  # a size that Python counts as 1
SPLITS = [(f"{name}.npy", npy((4, 8, 8), content=bytes(range(256)))) for name in ("train", "test")]
UNLABELLED = zipped([*SPLITS, ("train_labels.npy", npy((0, 2**70)))])  # nothing, and too large for any array
FLAGS = zipped([*SPLITS, ("train_labels.npy", npy((True, 4), content=bytes(4)))])


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@attack(
    st.one_of(npy_files(), damaged(saved(pixels(4, 8, 8, 3)))),
    as_file("images.npy"),
    few=25,
    many=625,
    found=[FLAGGED],
)
def test_npy(path):
    read_images(path)


@attack(npz_files(NAMES), as_file("images.npz"), few=25, many=625, found=[UNLABELLED, FLAGS])
def test_npz(path):
    read_images(path)


def encoded(kind, array, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


PIXELS = pixels(1, 9, 11, 3)[0]
PICTURES = {
    ".png": encoded("PNG", PIXELS), ".jpg": encoded("JPEG", PIXELS), ".bmp": encoded("BMP", PIXELS[..., 0]),
    ".webp": encoded("WEBP", PIXELS), ".tif": encoded("TIFF", PIXELS, compression="tiff_lzw"),
}  # fmt: skip
SIDES = st.sampled_from([0, 1, 8, 9, 2**13, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1])
CHUNKS = st.lists(
    st.tuples(
        st.sampled_from([b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"tEXt", b"zTXt", b"eXIf", b"acTL", b"IHDR", b"IEND"]),
        st.binary(max_size=20),
    ),
    max_size=3,
)


def sized(content, width, height):
    """A PNG that says another size, under a sum that holds."""
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


pngs = st.builds(
    sized,
    st.builds(
        png, st.binary(min_size=8, max_size=300), st.just(8), st.just(8), st.sampled_from([1, 2, 4, 8, 16]),
        st.integers(0, 7), CHUNKS,
    ),
    st.just(8) | SIDES, st.just(8) | SIDES,
)  # fmt: skip
tiffs = st.builds(
    tiff, st.binary(max_size=300), SIDES, SIDES, st.lists(st.sampled_from([1, 8, 16, 32]), min_size=1, max_size=5),
    st.integers(0, 9), st.sampled_from([1, 5, 7, 8, 32773, 50001]),
    st.lists(st.tuples(st.sampled_from([274, 317, 338, 339, 322, 323, 330]), st.integers(0, 2**16)), max_size=3),
)  # fmt: skip


@st.composite
def pictures(draw):
    """A suffix, and the bytes of a picture that may be of another kind."""
    suffix = draw(st.sampled_from(sorted(PICTURES)))
    content = draw(st.one_of(damaged(PICTURES[suffix]), damaged(PICTURES[suffix]), pngs, tiffs))
    return suffix, content


def write_picture(found, folder):
    (folder / f"a{found[0]}").write_bytes(found[1])
    return folder


@attack(pictures(), write_picture, few=25, many=750)
def test_pictures(folder):
    read_images(folder)


@st.composite
def idx_files(draw):
    """Whether it is packed, and its bytes."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 8, 28, 2**16, 2**31, 2**32 - 1]), min_size=1, max_size=4))
    said = struct.pack(f">HBB{len(sizes)}I", draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([8, 8, 9, 13])),
                       draw(st.sampled_from([3, 3, 1, 255])), *sizes)  # fmt: skip
    content = draw(st.one_of(damaged(idx(pixels(3, 8, 8)), 0), st.binary(max_size=200).map(said.__add__)))
    packed = draw(st.booleans())
    if packed:
        content = gzip.compress(content, mtime=0)
        content = draw(damaged(content)) if draw(st.booleans()) else content
    return packed, content


def write_idx(found, folder):
    return as_file("train-images-idx3-ubyte" + ".gz" * found[0])(found[1], folder)


@attack(idx_files(), write_idx, few=25, many=500)
def test_idx(path):
    readers.idx(path, 3)


BATCH = {b"data": pixels(2, 3072), b"labels": [1, 2], b"batch_label": b"x", b"filenames": [b"a", b"b"]}
odd_parts = st.one_of(
    st.sampled_from([pixels(2, 3072), pixels(2, 3072).astype(float), pixels(0, 3072), pixels(1), np.zeros((), "u1")]),
    st.sampled_from([np.asfortranarray(pixels(2, 3072)), pixels(2, 3072)[:, ::2], np.array([2**64 - 1, 0], "u8")]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=9) | st.sampled_from(TEXTS),
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
        max_leaves=5,
    ),
)


@st.composite
def cifar_files(draw):
    protocol = draw(st.integers(0, 5))
    keys = draw(st.sampled_from([(b"data",), (b"labels",), (b"data", b"labels"), ()]))
    made = pickle.dumps({**BATCH, **{key: draw(odd_parts) for key in keys}}, protocol=protocol)
    return draw(damaged(made)) if draw(st.booleans()) or not keys else made


@attack(cifar_files(), as_file("data_batch_1"), few=25, many=500)
def test_cifar(path):
    readers.cifar_batch(path)
