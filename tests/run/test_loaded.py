"""Entrants that are there already: checkpoints and samples stand beside trained ones, in one suite and one command."""

import dataclasses
import shlex
import sys

import numpy as np
import pytest
import torch
from files_of_images import pixels, write_pngs
from fixtures import equibench
from generators import StyleGenerator, export, save_pipeline, script
from toys import extractor

from equibench import suite
from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.run import checkpoint
from equibench.run.cell import run_here
from equibench.run.content import content_sha256
from equibench.run.loaded import only_loaded, resolved
from equibench.run.session import Session
from equibench.suite import cells, code_in

CPU = torch.device("cpu")
DATA = Dataset("toys", pixels(120, 1, 8, 8), pixels(110, 1, 8, 8, seed=1))
WRITES = """
import sys, numpy
images = numpy.random.default_rng(int(sys.argv[3])).integers(0, 256, (int(sys.argv[2]), 8, 8), "u1")
numpy.save(sys.argv[1] + ".npy", images)
"""
SMALL = {"batch_size": 8, "vector": 8, "prior_hidden": 8, "mixed": 1}


def with_entrants(*entrants, **changes):
    smoke = suite.load("smoke")
    quick = {"bound": [], "annealing": None, "along": None, "out_of_distribution": [], "speed_modes": []}
    return suite.changed(
        smoke,
        train_images=120,
        test_images=110,
        entrant=list(entrants),
        measure={**smoke.measure.model_dump(), **quick, "memorization_images": 60},
        **changes,
    )


def session_of(chosen, out):
    return Session(resolved(chosen, DATA, CPU, allow_code=True), DATA, CPU, extractor(), out, allow_code=True)


