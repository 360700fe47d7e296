"""Files of images as other tools write them."""

from __future__ import annotations

import pickle
import struct

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
