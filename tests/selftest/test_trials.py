"""What is tried on a device, what is said of it, and what is left out; a GPU that is not there is made up."""

import json
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from fixtures import equibench

from equibench.cli.main import cli
from equibench.machine import device as devices
from equibench.machine import energy
from equibench.machine.apart import Answer
from equibench.measure.cost import modes
from equibench.selftest import paths, trials
from equibench.selftest.trials import Trial, attempt_here, tried
from equibench_models import family as load_family

GAN = load_family("gan")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
LEFT_OUT = {
    "gan likelihood", "gan CUDA graph", "vae CUDA graph", "flow CUDA graph", "diffusion CUDA graph", "second device",
    "gan captured updates", "vae captured updates", "flow captured updates", "diffusion captured updates",
}  # fmt: skip


def raising(error):
    def path(*_):
        raise error

    return path


@pytest.fixture
def gpus(monkeypatch):
    """Two, and processes that are asked and not started: who worked on what, with which limit."""
    asked = []

    def apart(work, arguments, device, limit_sec):
        asked.append((str(device), arguments[0].__name__, *arguments[1:]))
        assert work is attempt_here
        assert 0 < limit_sec <= trials.LIMIT_SEC
        return Answer({"remark": "as it should"})

    monkeypatch.setattr(trials, "apart", apart)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(energy, "uuid_of", lambda device: "GPU-made-up")
    monkeypatch.setattr(energy, "open_board", raising(LookupError("NVML does not know the GPU")))
    memory = SimpleNamespace(
        reason=None, train_peak_bytes=2**21, sample_peak_bytes=2**20, quantity="peak allocated on the GPU"
    )
    monkeypatch.setattr(trials.memory, "peak_memory", lambda *arguments, **_: memory)
    return asked


def test_every_path_of_a_gpu_is_tried_in_a_process_of_its_own(gpus):
    found = {one.name: one for one in tried(trials.trials(GPU))}
    assert {name for name, one in found.items() if one.works is None} == {"energy"}
    assert found["energy"].why == "NVML does not know the GPU"
    assert found["second device"].why == "cuda:1: as it should"
    assert found["memory"].why == "peak allocated on the GPU: 2.0 MiB to train, 1.0 MiB to sample"
    for family in ("gan", "vae", "flow", "diffusion"):
        for path in ("update", "sample", "likelihood"):
            assert ("cuda", path, family) in gpus
        assert ("cuda", "in_mode", family, "cuda graph") in gpus
        assert ("cuda", "captured_updates", family) in gpus
    assert {("cuda", "compiled_update", "gan"), ("cuda", "in_mode", "gan", "compile")} <= set(gpus)
    assert ("cuda:1", "second_device", "gan") in gpus
    assert len(gpus) == len(set(gpus)) == len(found) - 2


def test_from_the_second_gpu_on_the_first_is_the_other_one(gpus):
    (last,) = tried([one for one in trials.trials(torch.device("cuda", 1)) if one.name == "second device"])
    assert last.why == "cuda:0: as it should"
    assert gpus == [("cuda:0", "update", "gan")]


def test_where_there_is_one_gpu_the_second_is_left_out(gpus, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    (one,) = tried([one for one in trials.trials(GPU) if one.name == "second device"])
    assert (one.works, one.why) == (None, "there is one GPU")


@pytest.mark.parametrize(("answer", "works", "why"), [
    (Answer(reason="no answer within 3 s"), False, "no answer within 3 s"),
    (Answer({"wrong": "AcceleratorError: an illegal memory access"}), False, "AcceleratorError: an illegal memory"),
    (Answer({"skipped": "torch.compile needs Triton"}), None, "torch.compile needs Triton"),
    (Answer({"remark": "in bfloat16"}), True, "in bfloat16"),
])  # fmt: skip
def test_what_a_process_says_or_does_not_is_what_became_of_it(monkeypatch, answer, works, why):
    monkeypatch.setattr(trials, "apart", lambda *_: answer)
    (found,) = tried([one for one in trials.trials(GPU) if one.name == "vae update"])
    assert found.works is works
    assert found.why.startswith(why)


def test_two_minutes_are_not_passed():
    times = iter([0.0, 0.0, 70.0, 70.0, 130.0, 130.0])
    found = list(tried([Trial(name, lambda left_sec: f"{left_sec:g}") for name in "abc"], now=lambda: next(times)))
    assert [(one.works, one.why) for one in found] == [
        (True, "120"), (True, "50"), (None, "the 120 s of all were over; name it by --only"),
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "said"), [
    (raising(ValueError("no kernel\nat all")), {"wrong": "ValueError: no kernel"}),
    (raising(paths.NotSoError("a loss is nan")), {"wrong": "a loss is nan"}),
    (raising(paths.SkippedError("there is no compiler")), {"skipped": "there is no compiler"}),
    (lambda device: f"on {device}", {"remark": "on cpu"}),
])  # fmt: skip
def test_in_its_process_a_trial_ends_in_words(path, said):
    assert attempt_here(CPU, path) == said


def drawn_anew(self, n, generator):  # noqa: ARG001
    return torch.randint(0, 256, (n, *paths.SHAPE), dtype=torch.uint8)


def black(self, n, generator):  # noqa: ARG001
    return torch.zeros((n, *paths.SHAPE), dtype=torch.uint8)


