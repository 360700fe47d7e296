"""A cell is a list of stages: one that fails leaves its part empty with the reason, and the others go on."""

import dataclasses
import sys

import pytest
import torch

from equibench import suite
from equibench.data import sets
from equibench.errors import UserError
from equibench.machine.device import autocast
from equibench.measure.features.extractor import FeaturesError
from equibench.measure.features.own import function
from equibench.measure.features.pixels import pixels
from equibench.measure.likelihood import bounds
from equibench.run import cell, stages
from equibench.run.cell import run_here
from equibench.run.session import Session
from equibench.run.stages import STAGES
from equibench.run.work import Found, Work
from equibench.suite import Cell
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")
# what a stage fills, where that is not a part of its own name; and what starts from it
PARTS = {"memorization": "quality.memorization", "along_training": "along", "numbers_by_class": "by_class"}
FOLLOWING = {
    "quality": {"memorization", "distance_parts", "spaces", "numbers_by_class", "sampler_points"},
    "likelihood": {"bounds"},
    "speed": {"sampler_points"},
}


def blocks(images):
    """Features of a test's own: means of 7x7 blocks of one channel."""
    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    smoke = suite.load("smoke")
    also = {"by_class": {"train_images": 100}, "probes": {"train_images": 100, "test_images": 50}}
    smoke = suite.changed(smoke, measure={**smoke.measure.model_dump(), **also})
    data = sets.load(smoke.dataset).limited(smoke.train_images, smoke.test_images)
    extractor = function("test_stages:blocks", CPU)
    return Session(smoke, data, CPU, extractor, tmp_path_factory.mktemp("out"), more=(pixels(CPU),))


@pytest.fixture
def vae(session, monkeypatch, tmp_path):
    """Runs the smoke suite's VAE, with other stages in place of some of its own."""
    monkeypatch.setitem(STAGES, "memory", lambda work, found: found)  # processes take long
    weights = next(session.out.glob("*.safetensors"), None)  # trained once for all tests

    def run(**others):
        for name, stage in others.items():
            monkeypatch.setitem(STAGES, name, stage)
        (entrant,) = [one for one in session.suite.entrant if one.name == "vae"]
        cell = Cell(session.suite, "vae", 0, entrant, session.suite.budget[0])
        here = Session(session.suite, session.data, CPU, session.extractor, tmp_path, more=session.more)
        there = here.path(cell).with_suffix(".safetensors")
        there.parent.mkdir(exist_ok=True)
        if weights:
            there.write_bytes(weights.read_bytes())
        _, record = run_here(cell, here)
        (session.out / there.name).write_bytes(there.read_bytes())
        return record

    return run


def filled(record, name):
    part = record
    for step in PARTS.get(name, name).replace("out_of_distribution", "out_of_distribution_bits_per_dim").split("."):
        part = part and getattr(part, step)
    return bool(part)


def crash(work, found):  # noqa: ARG001
    raise RuntimeError("the stage broke\nin many words")


def test_all_stages_of_a_sound_cell_fill_their_parts(vae):
    record = vae()
    assert record.status == "ok"
    assert record.failures == {}
    assert [name for name in STAGES if not filled(record, name)] == ["memory"]  # which the fixture leaves out
    blocks = {block.name: block for block in record.timed}
    assert list(blocks)[:3] == ["train", "speed", "latency"]
    settings = [f"speed, {point.label}" for point in record.sampler_points[1:]]
    assert list(blocks)[3:] == settings
    assert all(block.reference.before_sec and block.reference.after_sec for block in record.timed)
    assert all(block.load.others_cpu_share is not None or block.load.reason for block in record.timed)
    assert record.clock["reference workload"] > 0
    assert sum(sec for part, sec in record.clock.items() if part != "wall") == pytest.approx(record.clock["wall"])
    assert record.numerics.threads == torch.get_num_threads()
    assert record.numerics.compilation == "eager"
    assert record.libraries.instructions


@pytest.mark.parametrize("broken", STAGES)
def test_a_stage_that_fails_takes_no_other_with_it(vae, broken):
    record = vae(**{broken: crash})
    failed = {broken} | FOLLOWING.get(broken, set())
    assert record.failures.keys() == failed
    assert record.failures[broken] == "RuntimeError: the stage broke"
    assert [name for name in STAGES if filled(record, name)] == [x for x in STAGES if x not in failed | {"memory"}]
    assert record.status == "incomplete"
    assert f"{broken.replace('_', ' ')}: RuntimeError: the stage broke" in record.reason
    assert record.weights_sha256
    assert record.spent.updates == 4


def test_one_kind_of_image_that_fails_takes_no_other_with_it(vae, monkeypatch):
    sound = bounds.out_of_distribution

    def broken(kind, images, seed):
        if kind == "noise":
            raise RuntimeError("this one broke")
        return sound(kind, images, seed)

    monkeypatch.setattr(bounds, "out_of_distribution", broken)
    record = vae()
    assert record.failures == {"likelihood of noise": "RuntimeError: this one broke"}
    assert record.out_of_distribution_bits_per_dim.keys() == {"inverted", "constant", "shuffled pixels"}


NO_CHANGE = {"temperature": 1.0, "coarse_temperature": 1.0}


