"""The rules of docs/protocol.md that no other test holds, or not in full."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from equibench import suite
from equibench.data.parts import drawn_of
from equibench.data.sets import Dataset
from equibench.machine import code, provenance
from equibench.machine.apart import Answer
from equibench.machine.clock import Clock, repeat
from equibench.machine.device import autocast
from equibench.measure.cost import in_mode, memory, modes, speed
from equibench.measure.features.extractor import Extractor
from equibench.measure.likelihood import bounds
from equibench.measure.likelihood.bits import summarize
from equibench.measure.quality import frechet, metrics
from equibench.measure.quality.reference import reference_of_images
from equibench.protocol import PROTOCOL
from equibench.record.schema import Budget, FeatureInfo
from equibench.run import fitting, train
from equibench.run.cell import run_here
from equibench.run.obtain import stream_seed
from equibench.run.session import Session
from equibench.run.stages import Found, Work, likelihood, quality
from equibench.suite import Cell
from equibench_models import family as load_family
from equibench_models.contract import Config

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
SMOKE = suite.load("smoke")


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Data and features of the test's own, small enough for a Frechet distance of the smoke suite's few images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    train_images, test_images = np.random.default_rng(0).integers(0, 256, (2, 120, *SHAPE), dtype=np.uint8)
    return Session(SMOKE, Dataset("toys", train_images // 2, test_images), CPU, toy(dims=4), tmp_path)


def toy(dims):
    def features(images):
        return images.float().flatten(1)[:, :dims] / 255

    return Extractor(
        FeatureInfo(name="toy", weights_sha256="0" * 64, preprocessing="none", dims=dims), "FD", features, CPU
    )


def work_of(session, options):
    torch.manual_seed(0)
    model = load_family("diffusion").build({"width": 8}, SHAPE)
    return Work(session, model, "diffusion", {}, options, 0, Clock(), lambda what, share: None)


# --- budget -----------------------------------------------------------------------------------------------------------


def test_a_single_knob_has_most_factors_of_two(monkeypatch):
    monkeypatch.setattr(fitting, "parameters", lambda family, config, shape: 100 * config["width"])
    family = SimpleNamespace(config_type=Config)
    found = [fitting.turned(family, {}, SHAPE, cap) for cap in (9_900, 9_500, 11_400)]
    assert found == [{"width": 96}, {"width": 92}, {"width": 112}]  # of 95 to 99, of 91 to 95, of 109 to 114


@pytest.mark.parametrize(("unit", "amount"), [("flops", 15), ("images", 24), ("updates", 3), ("sec", 1.0)])
def test_all_units_are_measured(unit, amount):
    now = [0.0]

    def update(images, share):  # noqa: ARG001
        now[0] += 0.3
        return {"loss": torch.ones(())}

    model = SimpleNamespace(update=update, parameters=lambda: iter(()), sampling_parameters=lambda: 0)
    allowance = train.Allowance(Budget(params=1, unit=unit, amount=amount), batch_size=8, flops_per_update=5.0)
    watch = train.Watch(now=lambda: now[0])
    spent, _ = train.train(model, np.zeros((9, *SHAPE), np.uint8), allowance, seed=0, device=CPU, watch=watch)
    assert (spent.flops, spent.images, spent.updates) == (15.0, 24, 3)
    assert spent.train_sec == pytest.approx(0.9)


# --- sample quality ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "reference", "told"), [(61, 61, True), (60, 61, False), (61, 60, False)])
def test_a_distance_needs_more_images_than_dimensions(tmp_path, samples, reference, told):
    extractor = toy(dims=60)
    images = np.random.default_rng(0).integers(0, 256, (122, *SHAPE), dtype=np.uint8)
    against = reference_of_images("test", images[61:][:reference], extractor, tmp_path)
    features = torch.from_numpy(extractor(images[:samples]))
    found = metrics.measure(features, against, extractor, also=True)
    assert (found.value is not None) == told
    assert (found.reason is None) == told
    assert next(one.value for one in found.also if one.name == "KD") is not None


def test_quality_has_the_options_of_its_samples(session):
    work = work_of(session, {"steps": 2})
    found = quality(work, Found())
    assert found.results.quality.options == {"steps": 2}
    assert found.results.quality.n_samples == SMOKE.measure.samples
    with autocast(CPU):
        again = work.model.sample(SMOKE.measure.samples, work.generator("sample"), steps=2)
    np.testing.assert_array_equal(found.images, again.numpy())


# --- likelihood -------------------------------------------------------------------------------------------------------


def test_bits_are_of_the_test_split_and_the_long_chain(session):
    found = [likelihood(work_of(session, {"steps": steps}), Found()).results.likelihood for steps in (1, 10)]
    assert found[0] == found[1]
    assert found[0].detail["chain_steps"] == 1000
    n = SMOKE.measure.likelihood_images
    assert found[0].n_images == n < len(session.data.test)
    generator = torch.Generator().manual_seed(stream_seed(0, "likelihood"))
    nats = bounds.nats(work_of(session, {}).model, session.drawn_test[:n], generator)
    assert found[0].bits_per_dim == summarize(nats, 64)[0]


def test_floors_are_rows_and_real_data_is_one(session):
    _, uniform = run_here(Cell(SMOKE, "uniform", 0), session)
    assert uniform.likelihood.bits_per_dim == pytest.approx(8, abs=1e-12)
    assert (uniform.role, uniform.likelihood.kind) == ("floor", "exact")
    _, real = run_here(Cell(SMOKE, "real data", 0), session)
    train, test = session.data.train, session.data.test
    sides = (
        train[drawn_of(train, SMOKE.measure.samples)],
        test[drawn_of(test, SMOKE.measure.reference_images)],
    )
    moments = [frechet.statistics(torch.from_numpy(session.extractor(side))) for side in sides]
    assert real.quality.value == pytest.approx(frechet.frechet_distance(*moments), rel=1e-9)
    assert real.quality.reference == "test"


# --- cost -------------------------------------------------------------------------------------------------------------


def test_repeats_wait_for_the_device():
    now, queued = [0.0], [0.0]

    def call():
        queued[0] += 2.0

    def synchronize():
        now[0] += queued[0]
        queued[0] = 0.0

    taken = repeat(call, synchronize, warmup=3, repeats=2, limit_sec=100, now=lambda: now[0])
    assert taken == [2.0, 2.0]  # no second of the warm-up's six, and all that each call queued


def test_speed_is_a_median_and_compiling_stands_apart(monkeypatch):
    for module in (speed, in_mode):
        monkeypatch.setattr(module, "repeat", lambda *_args, **_options: [9.0, 1.0, 2.0])
    monkeypatch.setattr(modes, "prepare", lambda *_args: (lambda: None, 5.0))
    model = load_family("gan").build({"width": 8}, SHAPE)
    limits = {"limit_sec": 1.0, "latency_limit_sec": 1.0}
    monkeypatch.setattr(in_mode, "apart", lambda work, given, device, _: Answer(work(device, *given)))
    other = lambda mode, n: in_mode.mode_speed(  # noqa: E731
        mode, "gan", {"width": 8}, SHAPE, {}, CPU, batch_size=n, **limits
    )
    found = speed.sampling_speed(model, {}, CPU, batch_sizes=[4], other_modes=["compile"], in_mode=other, **limits)
    (compiled,) = found.other_modes
    for one in (found, compiled):
        assert one.images_per_sec == 4 / 2
        assert (one.latency_p50_sec, one.latency_p90_sec) == (2.0, 9.0)
        assert one.repeats_sec == one.latency_repeats_sec == [9.0, 1.0, 2.0]
    assert compiled.compile_sec == 5.0 + 5.0  # for a batch, and for one image


@pytest.mark.parametrize(("device", "word"), [("cpu", "live tensors"), ("cuda", "allocated")])
def test_memory_has_a_process_each_and_a_name(monkeypatch, device, word):
    asked = []

    def in_fresh_process(work, before, measured, _device, _limit_sec):
        asked.append((work, before[1]["width"], measured[-1]))
        return memory.Peak(peak_bytes=len(asked))

    monkeypatch.setattr(memory, "in_fresh_process", in_fresh_process)
    sizes = {"train_batch_size": 5, "sample_batch_size": 7}
    found = memory.peak_memory("vae", {"width": 16}, SHAPE, {}, torch.device(device), **sizes)
    assert asked == [(memory._train, 8, 5), (memory._sample, 8, 7)]
    assert (found.train_peak_bytes, found.sample_peak_bytes) == (1, 2)
    assert word in found.quantity


# --- provenance -------------------------------------------------------------------------------------------------------


def test_a_record_says_what_it_was_made_of(session):
    _, record = run_here(Cell(SMOKE, "uniform", 0), session)
    assert (record.protocol, record.seed, record.data.sha256) == (PROTOCOL, 0, session.data.sha256)
    assert record.machine == provenance.describe_machine(CPU)
    assert record.versions == code.package_versions()
    assert "torch" in record.versions
    assert record.code.commit == code.code_version().commit


def test_the_code_s_commit_and_whether_it_was_changed(tmp_path, monkeypatch):
    here = tmp_path / "bench" / "machine" / "code.py"
    here.parent.mkdir(parents=True)
    here.write_text("")
    monkeypatch.setattr(code, "__file__", str(here))
    assert (code.code_version().commit, code.code_version().dirty) == (None, None)

    def git(*arguments):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = code.code_version()
    assert (clean.commit, clean.dirty) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "notes.txt").write_text("no code")
    assert code.code_version().dirty is False
    here.write_text("changed")
    assert code.code_version().dirty is True
