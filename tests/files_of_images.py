"""Files of images as other tools write them."""

from __future__ import annotations

import pickle
import struct
import zlib

import numpy as np
from PIL import Image


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


def png(rows, width, height, bit_depth, colour_type, chunks=()):
    """A PNG by the specification; `rows` are its bytes line by line, unfiltered, `chunks` what comes before them."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    stride = len(rows) // height
    lines = b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*one) for one in chunks), chunk(b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def tiff(content, width, height, bits, photometric, compression=1, more=()):
    """A TIFF of one strip by the specification, little-endian; `bits` of each sample; `more` tags as (tag, value)."""
    extra = struct.pack(f"<{len(bits)}H", *bits)
    strip = 8 + len(extra)
    many = len(bits) > 2
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, len(bits), 8 if many else int.from_bytes(extra, "little")),
        (259, 3, 1, compression), (262, 3, 1, photometric), (273, 4, 1, strip), (277, 3, 1, len(bits)),
        (278, 4, 1, height), (279, 4, 1, len(content)), *((tag, 3, 1, value) for tag, value in more),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return (
        b"II*\0" + struct.pack("<I", strip + len(content)) + extra + content
        + struct.pack("<H", len(tags)) + entries + bytes(4)
    )  # fmt: skip


def npy(shape, dtype="|u1", content=b"", fortran=False):
    """An .npy file of whatever its header says."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content
