"""Kinds of files are told by their content, whatever they are called, and nothing in them runs."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from files_of_images import pixels, write_pngs

from equibench.errors import UserError
from equibench.outside.kind import kind_of


class Marker:
    """Writes a file as it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_samples_are_folders_and_arrays(tmp_path):
    np.save(tmp_path / "a", pixels(2, 8, 8))
    np.savez(tmp_path / "b", images=pixels(2, 8, 8))
    (tmp_path / "a.npy").rename(tmp_path / "a.safetensors")
    (tmp_path / "b.npz").rename(tmp_path / "b.pt")
    for path in (tmp_path / "a.safetensors", tmp_path / "b.pt", write_pngs(tmp_path / "c", pixels(2, 8, 8))):
        assert kind_of(path) == "samples"


def test_a_folder_with_the_index_of_a_pipeline_is_one(tmp_path):
    write_pngs(tmp_path, pixels(2, 8, 8))
    (tmp_path / "model_index.json").write_text("{}")
    assert kind_of(tmp_path) == "diffusers"


def test_what_is_nothing_else_is_for_the_reader_of_checkpoints(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"\x08" + b"\0" * 20)
    assert kind_of(tmp_path / "x.npz") == "checkpoint"


def test_a_pickle_is_refused_and_nothing_in_it_runs(tmp_path):
    torch.save(Marker(tmp_path / "ran"), tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"holds pickled values of torch\.save; give a checkpoint"):
        kind_of(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Marker(tmp_path / "ran")))
    assert kind_of(tmp_path / "y.npz") == "checkpoint"
    assert not (tmp_path / "ran").exists()


def test_nothing_and_another_archive_are_said(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*absent \(No such file"):
        kind_of(tmp_path / "absent")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(UserError, match="an archive of something else"):
        kind_of(tmp_path / "x.zip")
