"""Sampling speed: batch sizes, latency, modes and FLOPs."""

from __future__ import annotations

import contextlib
import os
import statistics
from functools import partial

import numpy as np
import pytest
import torch
from fixtures import make

from equibench.machine import clock, processes
from equibench.measure.cost import modes, speed
from equibench.measure.cost import speed as cost
from equibench.measure.cost.in_mode import mode_speed
from equibench.measuring import Measuring
from equibench.record.cost import ModeSpeed, SpeedPoint
from equibench.record.schema import USUAL
from equibench.run.sweep import Sweep
from equibench_models import FAMILIES
from equibench_models import family as load_family
from equibench_models.contract import Options

CPU = torch.device("cpu")


SHAPE = (1, 8, 8)


def tiny(family):
    torch.manual_seed(0)
    return load_family(family).build({"width": 8}, SHAPE)


class Timed:
    """Stands for a model and for the clock: a batch of n takes `sec[n]`, and what does not fit raises."""

    class options_type(Options):
        steps: int = 2

    samplers = {"2 steps": {"steps": 2}, "3 steps": {"steps": 3}, "9 steps": {"steps": 9}}
    ways = ()

    def __init__(self, sec, error=None):
        self.sec, self.error, self.now, self.asked = sec, error, 0.0, []

    def sample(self, n, generator, *, batch_size=250, steps=2):  # noqa: ARG002
        assert batch_size == n
        self.asked.append(n)
        if n not in self.sec:
            raise self.error
        self.now += self.sec[n] * steps
        return torch.zeros(n, *SHAPE, dtype=torch.uint8)

    def network_evaluations(self, steps=2):
        return steps


@pytest.fixture
def timed(monkeypatch):
    """Makes a model whose time is the only time that passes."""

    def start(sec, error=None):
        model = Timed(sec, error)
        timing = lambda *args, **kwargs: clock.repeat(*args, now=lambda: model.now, **kwargs)  # noqa: E731
        monkeypatch.setattr(speed, "repeat", timing)
        return model

    return start


def speed_of(model, sizes, **changes):
    limits = {"limit_sec": 100.0, "latency_limit_sec": 10.0} | changes
    return cost.sampling_speed(model, {}, CPU, batch_sizes=sizes, **limits)


def test_the_best_batch_size_is_the_headline(timed):
    found = speed_of(timed({1: 0.05, 4: 0.1, 16: 0.2, 64: 1.6}), [64, 4, 16])
    assert [(p.batch_size, p.images_per_sec) for p in found.sweep] == [
        (4, pytest.approx(20)),
        (16, pytest.approx(40)),
        (64, pytest.approx(20)),
    ]
    assert (found.batch_size, found.images_per_sec) == (16, pytest.approx(40))
    assert found.repeats_sec == found.sweep[1].repeats_sec
    assert found.latency_p50_sec == pytest.approx(0.1)
    assert len(found.latency_repeats_sec) == 100  # 10 s of 0.1 s each
    assert found.other_modes == []


def test_latency_has_a_hundred_repeats_or_its_time(timed):
    assert len(speed_of(timed({1: 0.001, 4: 1.0}), [4]).latency_repeats_sec) == 100
    slow = speed_of(timed({1: 0.5, 4: 1.0}), [4]).latency_repeats_sec
    assert len(slow) == 10  # of a second each
    assert sum(slow) >= 10


def test_percentiles():
    assert cost.p90([float(i) for i in range(100, 0, -1)]) == 91.0


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 TB")]
)
def test_a_batch_that_does_not_fit_is_a_reason(timed, error):
    model = timed({1: 0.1, 4: 0.2, 8: 0.2}, error)
    found = speed_of(model, [4, 8, 16, 32])
    assert found.sweep[-1] == SpeedPoint(batch_size=16, reason="out of memory")
    assert 32 not in model.asked
    assert found.batch_size == 8


def test_other_failures_of_a_sampler_are_not_hidden(timed):
    with pytest.raises(RuntimeError, match="shapes"):
        speed_of(timed({1: 0.1, 4: 0.2}, RuntimeError("shapes differ")), [4, 8])
    with pytest.raises(MemoryError):  # nothing fits
        speed_of(timed({1: 0.1}, MemoryError()), [4, 8])


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_follow_the_network_evaluations(family):
    model = tiny(family)
    found = cost.sampling_speed(model, {}, CPU, batch_sizes=[2], limit_sec=0.001, latency_limit_sec=0.001)
    assert found.flops_per_image > 0
    few = [options for options in model.samplers.values() if model.network_evaluations(**options) <= 25]
    for options in few:
        flops, evaluations = cost.sampling_flops(model, options, CPU), model.network_evaluations(**options)
        assert flops / evaluations == pytest.approx(found.flops_per_image / found.network_evaluations, rel=0.01)
    assert found.energy is not None
    assert found.energy.reason == "no counter was given"