def test_one_setting_of_the_sampler_that_fails_takes_no_other_with_it(vae, monkeypatch):
    sound = VAE.sample
    labels = list(VAE.samplers)

    def broken(model, n, generator, **options):
        if all(options.get(name, 1.0) == value for name, value in {**NO_CHANGE, **VAE.samplers[labels[0]]}.items()):
            raise RuntimeError("this one broke")
        return sound(model, n, generator, **options)

    monkeypatch.setattr(VAE, "sample", broken)
    record = vae()
    assert record.failures == {labels[0]: "RuntimeError: this one broke"}
    assert [point.label for point in record.sampler_points] == ["headline", *labels[1:]]


def test_one_bound_that_fails_takes_no_other_with_it(session, monkeypatch, tmp_path):
    sound = bounds.measure

    def broken(model, one, *rest):
        if one.name == "importance weighting":
            raise RuntimeError("this one broke")
        return sound(model, one, *rest)

    monkeypatch.setattr(bounds, "measure", broken)
    monkeypatch.setitem(STAGES, "memory", lambda work, found: found)
    (entrant,) = [one for one in session.suite.entrant if one.name == "flow"]
    here = dataclasses.replace(session, out=tmp_path)
    _, record = run_here(Cell(session.suite, "flow", 0, entrant, session.suite.budget[0]), here)
    assert record.failures == {"importance weighting": "RuntimeError: this one broke"}
    assert [one.name for one in record.bounds] == ["uniform dequantization"]


@pytest.mark.parametrize(
    ("error", "why"),
    [(torch.OutOfMemoryError("CUDA out of memory"), "out of memory: "), (ValueError(), "ValueError: ValueError")],
)
def test_the_kind_of_a_failure_is_in_its_reason(vae, error, why):
    def fail(work, found):  # noqa: ARG001
        raise error

    assert vae(speed=fail).failures["speed"].startswith(why)


def test_a_mistake_of_the_user_s_in_a_stage_ends_the_run(vae):
    def refuse(work, found):  # noqa: ARG001
        raise UserError("the extractor gives other features for images of this size")

    with pytest.raises(UserError, match="other features"):
        vae(speed=refuse)


def test_a_training_that_fails_keeps_its_config(monkeypatch, session):
    def broken(*_args):
        raise RuntimeError("no luck")

    monkeypatch.setattr(cell, "obtain", broken)
    (entrant,) = [one for one in session.suite.entrant if one.name == "vae"]
    _, record = run_here(Cell(session.suite, "vae", 7, entrant, session.suite.budget[0]), session)
    assert (record.status, record.reason) == ("crashed", "RuntimeError: no luck")
    assert record.config["width"] >= 8
    assert record.quality is None


def test_stages_are_named_after_themselves():
    assert all(getattr(stages, name).__name__ == name for name in STAGES)


def test_features_that_are_no_numbers_are_a_failure_of_the_stage(vae):
    """Of a collapsed model's samples, say; other cells go on."""

    def collapsed(work, found):  # noqa: ARG001
        raise FeaturesError("blocks gives features that are NaN or infinite")

    record = vae(quality=collapsed)
    assert record.failures["quality"] == "blocks gives features that are NaN or infinite"
    assert record.likelihood.bits_per_dim > 0


def test_a_family_that_exits_is_a_failure_of_the_stage(vae):
    def leave(work, found):  # noqa: ARG001
        sys.exit(0)

    assert vae(speed=leave).failures["speed"].startswith("SystemExit")


def test_a_budget_missed_and_a_failed_stage_are_both_said(vae, monkeypatch):
    monkeypatch.setattr(cell, "budget_missed", lambda *_: "half was spent")
    assert vae(speed=crash).reason == "half was spent; speed: RuntimeError: the stage broke; " + (
        "sampler points: MissingError: it starts from what an earlier stage did not give"
    )


def test_a_record_that_cannot_be_written_is_one_sentence(vae, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cell.record_files, "write", full)
    with pytest.raises(UserError, match=r"cannot write the record .* \(No space left on device\); make room"):
        vae()


def test_samples_of_the_same_noise_are_those_of_another_seed_s_run(session):
    """The noise is the protocol's, whatever the run's seed; the record says which, and its arrays hold the samples."""
    torch.manual_seed(0)
    model = VAE.build({"width": 8}, session.data.shape)
    found = [
        stages.fixed_noise(Work(session, model, "vae", {}, {}, seed, cell.Clock(), lambda *_: None), Found())
        for seed in (0, 1)
    ]
    kept = found[0].results.fixed_noise
    assert (kept.n, kept.noise_seed) == (16, 5)
    pictures, features = found[0].arrays[kept.pictures], found[0].arrays[kept.features]
    assert (pictures.shape, pictures.dtype) == ((16, 1, 28, 28), "uint8")
    assert (features.shape, features.dtype) == ((16, 16), "float32")
    with autocast(CPU):
        by_hand = model.sample(16, torch.Generator().manual_seed(5)).numpy()
    assert (pictures == by_hand).all()
    assert (found[1].arrays[kept.pictures] == pictures).all()
    none = dataclasses.replace(session, suite=suite.changed(session.suite, measure={"noise_samples": 0}))
    work = Work(none, model, "vae", {}, {}, 0, cell.Clock(), lambda *_: None)
    assert stages.fixed_noise(work, Found()) == Found()
