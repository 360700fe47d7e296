"""Several feature spaces in one run: each set of samples is drawn once, and what is measured in the first space, its
record and its key are those of a run in that space alone.
"""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
import torch

from equibench import suite
from equibench.cli.options import session_of
from equibench.data import sets
from equibench.errors import UserError
from equibench.hashing import digest
from equibench.measure.features.extractor import FeaturesError
from equibench.measure.features.load import load_extractor, load_more
from equibench.measure.features.own import function
from equibench.measure.features.pixels import pixels
from equibench.record import files as record_files
from equibench.run.cell import run_here
from equibench.run.session import Session
from equibench.run.stages import STAGES
from equibench.suite import cells
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")
NAMES = ["pixels", "test_spaces:corners"]


def blocks(images):
    """Features of a test's own: means of 7x7 blocks of one channel."""
    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)


def corners(images):
    """Features of another: the pixels of a corner."""
    return images[:, 0, ::9, ::9].float().flatten(1) / 255


def asked(more):
    smoke = suite.load("smoke")
    entrants = [one for one in smoke.entrant if one.name == "vae"]
    measure = smoke.measure.model_copy(update={"more_extractors": more, "samples": 250, "reference_images": 250})
    return smoke.model_copy(update={"entrant": entrants, "measure": measure, "train_images": 300, "test_images": 260})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the VAE, or a floor, in the space of `blocks` and in others."""
    loaded = sets.load("fashion-mnist-10k").limited(300, 260)
    kept = {}

    def record(name, more):
        if (name, more) not in kept:
            out = tmp_path_factory.mktemp("out")
            chosen = asked(list(more))
            session = Session(chosen, loaded, CPU, function("test_spaces:blocks", CPU), out, more=load_more(more, CPU))
            (cell,) = (one for one in cells(chosen) if one.name == name)
            with pytest.MonkeyPatch.context() as patched:
                for left_out in ("memory", "bounds", "decoder_likelihood", "speed", "sampler_points", "along_training"):
                    patched.setitem(STAGES, left_out, lambda work, found: found)
                kept[name, more] = *run_here(cell, session), session
        return kept[name, more]

    return record


@pytest.mark.parametrize("name", ["vae", "real data"])
def test_each_space_has_all_metrics_and_the_first_is_as_ever(run, name):
    _, several, _ = run(name, tuple(NAMES))
    _, one, _ = run(name, ())
    assert several.status in ("ok", "budget missed"), several.reason
    assert several.quality.model_dump(exclude={"memorization"}) == one.quality.model_dump(exclude={"memorization"})
    assert [there.name for there in several.spaces] == ["pixels", "test_spaces:corners"]
    for there in several.spaces:
        assert there.quality.features.name == there.name
        assert there.quality.n_samples == several.quality.n_samples
        assert there.quality.value > 0
        assert there.quality.stderr > 0
        assert {metric.name for metric in there.quality.also} >= {"KD", "precision", "recall", "density", "coverage"}
        assert there.quality.options == several.quality.options
    values = [there.quality.value for there in several.spaces]
    assert values[0] != values[1]


def test_it_is_the_number_of_a_run_in_that_space_alone(run):
    _, several, session = run("vae", tuple(NAMES))
    alone = dataclasses.replace(session, extractor=pixels(CPU), more=(), suite=asked([]), out=session.out / "alone")
    (cell,) = (one for one in cells(alone.suite) if one.name == "vae")
    weights = next(session.out.glob("*.safetensors"))
    alone.out.mkdir()
    alone.path(cell).with_suffix(".safetensors").write_bytes(weights.read_bytes())
    with pytest.MonkeyPatch.context() as patched:
        for name in set(STAGES) - {"quality"}:
            patched.setitem(STAGES, name, lambda work, found: found)
        _, there = run_here(cell, alone)
    assert several.spaces[0].quality == there.quality


def test_samples_are_drawn_once(run, monkeypatch, tmp_path):
    _, _, session = run("vae", tuple(NAMES))
    drawn = []
    sample = VAE.sample
    monkeypatch.setattr(
        VAE, "sample", lambda self, n, *rest, **named: drawn.append(n) or sample(self, n, *rest, **named)
    )
    for name in set(STAGES) - {"quality", "spaces"}:
        monkeypatch.setitem(STAGES, name, lambda work, found: found)
    (cell,) = (one for one in cells(session.suite) if one.name == "vae")
    _, record = run_here(cell, dataclasses.replace(session, out=tmp_path))
    assert (drawn, len(record.spaces)) == ([250], 2)


def test_a_space_that_fails_leaves_the_others(run, tmp_path):
    _, _, session = run("vae", tuple(NAMES))

    def broken(images):
        if len(images) > 4:
            raise FeaturesError("these images are too strange")
        return images.float().flatten(1)[:, :4]

    strange = dataclasses.replace(session.more[0], network=broken, info=session.more[0].info.model_copy(
        update={"name": "strange"}))  # fmt: skip
    here = dataclasses.replace(session, more=(strange, session.more[1]), out=tmp_path)
    (cell,) = (one for one in cells(session.suite) if one.name == "vae")
    with pytest.MonkeyPatch.context() as patched:
        for name in set(STAGES) - {"quality", "spaces"}:
            patched.setitem(STAGES, name, lambda work, found: found)
        _, record = run_here(cell, here)
    assert (record.status, record.failures) == ("incomplete", {"spaces, strange": "these images are too strange"})
    assert [there.name for there in record.spaces] == ["test_spaces:corners"]
    assert record.quality.value is not None


def test_a_record_of_one_space_is_written_under_the_key_and_with_the_fields_of_before(run):
    path, record, session = run("vae", ())
    (cell,) = (one for one in cells(session.suite) if one.name == "vae")
    since = ("more_extractors", "by_class", "probes")
    measure = {key: value for key, value in session.suite.measure.model_dump().items() if key not in since}
    assert record.key == digest({
        "protocol": record.protocol, "name": "vae", "seed": 0, "entrant": cell.entrant.defining,
        "budget": cell.budget.model_dump(), "measure": measure, "data": session.data.sha256,
        "features": session.extractor.info.model_dump(exclude_none=True), "machine": session.machine.key,
        "weights": None,
    })  # fmt: skip
    assert record.measuring_sha256 == digest([measure, cell.entrant.sampler])
    assert "spaces" not in json.loads(path.read_text())
    assert record_files.read(path).spaces == []
    of_several, _, _ = run("vae", tuple(NAMES))
    assert len(json.loads(of_several.read_text())["spaces"]) == 2
    assert of_several.name != path.name


def test_the_extra_spaces_are_in_the_key(run):
    _, _, session = run("vae", tuple(NAMES))
    (cell,) = (one for one in cells(session.suite) if one.name == "vae")
    other = session.more[0].info.model_copy(update={"weights_sha256": "0" * 64})
    changed = dataclasses.replace(session.more[0], info=other)
    assert session.key(cell) != dataclasses.replace(session, more=(changed, session.more[1])).key(cell)


def test_pixels_are_means_of_equal_parts():
    image = np.zeros((2, 1, 16, 32), np.uint8)
    image[0, 0, :2, :4], image[1, 0, 14:, 28:] = 255, 102
    found = load_extractor("pixels", CPU)(image)
    assert found.shape == (2, 192)
    expected = np.zeros((2, 3, 8, 8), np.float32)
    expected[0, :, 0, 0], expected[1, :, 7, 7] = 1, 0.4
    np.testing.assert_allclose(found.reshape(2, 3, 8, 8), expected, rtol=1e-6)
    colour = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_allclose(load_extractor("pixels", CPU)(colour), colour.reshape(3, -1) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('["pixels", "pixels"]', "each feature space may be there once: 'pixels' is there twice"),
        ('["auto"]', "each feature space may be there once: 'auto' is there twice"),
        ('["efficientnet-lite0"]', "the suite x names the feature space EfficientNet-Lite0 twice here; give each once"),
        ('["pixel"]', "unknown extractor 'pixel'; did you mean 'pixels'"),
        ('["pixels+bf16"]', "pixels are features without a network, which bfloat16 would run; leave \\+bf16 out"),
    ],
)
def test_a_mistake_is_a_sentence_before_anything_is_trained(tmp_path, more, sentence):
    file = tmp_path / "x.toml"
    file.write_text(f'name = "x"\nextends = "smoke"\n[measure]\nmore_extractors = {more}\n')
    options = {"extractor": "efficientnet-lite0", "inception_weights": None, "download": False, "allow_code": False}
    with pytest.raises(UserError, match=sentence):
        session_of(suite.load(str(file)), None, CPU, tmp_path, {**options, "keep": False})


def test_code_of_a_further_space_takes_consent():
    assert suite.code_in(asked(["pixels", "own:features"]), extractor=False) == ["own:features"]


def test_networks_come_anew_in_another_process():
    session = Session(asked(NAMES), None, CPU, pixels(CPU), None, reload=partial(load_extractor, "pixels", CPU),
                      more=load_more(NAMES[1:], CPU), reload_more=partial(load_more, NAMES[1:], CPU))  # fmt: skip
    assert (session.bare.extractor, session.bare.more) == (None, ())
    again = session.bare.equipped()
    assert [one.info for one in (again.extractor, *again.more)] == [session.extractor.info, session.more[0].info]