def test_the_sweep_has_one_number_of_samples_and_no_setting_twice(timed):
    model = timed({1: 0.1, 4: 0.4})
    speed = speed_of(model, [4])
    usual = make("diffusion").quality
    asked, blocks = [], []

    @contextlib.contextmanager
    def block(name):
        begun = model.now
        yield
        blocks.append((name, model.now - begun))

    def sampled(n, options, label):
        asked.append((n, options, label))
        return np.zeros((n, 1, 4, 4), np.uint8), np.zeros((n, 3), np.float32)

    def quality_of(features, options, whole):  # noqa: ARG001 (of a callable with names)
        return usual.model_copy(update={"n_samples": len(features), "stderr": 1.0 if whole else None})

    sweep = Sweep(
        model,
        {},
        Measuring(samples=10, sweep_samples=6, sweep_evaluations=5, speed_limit_sec=1.0),
        CPU,
        clock.Clock(),
        sampled=sampled,
        quality_of=quality_of,
        block=block,
    )
    others = [sweep.point(label, options, 6, speed.batch_size) for label, options in sweep.settings()]
    assert [(drawn.way, len(drawn.images)) for drawn in others] == [(None, 6)]
    points = [sweep.headline(np.zeros((10, 3), np.float32), speed), *(drawn.point for drawn in others)]
    # two steps are the default, and nine are more than five evaluations
    assert [point.label for point in points] == [USUAL, "3 steps"]
    assert {point.quality.n_samples for point in points} == {6}
    assert asked == [(6, {"steps": 3}, "3 steps")]
    assert points[1].images_per_sec == pytest.approx(4 / (3 * 0.4))
    assert blocks == [("speed, 3 steps", pytest.approx(3 * 3 * 0.4))]  # a warm-up and two repeats
    # a way that the family is known by has a row of its own: of all samples and with intervals, the speed as it is
    model.ways = ("3 steps",)
    point, way, images = sweep.point("3 steps", {"steps": 3}, 6, 4)
    assert (point.quality.n_samples, way.quality.n_samples, len(images)) == (6, 10, 10)
    assert (point.quality.stderr, way.quality.stderr) == (None, 1.0)
    assert way.images_per_sec == point.images_per_sec


def test_what_is_timed_is_within_its_block(timed):
    """So that the machine is looked at while it counts."""
    model, seen = timed({1: 0.1, 4: 0.4}), {}

    @contextlib.contextmanager
    def block(name):
        begun = model.now
        yield
        seen[name] = model.now - begun

    found = speed_of(model, [1, 4], block=block)
    assert list(seen) == ["speed", "latency"]
    assert seen["speed"] >= sum(sec for point in found.sweep for sec in point.repeats_sec)
    assert seen["latency"] >= sum(found.latency_repeats_sec)


LIMITS = {"limit_sec": 0.01, "latency_limit_sec": 0.01}


def test_other_modes_are_timed_at_the_fastest_batch_size(timed):
    asked = []

    def in_mode(mode, batch_size):
        asked.append((mode, batch_size))
        return ModeSpeed(mode=mode, batch_size=batch_size, reason="not here")

    found = speed_of(timed({1: 0.05, 4: 0.1, 16: 0.2}), [4, 16], other_modes=["compile", "cuda graph"], in_mode=in_mode)
    assert asked == [("compile", 16), ("cuda graph", 16)]
    assert [mode.mode for mode in found.other_modes] == ["compile", "cuda graph"]


def test_a_mode_that_is_not_here_is_a_reason_and_takes_no_process(monkeypatch):
    monkeypatch.setattr(processes, "start", lambda *_: pytest.fail("started"))
    found = mode_speed("cuda graph", "gan", {"width": 8}, SHAPE, {}, CPU, batch_size=2, **LIMITS)
    assert (found.reason, found.images_per_sec) == ("CUDA graphs need a CUDA device", None)
    over = mode_speed("compile", "gan", {"width": 8}, SHAPE, {}, CPU, batch_size=2, **LIMITS, wanted=lambda: False)
    assert over.reason == "stopped"


class Spoiling(load_family("gan")):
    """Its sampler cannot be prepared for: it leaves random numbers and gradients in disorder, then raises or dies."""

    def sample(self, n, generator, *, batch_size=250):  # noqa: ARG002
        torch.set_grad_enabled(False)
        torch.manual_seed(self.config.latent)
        if self.config.latent == 2:
            os._exit(7)
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA_LAUNCH_BLOCKING=1")


@pytest.mark.parametrize(("latent", "reason"), [
    (1, "operation not permitted when stream is capturing"),
    (2, "the process ended without a result, with code 7"),
])  # fmt: skip
def test_what_cannot_be_prepared_is_a_reason_and_harms_nothing_that_comes_after(latent, reason):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    config = {"width": 8, "latent": latent}
    found = mode_speed("compile", "test_speed:Spoiling", config, SHAPE, {}, CPU, batch_size=2, **LIMITS)
    assert found.reason == reason
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()


@pytest.mark.slow
def test_a_compiled_sampler_has_a_speed():
    found = mode_speed("compile", "gan", {"width": 8}, SHAPE, {}, CPU, batch_size=2, **LIMITS)
    assert found.reason is None
    assert found.compile_sec > 0
    assert found.images_per_sec == pytest.approx(2 / statistics.median(found.repeats_sec))
    assert len(found.latency_repeats_sec) >= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own making
@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_samples_are_those_of_eager_mode(family, monkeypatch):
    """Of the family that takes one short pass by generated code, of the others by what is traced and taken apart into
    PyTorch's own operators: the generating takes minutes, and is the same compiler's for all.
    """
    if family != "gan":
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager_decomp_partition"))
    model = tiny(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    options = {"steps": 2} if family == "diffusion" else {}
    eager = model.sample(4, torch.Generator().manual_seed(1), batch_size=4, **options)
    sample, compile_sec = modes.prepare("compile", model, options, CPU, 4, torch.Generator().manual_seed(1))
    compiled = sample()
    assert compile_sec > 0
    assert compiled.dtype == torch.uint8
    assert ((compiled.int() - eager.int()).abs() <= 1).float().mean() > 0.99
    assert torch.equal(model.sample(4, torch.Generator().manual_seed(1), batch_size=4, **options), eager)