def records(session):
    return {cell.name: run_here(cell, session)[1] for cell in session.cells if cell.entrant}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A VAE that was trained for a few updates."""
    folder = tmp_path_factory.mktemp("trained")
    chosen = with_entrants({"name": "vae", "family": "vae", "config": SMALL})
    session = Session(chosen, DATA, CPU, extractor(), folder, stages=frozenset({"quality"}))
    (cell,) = (cell for cell in session.cells if cell.entrant)
    return run_here(cell, session)[0].with_suffix(".safetensors")


def test_a_suite_has_samples_and_a_command_and_a_checkpoint_beside_what_it_trains(weights, tmp_path):
    images = pixels(40, 8, 8, seed=5)
    folder = write_pngs(tmp_path / "pngs", images)
    np.savez(tmp_path / "array.npz", images=images)
    (tmp_path / "write.py").write_text(WRITES)
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(tmp_path / 'write.py'))} {{out}} {{n}} {{seed}}"
    chosen = with_entrants(
        {"name": "trained", "family": "vae", "config": SMALL},
        {"name": "given", "load": str(weights)},
        {"name": "pngs", "load": str(folder)},
        {"name": "array", "load": str(tmp_path / "array.npz")},
        {"name": "command", "command": command},
        seeds=[4, 5],
    )
    session = session_of(chosen, tmp_path / "out")
    once = [cell.name for cell in session.cells if cell.loaded]
    assert once == ["given", "pngs", "array", "command"]
    session = Session(session.suite, DATA, CPU, session.extractor, session.out, stages=frozenset({"quality", "memory"}))
    found = {name: record for name, record in records(session).items() if name != "trained"}
    assert {name: record.status for name, record in found.items()} == dict.fromkeys(found, "ok")
    assert {name: record.budget for name, record in found.items()} == dict.fromkeys(found)
    assert [record.loaded.kind for record in found.values()] == ["checkpoint", "samples", "samples", "command"]
    assert found["given"].loaded.unknown == []
    assert "the cost of training" in found["pngs"].loaded.unknown
    assert (found["pngs"].family, found["pngs"].speed, found["pngs"].memory) == ("samples", None, None)
    assert found["given"].memory is not None
    # the same images give the same number, whatever holds them
    assert found["pngs"].quality.value == found["array"].quality.value
    assert found["pngs"].weights_sha256 == found["array"].weights_sha256 != found["command"].weights_sha256
    assert found["pngs"].key != found["array"].key  # by their names


def test_generators_of_other_tools_get_every_measurement_that_applies(tmp_path):
    network = StyleGenerator().eval()
    script(network, tmp_path / "styles.pt")
    export(network, tmp_path / "styles.pt2", torch.zeros(2, 8))
    declared = {"noise": [8]}
    chosen = with_entrants(
        {"name": "scripted", "load": str(tmp_path / "styles.pt"), "generator": declared},
        {"name": "exported", "load": str(tmp_path / "styles.pt2"), "generator": declared},
        {"name": "brighter", "load": str(tmp_path / "styles.pt"), "generator": {**declared, "low": -2.0}},
    )
    with pytest.raises(UserError, match=r"styles\.pt, a TorchScript file, can run any code"):
        resolved(chosen, DATA, CPU, allow_code=False)
    found = records(session_of(chosen, tmp_path / "out"))
    assert {name: record.status for name, record in found.items()} == dict.fromkeys(found, "ok")
    scripted, exported, brighter = found.values()
    params = sum(one.numel() for one in network.parameters())
    for record, kind in ((scripted, "torchscript"), (exported, "torch.export")):
        assert (record.family, record.loaded.kind, record.loaded.params) == (kind, kind, params)
        assert "the cost of training" in record.loaded.unknown
        assert record.likelihood.bits_per_dim is None
        assert record.speed.images_per_sec > 0
        assert record.speed.network_evaluations == 1
        assert record.memory.sample_peak_bytes > 0
        assert "is not trained here" in record.memory.reason
        assert str(tmp_path) not in record.model_dump_json()
    # multiply-adds, two FLOPs each, of one image: three linear layers and two, convolutions at 4 x 4 and 8 x 8, colour
    expected = 2 * (8 * 16 + 16 * 16 + 2 * 16 * 8 + 9 * 8 * 8 * (16 + 64) + 8 * 64)
    assert scripted.speed.flops_per_image == exported.speed.flops_per_image == expected
    assert scripted.quality.value == pytest.approx(exported.quality.value, rel=0.01)
    assert brighter.quality.value != scripted.quality.value
    assert brighter.key != scripted.key


def test_a_pipeline_of_diffusers_has_quality_against_speed_over_its_schedulers(tmp_path):
    pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
    folder = save_pipeline(tmp_path / "ddpm")
    measure = suite.load("smoke").measure.model_dump() | {"sweep_evaluations": 10, "bound": [], "annealing": None}
    chosen = with_entrants({"name": "p", "load": str(folder), "sampler": {"steps": 10}})
    chosen = suite.changed(chosen, measure={**measure, "along": None, "out_of_distribution": []})
    (record,) = records(session_of(chosen, tmp_path / "out")).values()
    assert record.status == "ok", record.reason
    assert (record.family, record.loaded.kind) == ("diffusers", "diffusers")
    assert record.speed.network_evaluations == 10
    labels = [point.label for point in record.sampler_points]
    assert labels[0] == "headline"
    assert {"DDIM, 10 steps", "EulerDiscrete, 10 steps"} <= set(labels)
    assert not any(label.startswith("Heun") for label in labels)  # its 10 steps take 19 passes
    assert (record.config["scheduler"], record.config["beta_end"]) == ("DDPMScheduler", 0.02)


def test_a_pipeline_that_cannot_be_sampled_is_a_sentence_before_anything_runs(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "model_index.json").write_text("{}")
    chosen = with_entrants({"name": "p", "load": str(tmp_path / "p")})
    with pytest.raises(UserError, match=r"cannot sample the pipeline .*|install it with"):
        resolved(chosen, DATA, CPU, allow_code=False)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"install it with `pip install 'equibench\[diffusers\]'`"):
        resolved(chosen, DATA, CPU, allow_code=False)


@pytest.mark.parametrize("kind", ["torchscript", "torch.export"])
def test_nothing_of_a_generator_is_opened_without_consent(tmp_path, monkeypatch, kind):
    network = StyleGenerator().eval()
    file = tmp_path / "x.npz"  # whatever it is called
    script(network, file) if kind == "torchscript" else export(network, file, torch.zeros(2, 8))
    for module in (torch.jit, torch.export):
        monkeypatch.setattr(module, "load", lambda *_, **__: pytest.fail("it was opened"))
    chosen = with_entrants({"name": "x", "load": str(file), "generator": {"noise": [8]}})
    with pytest.raises(UserError, match="can run any code on this machine; if you trust it, pass --allow-code"):
        resolved(chosen, DATA, CPU, allow_code=False)
    unsaid = with_entrants({"name": "x", "load": str(file)})
    with pytest.raises(UserError, match=r"what noise goes into .* is not known"):
        resolved(unsaid, DATA, CPU, allow_code=True)


def test_a_scheduler_that_its_cell_would_refuse_is_refused_before_a_run(tmp_path):
    pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
    folder = str(save_pipeline(tmp_path / "p"))
    fits = with_entrants({"name": "p", "load": folder, "sampler": {"scheduler": "DDIMScheduler"}})
    assert resolved(fits, DATA, CPU, allow_code=False).entrant[0].family == "diffusers"
    other = with_entrants({"name": "p", "load": folder, "sampler": {"scheduler": "NoScheduler"}})
    with pytest.raises(UserError, match="entrant 'p' cannot be sampled: the scheduler NoScheduler does not fit"):
        resolved(other, DATA, CPU, allow_code=False)


def test_noise_that_is_declared_of_samples_is_refused(tmp_path):
    folder = str(write_pngs(tmp_path / "x", pixels(40, 8, 8)))
    chosen = with_entrants({"name": "x", "load": folder, "generator": {"noise": [8]}})
    with pytest.raises(UserError, match=r"entrant 'x': `generator` says what goes into .* is none; take it away"):
        resolved(chosen, DATA, CPU, allow_code=False)


def test_the_quality_of_samples_is_that_of_the_model_that_drew_them(weights, tmp_path):
    session = session_of(only_loaded(with_entrants({"name": "x", "family": "vae"}), [weights]), tmp_path / "out")
    kept = {}
    sample = type(session.extractor).__call__

    def seen(self, images, *rest):
        kept.setdefault("images", images)
        return sample(self, images, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(session.extractor), "__call__", seen)
        (model,) = records(Session(session.suite, DATA, CPU, session.extractor, session.out)).values()
    np.save(tmp_path / "samples.npy", kept["images"])
    (samples,) = records(session_of(only_loaded(session.suite, [tmp_path / "samples.npy"]), tmp_path / "out")).values()
    assert samples.quality.value == pytest.approx(model.quality.value, rel=1e-9)


def test_a_command_that_fails_is_the_result_of_its_cell_alone(tmp_path):
    failing = f"{shlex.quote(sys.executable)} -c 'import sys; sys.exit(\"no GPU\")' {{out}}"
    np.save(tmp_path / "few.npy", pixels(10, 8, 8))
    few = f"cp {shlex.quote(str(tmp_path / 'few.npy'))} {{out}}.npy"
    chosen = with_entrants({"name": "failing", "command": failing}, {"name": "few", "command": few})
    found = records(session_of(chosen, tmp_path / "out"))
    assert {name: record.status for name, record in found.items()} == dict.fromkeys(found, "crashed")
    assert "the command ended with code 1: no GPU" in found["failing"].reason
    assert "holds 10 images, and 32 samples of every entrant are measured" in found["few"].reason


def test_several_files_of_one_name_are_several_entrants(tmp_path):
    for name in ("a", "b"):
        write_pngs(tmp_path / name / "samples", pixels(40, 8, 8))
    paths = [tmp_path / "a" / "samples", tmp_path / "b" / "samples", tmp_path / "a" / "samples"]
    chosen = only_loaded(suite.load("smoke"), paths)
    assert [entrant.name for entrant in chosen.entrant] == ["samples", "b-samples"]
    assert [entrant.load for entrant in chosen.entrant] == [str(path) for path in paths[:2]]
    assert suite.changed(chosen) == chosen


def test_what_a_record_is_of_is_its_content_and_not_its_place(tmp_path):
    first, second = (write_pngs(tmp_path / name / "x", pixels(40, 8, 8)) for name in ("a", "b"))
    other = write_pngs(tmp_path / "c" / "x", pixels(40, 8, 8, seed=1))
    keys = []
    for path in (first, second, other):
        session = session_of(only_loaded(with_entrants({"name": "v", "family": "vae"}), [path]), tmp_path)
        keys += [session.key(cell) for cell in session.cells if cell.entrant]
    assert keys[0] == keys[1] != keys[2]


def test_a_trained_entrant_has_the_key_that_it_had():
    """Fields of what is loaded are not in it: records from before they were there stay what they are."""
    entrant = with_entrants({"name": "vae", "family": "vae"}).entrant[0]
    assert entrant.defining == {"name": "vae", "family": "vae", "config": {}, "sampler": {}}


@pytest.mark.parametrize(
    ("entrant", "why"),
    [
        ({}, "has nothing to train or to load"),
        ({"load": "x", "command": "y {out}"}, "has both load and command"),
        ({"load": "x", "config": {"width": 8}}, "has no config"),
        ({"family": "samples"}, "give its file as load"),
        ({"command": "y"}, "a command without {out}"),
        ({"command": "y '{out}"}, "a command that no shell could read"),
        ({"family": "vae", "generator": {"noise": [4]}}, "no file of one"),
        ({"load": "x", "generator": {"noise": [4], "low": 1, "high": 0}}, "has to be below high"),
    ],
)
def test_an_entrant_that_makes_no_sense_is_a_sentence(entrant, why):
    with pytest.raises(UserError, match=why):
        suite.changed(suite.load("smoke"), entrant=[{"name": "one", **entrant}])


def test_paths_of_a_suite_are_relative_to_its_file(tmp_path):
    text = (suite.shipped()["smoke"]).read_text() + '\n[[entrant]]\nname = "mine"\nload = "sub/x"\n'
    (tmp_path / "mine.toml").write_text(text)
    assert suite.load(str(tmp_path / "mine.toml")).entrant[-1].load == str(tmp_path / "sub" / "x")


def test_a_command_in_a_suite_needs_consent_before_anything_runs(tmp_path):
    command = f"touch {tmp_path / 'ran'} {{out}}"
    assert code_in(with_entrants({"name": "c", "command": command})) == [f"the command {command!r}"]
    text = (suite.shipped()["smoke"]).read_text() + f'\n[[entrant]]\nname = "mine"\ncommand = "{command}"\n'
    (tmp_path / "mine.toml").write_text(text)
    done = equibench("run", tmp_path / "mine.toml", "--only", "mine", "--device", "cpu", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "can run any code on this machine; if you trust it, pass --allow-code" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_family_that_does_not_fit_the_file_is_said(tmp_path):
    folder = write_pngs(tmp_path / "pngs", pixels(40, 8, 8))
    with pytest.raises(UserError, match=r"is of the family vae, and .* is of samples"):
        resolved(with_entrants({"name": "x", "family": "vae", "load": str(folder)}), DATA, CPU, allow_code=False)


def test_every_loaded_entrant_has_a_cell_once_whatever_the_seeds_and_budgets():
    budgets = [{"params": 1000, "unit": "updates", "amount": amount} for amount in (1, 2)]
    chosen = with_entrants({"name": "x", "load": "x"}, {"name": "v", "family": "vae"}, seeds=[3, 4], budget=budgets)
    assert [(cell.name, cell.seed) for cell in cells(chosen) if cell.entrant] == [
        ("x", 3), ("v", 3), ("v", 3), ("v", 4), ("v", 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (Dataset("wide", pixels(120, 1, 8, 12), pixels(110, 1, 8, 12, seed=1)), "is for images of"),
        (dataclasses.replace(DATA, train_labels=np.arange(120) % 2, test_labels=np.arange(110) % 2), "on 3 classes"),
    ],
)
def test_a_checkpoint_of_other_data_is_said_before_anything_is_trained(tmp_path, weights, data, why):
    if "classes" in why:
        model, provenance = checkpoint.load(weights, CPU)
        config = {**provenance.config, "classes": 3}
        model = type(model).build(config, DATA.shape)
        weights = tmp_path / "told.safetensors"
        checkpoint.save(weights, model, provenance.model_copy(update={"config": config}))
    with pytest.raises(UserError, match=why):
        resolved(with_entrants({"name": "given", "load": str(weights)}), data, CPU, allow_code=False)


def test_samples_have_the_hash_of_their_files_though_grey_ones_were_saved_in_colour(tmp_path):
    folder = write_pngs(tmp_path / "rgb", np.repeat(pixels(40, 8, 8)[..., None], 3, 3))
    session = session_of(with_entrants({"name": "x", "load": str(folder)}), tmp_path / "out")
    (record,) = records(dataclasses.replace(session, stages=frozenset({"quality"}))).values()
    assert record.quality.value is not None
    assert record.weights_sha256 == content_sha256(folder)  # by which `verify --rerun` knows them