def rounded(x, weight, convolve=torch.nn.functional.conv2d):
    fewer = (x.bfloat16(), weight.bfloat16()) if x.dtype is torch.float32 else (x, weight)
    return convolve(*fewer)


@pytest.mark.parametrize(("where", "name", "broken", "path", "why"), [
    (GAN, "update", lambda self, *_: {"loss": torch.zeros(())}, "update", "did not change in 3 updates"),
    (GAN, "update", lambda self, *_: {"loss": torch.tensor(torch.nan)}, "update", "loss is nan"),
    (torch, "manual_seed", lambda seed: torch.seed(), "update", "gave other weights"),
    (GAN, "sample", black, "sample", "samples of one batch are equal"),
    (GAN, "sample", drawn_anew, "sample", "the same seed gave other samples"),
    (paths.F, "conv2d", rounded, "float32", "as of TF32 or bfloat16"),
])  # fmt: skip
def test_a_device_that_is_not_as_it_should_be_is_found_out(monkeypatch, where, name, broken, path, why):
    monkeypatch.setattr(where, name, broken)
    said = attempt_here(CPU, getattr(paths, path), *(["gan"] if path != "float32" else []))
    assert why in said["wrong"]


def test_a_likelihood_that_is_another_than_the_processor_s_is_found_out(monkeypatch):
    built = paths.build

    def build(family, device):
        model = built(family, device)
        if not calls:
            nats = model.nats
            model.nats = lambda *arguments: 1.1 * nats(*arguments)
        calls.append(family)
        return model

    calls = []
    monkeypatch.setattr(paths, "build", build)
    with pytest.raises(paths.NotSoError, match="on the processor"):
        paths.likelihood(CPU, "vae")


def test_a_graph_that_draws_no_new_noise_is_found_out(monkeypatch):
    same = torch.randint(0, 256, (paths.TRIED_IMAGES, *paths.SHAPE), dtype=torch.uint8)
    monkeypatch.setattr(modes, "prepare", lambda *_: (lambda: same, 0.1))
    with pytest.raises(paths.NotSoError, match="no new noise was drawn"):
        paths.in_mode(CPU, "gan", "cuda graph")


def test_work_on_a_second_gpu_that_strays_to_the_first_is_found_out(monkeypatch):
    second = torch.device("cuda", 1)
    monkeypatch.setattr(paths, "update", lambda device, family: "in bfloat16")
    monkeypatch.setattr(paths, "synchronizer", lambda device: lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda index: 0)
    assert paths.second_device(second, "gan") == "in bfloat16"
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda index: 512)
    with pytest.raises(paths.NotSoError, match="512 bytes were allocated on cuda:0"):
        paths.second_device(second, "gan")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.raises(paths.NotSoError, match="the current device is cuda:0"):
        paths.second_device(second, "gan")


def test_the_table_and_the_json_say_the_same_and_a_failure_is_exit_code_1(monkeypatch):
    given = [
        Trial("one", lambda left_sec: "fast"), Trial("two", raising(paths.NotSoError("it is slow"))),
        Trial("three", raising(paths.SkippedError("there is none"))),
    ]  # fmt: skip
    monkeypatch.setattr(trials, "trials", lambda device: given)
    shown = CliRunner().invoke(cli, ["selftest", "--device", "cpu"], env={"COLUMNS": "100"})
    assert shown.exit_code == 1
    assert "1 of 3 trials fail on cpu: two." in shown.output
    rows = [[word.strip() for word in row.split("\u2502")[1:4]] for row in shown.output.splitlines() if "\u2502" in row]
    assert rows == [["one", "works", "fast"], ["two", "FAILS", "it is slow"], ["three", "left out", "there is none"]]
    told = CliRunner().invoke(cli, ["selftest", "--device", "cpu", "--json"])
    assert told.exit_code == 1
    assert [(one["name"], one["works"], one["why"]) for one in json.loads(told.stdout)["trials"]] == [
        ("one", True, "fast"), ("two", False, "it is slow"), ("three", None, "there is none"),
    ]  # fmt: skip
    monkeypatch.setattr(trials, "trials", lambda device: given[:1])
    assert CliRunner().invoke(cli, ["selftest", "--device", "cpu"]).exit_code == 0


def test_a_trial_that_is_not_there_is_a_sentence():
    done = equibench("selftest", "--device", "cpu", "--only", "gan updat")
    assert done.returncode == 2
    assert "unknown trial 'gan updat'; did you mean 'gan update'?" in done.stderr


def test_a_processor_passes_a_few_of_them_for_real():
    done = equibench("selftest", "--device", "cpu", "--json", "--only", "float32,gan update")
    assert {one["name"]: one["works"] for one in json.loads(done.stdout)["trials"]} == dict.fromkeys(
        ("float32", "gan update"), True
    )


@pytest.mark.slow
def test_a_processor_passes_all_that_applies():
    done = equibench("selftest", "--device", "cpu", "--json")
    said = json.loads(done.stdout)["trials"]
    assert {one["name"] for one in said if one["works"] is None} - {"energy"} == LEFT_OUT
    assert not [one for one in said if one["works"] is False]
    assert devices.precision(CPU) is devices.native_precision(CPU)
