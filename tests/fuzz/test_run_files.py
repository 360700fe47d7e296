"""What runs keep on disk, checkpoints, and statistics of other tools: taken up, refused, or as good as none."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from attack import attack
from damage import DTYPES, changed, damaged, npy_files, npz_files, zipped
from files_of_images import npy
from fixtures import make
from hypothesis import strategies as st
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from toys import extractor

from equibench.errors import UserError
from equibench.machine.energy import NoCounter
from equibench.measure.quality import imported
from equibench.record.schema import Curve, Results, Spent
from equibench.run import checkpoint, claims
from equibench.run.course import Course
from equibench.run.kept import ABOUT, Keeping
from equibench.run.status import UNFINISHED as CELLS
from equibench.run.status import WANTED, status
from equibench.run.unfinished import Progress, Unfinished
from equibench_models import FAMILIES, family

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
DIGEST_BYTES = 32


def split_tensors(content):
    """The header of a file of safetensors as JSON, and what lies behind it."""
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def with_header(header, rest):
    text = json.dumps(header).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + rest


@functools.cache
def checkpoint_of(name):
    model = family(name).build({"width": 8}, SHAPE)
    spent = Spent(params=1, sampling_params=1, flops=1, flops_per_image=1, images=1, updates=1, train_sec=1)
    curve = Curve(updates=[1], flops=[1.0], train_sec=[1.0], losses={})
    provenance = checkpoint.Provenance(
        family=name, config=model.config.model_dump(), shape=SHAPE, data_sha256="0" * 64, spent=spent, curve=curve
    )
    return serialize(checkpoint._contiguous(model), {checkpoint.METADATA_KEY: provenance.model_dump_json()})


@st.composite
def checkpoints(draw):
    header, rest = split_tensors(checkpoint_of(draw(st.sampled_from(sorted(FAMILIES)))))
    kind = draw(st.sampled_from(["said", "said", "config", "header", "bytes"]))
    if kind == "bytes":
        return draw(damaged(with_header(header, rest)))
    if kind == "header":
        return with_header(draw(changed(header)), rest)
    said = json.loads(header["__metadata__"][checkpoint.METADATA_KEY])
    said = draw(changed(said)) if kind == "said" else {**said, "config": draw(changed(said["config"]))}
    text = json.dumps(said) if isinstance(said, dict) else "null"
    return with_header({**header, "__metadata__": {checkpoint.METADATA_KEY: text}}, rest)


def as_file(name):
    def write(content, folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


@attack(checkpoints(), as_file("vae.safetensors"), few=12, many=250)
def test_checkpoints(path):
    model, _ = checkpoint.load(path, CPU)
    checkpoint.check_finite(model, path)
    checkpoint.sha256(path)


def training():
    """A model and a course, one update far."""
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)
    images = np.zeros((4, *SHAPE), np.uint8)
    model = family("vae").build({"width": 8, "batch_size": 2}, SHAPE)
    course = Course(images, 2, 0, CPU, NoCounter("no counter here"), lambda: 1.0)
    course.curve.add(model.update(course.batches.draw()))
    course.meter.add(2, 1.0)
    return model, course


@functools.cache
def kept_content():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training"
        Keeping(file, "same", 0.0).save(*training(), CPU)
        return file.read_bytes()[:-DIGEST_BYTES]


@st.composite
def kept_trainings(draw):
    """Files of one, damaged under a sum that does not hold, or forged under one that does."""
    content = kept_content()
    kind = draw(st.sampled_from(["bytes", "header", "about", "about", "summed"]))
    if kind == "bytes":
        return draw(damaged(content + hashlib.sha256(content).digest()))
    if kind == "summed":
        content = draw(damaged(content))
    elif kind == "header":
        header, rest = split_tensors(content)
        content = with_header(draw(changed(header)), rest)
    else:
        tensors = deserialize(content)
        about = json.loads(tensors[ABOUT].numpy().tobytes())
        part = draw(st.sampled_from(["course", "model", None]))
        about = {**about, part: draw(changed(about[part]))} if part else draw(changed(about))
        text = json.dumps(about).encode("utf-8", "replace")
        content = serialize({**tensors, ABOUT: torch.frombuffer(bytearray(text), dtype=torch.uint8)})
    return content + hashlib.sha256(content).digest()


@attack(kept_trainings(), as_file("training"), few=12, many=83)
def test_kept_trainings(path):
    """What is not taken up leaves the training as it was."""
    model, course = training()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}, course.state()[1], draws()
    if not Keeping(path, "same", 0.0).load(model, course, CPU):
        assert all(torch.equal(before[0][name], tensor) for name, tensor in model.state_dict().items())
        assert (course.state()[1], draws()) == before[1:]


def draws():
    """The states of the random numbers that all share."""
    return bytes(torch.get_rng_state().numpy()), random.getstate(), str(np.random.get_state())


PROGRESS = Progress(
    identity="same", done=["train", "sample"], clock={"train": 1.0, "other": 2.0}, ended_sec=1.0,
    results=Results(**{name: getattr(make("vae"), name) for name in Results.model_fields}),
).model_dump(mode="json")  # fmt: skip


def archive(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


HELD = archive(images=np.zeros((2, *SHAPE), "u1"), features=np.zeros((2, 6), "f4"))
archives = st.one_of(npz_files(("images", "features", "samples")), damaged(HELD, 0))


@st.composite
def unfinished_cells(draw):
    """The files of a cell that is not finished, by name."""
    text = json.dumps(draw(st.one_of(st.just(PROGRESS), changed(PROGRESS))), default=str).encode("utf-8", "replace")
    text = draw(damaged(text)) if draw(st.integers(0, 4)) == 0 else text
    return {"progress.json": text, "arrays.npz": draw(archives), "samples.npz": draw(archives)}


def write_files(found, folder):
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return folder


WHOLE_CELL = {"progress.json": json.dumps(PROGRESS).encode(), "arrays.npz": archive(a=np.zeros(3)), "samples.npz": HELD}
PACKED = zipped([("a.npy", npy((9,), "<f8", bytes(72)))], zipfile.ZIP_LZMA)
FOUND_CELLS = [
    WHOLE_CELL | {"arrays.npz": PACKED.replace(b"\x5d", b"\xff")},  # LZMAError
    WHOLE_CELL | {"arrays.npz": zipped([("a.npy", npy((2**50,), "<f8"))])},  # MemoryError
    WHOLE_CELL | {"arrays.npz": zipped([("a.npy", npy((9,)).replace(b"}", b"("))])},  # TokenError
    WHOLE_CELL | {"samples.npz": zipped([("images.npy", b"text")])},
    WHOLE_CELL | {"samples.npz": archive(images=np.zeros((2, *SHAPE)))},  # no levels
    WHOLE_CELL | {"samples.npz": archive(features=np.zeros((2, 6), "f4"))},  # of no images
]


@attack(unfinished_cells(), write_files, few=25, many=375, found=FOUND_CELLS)
def test_unfinished_cells(folder):
    """What is taken up is of the kinds that later stages take."""
    _, found = Unfinished(folder).load("same")
    assert found.images is None or (found.images.dtype, found.images.ndim) == (np.uint8, 4)
    assert found.features is None or found.features.shape == (len(found.images), 6)


OWNER = {"machine": claims._machine(), "pid": 2**22 + 1, "started": 1.0, "token": "dead"}
BEAT = {"time": 1.0, "doing": "train", "share": 0.5, "token": "ab"}
WANTS = {"suite": "quick", "cells": [["gan", 0, "gan-s0-1a2b3c4d.json"], ["vae", 1, "vae-s1-1a2b3c4d.json"]]}
NUMBERS = st.sampled_from(["1", "2", "2", "03", "٣", "²", "-1", "x", "", "1" * 200, "9" * 240])


@st.composite
def claimed_cells(draw):
    """The files of a folder that runs write to, by path: who works on a cell, and which were asked for."""

    def text(value):
        made = json.dumps(draw(st.one_of(st.just(value), changed(value))), default=str).encode("utf-8", "replace")
        return draw(st.one_of(st.just(made), st.just(made), damaged(made), st.just(b"[" * 10_000)))

    cell = f"{CELLS}/gan-s0-1a2b3c4d"
    files = {f"{CELLS}/{WANTED}/{i}.json": text(WANTS) for i in range(draw(st.integers(0, 2)))}
    for number in draw(st.lists(NUMBERS, max_size=3)):
        files[f"{cell}/claim-{number}"] = text(OWNER)
        files[f"{cell}/beat-{number}"] = text(BEAT)
    return files


def write_tree(found, folder):
    for name, content in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def wanted(text):
    return {f"{CELLS}/{WANTED}/0.json": text.encode()}


FOUND_CLAIMS = [
    wanted("[" * 100_000),
    wanted('{"cells": [["gan", Infinity, "gan-s0-1a2b3c4d.json"]]}'),
    *(
        wanted(json.dumps({"cells": [["gan", 0, name]]}))
        for name in ("x" * 5000, "", "x" * 300 + "-s0-1a2b3c4d.json", "\0-s0-1a2b3c4d.json")
    ),
    wanted(json.dumps(WANTS)) | {f"{CELLS}/gan-s0-1a2b3c4d/claim-1": b"[" * 100_000},
]


def test_a_whole_cell_is_taken_up(tmp_path):
    progress, found = Unfinished(write_files(WHOLE_CELL, tmp_path)).load("same")
    assert progress.done == ["train", "sample"]
    assert (len(found.images), len(found.features), list(found.arrays)) == (2, 2, ["a"])


def test_status_opens_no_record_of_another_folder(tmp_path):
    (tmp_path / "secret-s0-1a2b3c4d.json").write_text("{}")
    text = json.dumps({"cells": [["gan", 0, "../secret-s0-1a2b3c4d.json"]]})
    with pytest.raises(UserError, match="no run has written"):
        status(write_tree(wanted(text), tmp_path / "results"))


@attack(claimed_cells(), write_tree, few=25, many=375, found=FOUND_CLAIMS)
def test_claims(folder):
    observer = claims.Observer()
    found = claims.last(folder / CELLS / "gan-s0-1a2b3c4d")
    if found:
        observer.is_dead(found)
        found.last_beat()
    status(folder)


MOMENTS = st.sampled_from([(6,), (6,), (6, 6), (6, 6), (1, 6), (400, 6), (2**40, 6), (), (1,), (5, 5), (0, 6)])
SAID = json.dumps({"features": extractor().info.model_dump(), "images_sha256": "0" * 64, "shape": [1, 8, 8]})


@st.composite
def statistics(draw):
    ours = {"mu": np.zeros(6), "sigma": np.eye(6), "n": np.array(400), "equibench": np.array(SAID)}
    kind = draw(st.sampled_from(["odd arrays", "odd values", "provenance", "bytes"]))
    if kind == "odd arrays":
        names = ("mu", "sigma", "mean", "cov", "n", "N", "feats", "features", "equibench", "m", "s")
        return draw(npz_files(names, npy_files(MOMENTS, DTYPES)))
    if kind == "odd values":
        numbers = st.one_of(st.floats(), st.sampled_from([1e308, -1e308, 5e-324, float("nan"), float("inf"), 2.0**63]))
        name = draw(st.sampled_from(["mu", "sigma", "n"]))
        array = np.array(ours[name], draw(st.sampled_from(["f8", "f4", "f8", "c16"])))
        with np.errstate(all="ignore"):
            array.reshape(-1)[draw(st.integers(0, array.size - 1))] = draw(numbers)
        return archive(**{**ours, name: array})
    if kind == "provenance":
        said = json.dumps(draw(changed(json.loads(SAID))), default=str)
        return archive(**{**ours, "equibench": np.array(said)})
    return draw(damaged(archive(**ours)))


TOY = extractor()


@attack(statistics(), as_file("theirs.npz"), few=25, many=500)
def test_statistics(path):
    imported.read(path, TOY)
