"""Cost: what is timed, batch sizes and modes, memory of known allocations, energy counters, the front."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import make

from equibench.machine import clock, energy
from equibench.measure.cost import memory, modes
from equibench.measure.cost import speed as cost
from equibench.record import schema as record
from equibench.record.schema import USUAL, Energy, SpeedPoint
from equibench.report.tables import audit as per_cell
from equibench.report.tables import cost as cost_tables
from equibench.report.tables import headline as tables
from equibench.run import sweep
from equibench.suite import Measure
from equibench.summary.sections import Cell
from equibench.summary.sort import summarise
from equibench_models import FAMILIES

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
MIB = 2**20


def tiny(family):
    torch.manual_seed(0)
    return FAMILIES[family].build({"width": 8}, SHAPE)


class Timed:
    """Stands for a model and for the clock: a batch of n takes `sec[n]`, and what does not fit raises."""

    samplers = {"2 steps": {"steps": 2}, "3 steps": {"steps": 3}, "9 steps": {"steps": 9}}

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
        monkeypatch.setattr(cost, "repeat", timing)
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
    assert cost._p90([float(i) for i in range(100, 0, -1)]) == 91.0


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
    asked = []

    def features_of(n, options, label):
        asked.append((n, options, label))
        return np.zeros((n, 3), np.float32)

    points = sweep.sampler_points(
        model,
        {},
        Measure(sweep_samples=6, sweep_evaluations=5, speed_limit_sec=1.0),
        CPU,
        clock.Clock(),
        headline=(np.zeros((10, 3), np.float32), speed),
        features_of=features_of,
        quality_of=lambda features, options: usual.model_copy(update={"n_samples": len(features)}),
    )
    # two steps are the default, and nine are more than five evaluations
    assert [point.label for point in points] == [USUAL, "3 steps"]
    assert {point.quality.n_samples for point in points} == {6}
    assert asked == [(6, {"steps": 3}, "3 steps")]
    assert points[1].images_per_sec == pytest.approx(4 / (3 * 0.4))


# --- modes -----------------------------------------------------------------------------------------------------------


def test_a_mode_that_is_not_here_is_a_reason():
    found = cost.sampling_speed(
        tiny("gan"), {}, CPU, batch_sizes=[2], limit_sec=0.01, latency_limit_sec=0.01, other_modes=["cuda graph"]
    )
    (mode,) = found.other_modes
    assert (mode.mode, mode.reason, mode.images_per_sec) == ("cuda graph", "CUDA graphs need a CUDA device", None)


def test_a_failed_compilation_is_a_reason(monkeypatch):
    def fail(*args, **options):  # noqa: ARG001
        raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no C++ compiler\nis here"), None)

    monkeypatch.setattr(torch, "compile", fail)
    model = tiny("gan")
    found = cost.sampling_speed(
        model, {}, CPU, batch_sizes=[2], limit_sec=0.01, latency_limit_sec=0.01, other_modes=["compile"]
    )
    assert found.images_per_sec > 0
    assert "\n" not in found.other_modes[0].reason


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own making
@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_samples_are_those_of_eager_mode(family):
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


# --- memory ----------------------------------------------------------------------------------------------------------


def hold(device, blocks, mib):
    """Work that holds so many blocks at once and gives them back."""
    held = [torch.ones(int(mib * MIB), dtype=torch.uint8, device=device) for _ in range(blocks)]
    assert len(held) == blocks


@pytest.mark.parametrize(
    ("before", "blocks", "mib"),
    [((1, 1.0), 1, 200.0), ((1, 600.0), 2000, 0.06), ((9000, 0.06), 1, 200.0), ((9000, 0.06), 2000, 0.06)],
    ids=["large alone", "small after large", "large after small", "small after small"],
)
def test_a_known_allocation_is_right_within_five_percent(before, blocks, mib):
    polluted = torch.ones(400 * MIB, dtype=torch.uint8)  # in this process: no child of it may see that
    del polluted
    found = memory.in_fresh_process(hold, before, (blocks, mib), CPU)
    assert found.reason is None
    assert found.peak_bytes == pytest.approx(blocks * mib * MIB, rel=0.05)


def run_out(device, fails):  # noqa: ARG001
    if fails:
        raise MemoryError


def test_running_out_of_memory_is_a_reason():
    assert memory.in_fresh_process(run_out, (False,), (True,), CPU).reason == "out of memory"


# --- energy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def powercap(tmp_path):
    """Two packages, and a part of one, as Linux shows them."""
    for zone, name, micro in (("0", "package-0", 100), ("1", "package-1", 900), ("0:0", "core", 50), ("2", "psys", 7)):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{micro * 10**6}\n")
        (folder / "max_energy_range_uj").write_text(f"{1000 * 10**6}\n")
    return tmp_path


def test_rapl_sums_packages_and_counts_on_when_they_wrap(powercap):
    counter = energy.counter(CPU, powercap)
    assert counter.quantity == "processor packages (RAPL)"
    with energy.used(counter) as spent:
        (powercap / "intel-rapl:0" / "energy_uj").write_text("130000000")
        (powercap / "intel-rapl:0:0" / "energy_uj").write_text("999000000")
        (powercap / "intel-rapl:1" / "energy_uj").write_text("50000000")  # past 1000 J, and 50 more
    assert spent.energy(20) == Energy(joules=30 + 150, quantity=counter.quantity, images=20)
    (powercap / "intel-rapl:1" / "energy_uj").write_text("0")  # again
    assert counter.joules() == 180 + 950


def test_a_machine_without_counters_says_so(tmp_path, powercap):
    assert "no energy counter" in energy.counter(CPU, tmp_path / "nothing")
    (powercap / "intel-rapl:0" / "energy_uj").write_text("")
    assert "cannot be read" in energy.counter(CPU, powercap)
    with energy.used("there is none") as spent:
        pass
    assert spent.energy(3) == Energy(reason="there is none")


def fake_nvml(millijoules, error=None):
    """A stand-in for pynvml with one device."""
    nvml = types.ModuleType("pynvml")
    nvml.NVMLError = type("NVMLError", (Exception,), {})
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByUUID = lambda uuid: {"GPU-1": "handle"}[uuid]

    def count(handle):
        assert handle == "handle"
        if error:
            raise nvml.NVMLError(error)
        return next(millijoules)

    nvml.nvmlDeviceGetTotalEnergyConsumption = count
    return nvml


def test_nvml_counts_millijoules_of_the_whole_board(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(iter([500, 1_000, 251_000])))
    with energy.used(energy._nvml("GPU-1")) as spent:
        pass
    assert spent.energy(10) == Energy(joules=250.0, quantity="GPU (NVML)", images=10)
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(iter([]), "Not Supported"))
    assert "Not Supported" in energy._nvml("GPU-1")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install" in energy._nvml("GPU-1")


# --- tables ----------------------------------------------------------------------------------------------------------


def section_of(*records):
    (section,) = summarise([Cell(Path(one.key), one) for one in records])
    return section


def column(table, name):
    return [line.entries[table.names.index(name)] for line in table.lines]


def test_training_is_set_against_matrix_products():
    spent = make("vae").spent.model_copy(
        update={
            "flops": 6e12,
            "images": 3000,
            "train_sec": 60.0,
            "parts_sec": {"data": 6.0, "update": 53.0, "other": 1.0, "measurement": 2.0},
            "energy": Energy(joules=900.0, quantity="processor packages (RAPL)", images=3000),
        }
    )
    products = record.MatrixProducts(precision="float32", flops_per_sec={512: 1e11, 1024: 2.5e11, 2048: 2e11})
    one = make("vae", spent=spent, matrix_products=products, clock={"train": 62.0, "write": 2.0, "wall": 64.0})
    table = cost_tables.training(section_of(one, make("gan")))
    first = {name: found[-1] for name in table.names if (found := column(table, name))}
    assert first["utilization"].raw == pytest.approx(0.4)
    assert first["images_per_sec"].raw == 50
    assert first["matrix_flops_per_sec"].detail == "float32, side 1024"
    shares = [first[f"{part}_share"].raw for part in cost_tables.PARTS]
    assert shares == pytest.approx([6 / 64, 53 / 64, 2 / 64, 2 / 64, 1 / 64])
    assert (first["joules"].text, first["joules_per_image"].raw) == ("900", pytest.approx(0.3))
    assert column(table, "joules")[0].text.startswith("not measured")


def test_speed_has_a_line_a_batch_size_and_mode():
    speed = make("gan").speed.model_copy(
        update={
            "batch_size": 64,
            "sweep": [
                SpeedPoint(batch_size=16, repeats_sec=[0.1], images_per_sec=160.0),
                SpeedPoint(batch_size=64, repeats_sec=[0.2, 0.2], images_per_sec=320.0),
                SpeedPoint(batch_size=256, reason="out of memory"),
            ],
            "other_modes": [
                record.ModeSpeed(mode="compile", batch_size=64, compile_sec=9.0, images_per_sec=700.0),
                record.ModeSpeed(mode="cuda graph", batch_size=64, reason="CUDA graphs need a CUDA device"),
            ],
        }
    )
    table = cost_tables.speed(section_of(make("gan", speed=speed)))
    assert [entry.raw for entry in column(table, "images_per_sec")] == [160, 320, None, 700, None]
    assert [entry.strong for entry in column(table, "images_per_sec")] == [False, True, False, False, False]
    assert [entry.raw for entry in column(table, "latency_repeats")] == [None, 5, None, None, None]
    assert {"Out of memory.", "CUDA graphs need a CUDA device."} < set(table.notes)


def test_the_front_is_what_nothing_beats():
    quality = make("diffusion").quality

    def points(*found):
        return [
            record.SamplerPoint(
                label=label,
                options={"label": label},
                quality=quality.model_copy(update={"value": fd, "n_samples": 2000, "options": {"label": label}}),
                images_per_sec=images_per_sec,
                network_evaluations=1,
                flops_per_image=flops,
            )
            for label, fd, images_per_sec, flops in found
        ]

    section = section_of(
        make("gan", sampler_points=points((USUAL, 50.0, 100.0, 10.0))),
        make(
            "diffusion", sampler_points=points((USUAL, 30.0, 5.0, 80.0), ("a", 60.0, 50.0, 5.0), ("b", 30.0, 4.0, 90.0))
        ),
    )
    table = tables.samplers(section)
    named = [
        (entry.text, setting.text)
        for entry, setting in zip(column(table, "entrant"), column(table, "setting"), strict=True)
    ]
    by_time, by_flops = ([e.raw for e in column(table, f"front_by_{x}")] for x in ("time", "flops"))
    swept = [i for i, found in enumerate(by_time) if found is not None]
    assert [named[i] for i in swept] == [
        ("gan", USUAL), ("diffusion", USUAL), ("diffusion", "a"), ("diffusion", "b"),
    ]  # fmt: skip
    assert [by_time[i] for i in swept] == [True, True, False, False]  # "a" is slower and worse than the GAN
    assert [by_flops[i] for i in swept] == [True, True, True, False]  # but takes fewer FLOPs


def test_overhead_is_all_that_is_not_work():
    one = make("gan", clock={"train": 60.0, "sample": 20.0, "start": 5.0, "memory": 15.0, "wall": 100.0})
    sentence = per_cell.overhead(section_of(one))
    assert "20.0 % of 100 s" in sentence
    assert "memory (15.0 s) and start (5.0 s)" in sentence
