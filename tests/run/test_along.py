"""The stage that measures points of a training, on a cell of a few updates and a feature network of pixels."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from equibench import suite
from equibench.data.parts import drawn_of
from equibench.data.sets import Dataset
from equibench.machine.device import autocast
from equibench.measure.features.own import function
from equibench.run import along, checkpoint
from equibench.run.cell import run_here
from equibench.run.obtain import stream_seed
from equibench.run.plan import plan
from equibench.run.session import Session
from equibench.run.stages import STAGES
from equibench.run.status import POINTS
from equibench.run.train import StoppedError, Watch, train
from equibench.run.unfinished import Unfinished
from equibench.suite import Cell
from equibench_models import family

CPU = torch.device("cpu")
TRAIN, TEST = np.random.default_rng(0).integers(0, 256, (2, 120, 1, 8, 8), dtype=np.uint8)
SETTING = {"points": 2, "samples": 110, "likelihood_images": 30}
OTHERS = {name: lambda work, found: found for name in STAGES if name != "along_training"}
NAMES = ["25 %", "50 %", "100 %"]


def few(images):
    """Features of a test's own: means of a channel's quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(images[:, :1].float(), 2).flatten(1) / 255


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Runs the VAE or GAN of a suite of 4 updates and nothing but the points, or without them; gives the record, its
    arrays and where it lies.
    """
    for name, stage in OTHERS.items():
        monkeypatch.setitem(STAGES, name, stage)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(setting=SETTING, name="vae", out="out"):
        smoke = suite.load("smoke")
        measure = {**smoke.measure.model_dump(), "along": setting, "reference_images": 110}
        (entrant,) = [one for one in smoke.entrant if one.name == name]
        chosen = suite.changed(smoke, measure=measure, train_images=None, test_images=None, entrant=[entrant])
        cell = Cell(chosen, name, 0, chosen.entrant[0], chosen.budget[0])
        here = Session(chosen, Dataset("toys", TRAIN, TEST), CPU, function("test_along:few", CPU), tmp_path / out)
        path, record = run_here(cell, here)
        arrays = path.with_suffix(".npz")
        return record, dict(np.load(arrays)) if arrays.exists() else {}, here, cell

    return run


def by_hand(here, cell, updates):
    """The model after some updates of the same training, without points."""
    planned = plan(cell, here.data.shape)
    torch.manual_seed(stream_seed(0, "init"))
    model = family("vae").build(planned.config, here.data.shape)
    torch.manual_seed(stream_seed(0, "train"))
    asked = iter(range(1, 9))
    watch = Watch(stopping=lambda: next(asked) == updates)
    with pytest.raises(StoppedError):
        train(model, TRAIN, planned.allowance, seed=stream_seed(0, "order"), device=CPU, watch=watch)
    return model


def by_moments(ours, real):
    """Both terms of the Frechet distance of features `[N, d]` (Heusel et al. 2017, eq. 6), by scipy's matrix root."""
    a, b = (np.cov(side.double().numpy(), rowvar=False) for side in (ours, real))
    apart = (ours.double().mean(0) - real.double().mean(0)).square().sum()
    return float(apart), float(np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def test_a_point_is_what_a_training_that_stops_there_samples(measured):
    record, arrays, here, cell = measured()
    assert record.failures == {}
    assert [point.label for point in record.along] == NAMES
    assert [point.updates for point in record.along] == [1, 2, 4]
    for point in record.along:
        model = by_hand(here, cell, point.updates)
        generator = torch.Generator().manual_seed(stream_seed(0, "along"))
        with autocast(CPU):
            drawn = model.sample(110, generator)
        assert (arrays[point.pictures] == drawn[: along.PICTURES].numpy()).all()
        mean, squares = by_moments(few(drawn), few(torch.from_numpy(TEST[drawn_of(TEST, 110)])))
        assert point.quality.value == pytest.approx(mean + squares, rel=1e-3)
        assert point.quality.n_samples == point.quality.n_reference == 110
        assert {one.name for one in point.quality.also} >= {"recall", "KD"}
        assert (point.likelihood.n_images, point.likelihood.passes) == (30, 1)
        assert point.likelihood.stderr_monte_carlo_bits_per_dim > 0
    ends = record.along[-1]
    assert (ends.flops, ends.images, ends.train_sec) == (
        record.spent.flops,
        record.spent.images,
        record.spent.train_sec,
    )
    first = record.along[0]
    assert first.quality.value != ends.quality.value
    assert first.likelihood.bits_per_dim > ends.likelihood.bits_per_dim
    # a part of the clock of its own, which no other holds
    assert record.clock["along training"] > 0
    assert not {"sample", "features", "quality", "likelihood"} & set(record.clock)
    assert not (here.folder(cell) / POINTS).exists()


def test_the_model_s_weights_are_those_of_a_run_without_points(measured):
    with_points, _, here, cell = measured()
    without, arrays, there, other = measured(None)
    assert without.along == []
    assert not [name for name in arrays if name.startswith("along")]
    assert with_points.weights_sha256 == without.weights_sha256
    assert with_points.curve.losses == without.curve.losses
    assert checkpoint.provenance_of(there.path(other).with_suffix(".safetensors")).points == []
    assert len(checkpoint.provenance_of(here.path(cell).with_suffix(".safetensors")).points) == 2


def test_a_family_without_a_likelihood_says_so_at_each_point(measured):
    record, *_ = measured(name="gan")
    assert record.failures == {}
    assert all(point.likelihood.bits_per_dim is None and point.likelihood.reason for point in record.along)
    assert all(point.quality.value is not None for point in record.along)


def test_what_fails_at_one_point_takes_nothing_else_with_it(measured, monkeypatch):
    sound = along.usual

    def broken(work, images, label):
        if "25 %" in label:
            raise RuntimeError("this one broke")
        return sound(work, images, label)

    monkeypatch.setattr(along, "usual", broken)
    record, _, here, cell = measured()
    assert record.failures == {"likelihood at 25 % of the training": "RuntimeError: this one broke"}
    assert record.status == "incomplete"
    assert [point.reason for point in record.along] == ["RuntimeError: this one broke", None, None]
    assert [point.likelihood is None for point in record.along] == [True, False, False]
    assert all(point.quality.value is not None for point in record.along)

    # measured again, without being trained again, it is whole: the points are there still
    monkeypatch.setattr(along, "usual", sound)
    here.path(cell).unlink()
    again, *_ = measured()
    assert again.status == "ok"
    assert [point.reason for point in again.along] == [None, None, None]
    assert again.along[1] == record.along[1]


@pytest.mark.parametrize("incomplete", [True, False])
def test_points_go_with_a_whole_record_and_stay_for_one_that_a_retry_completes(tmp_path, incomplete):
    unfinished = Unfinished(tmp_path / "cell")
    (unfinished.folder / POINTS).mkdir(parents=True)
    for name in ("progress.json", f"{POINTS}/0.5.safetensors"):
        (unfinished.folder / name).touch()
    unfinished.remove(incomplete)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == ({"0.5.safetensors"} if incomplete else set())
    (without := Unfinished(tmp_path / "other")).folder.mkdir()
    without.remove(incomplete)
    assert not without.folder.exists()


def test_points_that_are_gone_are_said_and_fail_nothing(measured):
    first, _, here, cell = measured()
    here.path(cell).unlink()
    shutil.rmtree(here.folder(cell), ignore_errors=True)
    again, *_ = measured()
    assert again.status == "ok"
    assert [bool(point.reason) for point in again.along] == [True, True, False]
    assert "went with a first record" in again.along[0].reason
    assert again.along[0].quality is None
    assert again.along[-1] == first.along[-1]


def test_weights_that_were_loaded_have_no_points(measured, tmp_path):
    _, _, here, cell = measured()
    weights = here.path(cell).with_suffix(".safetensors")
    loaded = Session(here.suite, here.data, CPU, here.extractor, tmp_path / "loaded")
    entrant = cell.entrant.model_copy(update={"load": str(weights), "config": {}})
    _, record = run_here(replace(cell, entrant=entrant), loaded)
    assert record.along == []
    assert record.status == "ok"
