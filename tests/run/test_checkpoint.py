"""Checkpoints from outside: what does not fit, or holds no numbers, is one sentence before anything is built of it."""

import json

import pytest
import torch
from fixtures import equibench
from safetensors.torch import load_file, save_file

from equibench.data import sets
from equibench.errors import UserError
from equibench.record.schema import Curve, Spent
from equibench.run import checkpoint
from equibench.run.loaded import only_loaded, resolved
from equibench.suite import load
from equibench_models import family
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")


class Reads(VAE):
    """A family of a user's own that cannot be built without numbers."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        assert float(torch.ones(2).sum()) == 2


SHAPE = (1, 8, 8)


@pytest.fixture
def file(tmp_path):
    model = family("vae").build({"width": 8}, SHAPE)
    spent = Spent(
        params=1, sampling_params=1, flops=1, flops_per_image=1, images=1, updates=1, train_sec=1
    )  # fmt: skip
    curve = Curve(updates=[1], flops=[1.0], train_sec=[1.0], losses={})
    provenance = checkpoint.Provenance(
        family="vae", config=model.config.model_dump(), shape=SHAPE, data_sha256="0" * 64, spent=spent, curve=curve
    )
    checkpoint.save(tmp_path / "vae.safetensors", model, provenance)
    return tmp_path / "vae.safetensors"


def rewritten(file, change=lambda weights: None, **provenance):
    """The file with other weights, and other words of where they come from."""
    with checkpoint._opened(file) as opened:
        said = json.loads(opened.metadata()[checkpoint.METADATA_KEY])
    weights = load_file(file)
    change(weights)
    for key, value in provenance.items():
        said[key] = {**said[key], **value} if isinstance(value, dict) else value
    save_file(weights, file, {checkpoint.METADATA_KEY: json.dumps(said)})


def first(weights):
    return next(name for name, tensor in weights.items() if tensor.is_floating_point())


CHANGES = {
    "more": (lambda weights: weights.update(more=torch.ones(2)), {}, r"more is F32 \[2\], not in the model"),
    "fewer": (lambda weights: weights.pop(first(weights)), {}, "is missing, not F32"),
    "halves": (lambda weights: weights.update({first(weights): weights[first(weights)].half()}), {}, "is F16"),
    "wide": (lambda _: None, {"config": {"width": 100_000}}, "does not fit"),
    "wider than memory": (lambda _: None, {"config": {"width": 10**9}}, "does not fit"),
    "deep": (lambda _: None, {"config": {"coarse_latents": 10**9}}, "more than 2,000 parts"),
    "large images": (lambda _: None, {"shape": [1, 4_000_000, 4_000_000]}, "does not fit"),
    "no images": (lambda _: None, {"shape": [1, -8, 8]}, "does not fit"),
    "other config": (lambda _: None, {"config": {"depth_": 2}}, "does not fit"),
    "unknown key": (lambda _: None, {"who": 3}, "unknown key 'who'"),
    "unknown family": (lambda _: None, {"family": "os:system"}, "can run any code"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_said_before_it_is_built(file, monkeypatch, name):
    change, provenance, sentence = CHANGES[name]
    rewritten(file, change, **provenance)
    monkeypatch.setattr(checkpoint, "_weights", lambda _: pytest.fail("its weights were read"))
    with pytest.raises(UserError, match=sentence):
        checkpoint.load(file, CPU)


def test_a_family_that_cannot_be_built_without_numbers_is_loaded(file):
    rewritten(file, family="test_checkpoint:Reads")
    model, _ = checkpoint.load(file, CPU, allow_code=True)
    assert type(model).__name__ == "Reads"
    rewritten(file, CHANGES["more"][0])
    with pytest.raises(UserError, match="does not fit this version"):
        checkpoint.load(file, CPU, allow_code=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_before_they_are_measured(file, value):
    def spoil(weights):
        weights[first(weights)].flatten()[0] = value

    rewritten(file, spoil)
    with pytest.raises(UserError, match="holds NaN or infinite weights"):
        resolved(only_loaded(load("smoke"), [file]), sets.load(), CPU, allow_code=False)
    done = equibench("run", "smoke", "--from", file, "--device", "cpu", "--dry-run", cwd=file.parent)
    assert (done.returncode, "holds NaN" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot read the checkpoint"),
        (b"\xff" * 100, "cannot read the checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (None, "cannot read the checkpoint"),
        ("folder", "is no file"),
    ],
)
def test_what_is_no_checkpoint_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "x.safetensors"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    for read in (lambda: checkpoint.load(path, CPU), lambda: checkpoint.sha256(path)):
        with pytest.raises(UserError, match=sentence):
            read()


def test_another_tool_s_file_and_half_of_one_are_said(file):
    whole = file.read_bytes()
    save_file({"x": torch.ones(3)}, file)
    with pytest.raises(UserError, match="was not written by equibench"):
        checkpoint.load(file, CPU)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        checkpoint.load(file, CPU)
