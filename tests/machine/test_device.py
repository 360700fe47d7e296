"""Which device a process works on, and how a GPU that is made up is told to calculate."""

import os

import pytest
import torch

from equibench.errors import UserError
from equibench.machine import device as module
from equibench.machine.device import gpu_like, reset_defaults, resolve_device, work_on
from equibench.machine.numerics import numerics

NAMES = ("NVIDIA A100", "NVIDIA H100", "NVIDIA H100")


@pytest.fixture
def gpus(monkeypatch):
    """Three, of which the first is current; what is set is put back."""
    current = [0]
    cuda, cudnn = torch.cuda, torch.backends.cudnn
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: len(NAMES))
    monkeypatch.setattr(cuda, "current_device", lambda: current[0])
    monkeypatch.setattr(cuda, "get_device_name", lambda index: NAMES[index])
    monkeypatch.setattr(cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(cuda, "set_device", lambda device: current.__setitem__(0, torch.device(device).index))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield current
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32, cudnn.benchmark = True, False
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    monkeypatch.setattr(module, "_current", torch.device("cpu"))


def test_a_device_by_index_becomes_the_current_one(gpus):
    """Graphs and streams are made on the current one, whatever their tensors are on."""
    assert resolve_device("cuda:2") == torch.device("cuda", 2)
    assert gpus == [2]
    assert resolve_device("cuda") == torch.device("cuda")
    assert gpus == [2]
    with pytest.raises(UserError, match="'cuda:3' is not on this machine"):
        resolve_device("cuda:3")
    assert gpus == [2]


@pytest.mark.usefixtures("gpus")
def test_on_a_gpu_float32_is_float32_and_sums_have_one_order_and_the_record_says_so():
    gpu = torch.device("cuda", 1)
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True  # as PyTorch, and as a user may have them
    torch.set_float32_matmul_precision("high")
    before = numerics(gpu)
    assert (before.tf32, before.deterministic, before.matmul_precision) == (True, False, "high")
    work_on(gpu)
    told = numerics(gpu)
    assert (told.tf32, told.deterministic, told.matmul_precision, told.cudnn_benchmark) == (
        False, True, "highest", False,
    )  # fmt: skip
    assert told.environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.usefixtures("gpus")
def test_what_a_user_s_code_changed_on_a_gpu_is_put_back():
    work_on(torch.device("cuda", 1))
    torch.backends.cudnn.allow_tf32 = True
    torch.use_deterministic_algorithms(False)
    reset_defaults()
    assert not torch.backends.cudnn.allow_tf32
    assert torch.are_deterministic_algorithms_enabled()


def test_a_processor_s_arithmetic_is_left_as_it_is():
    cpu = torch.device("cpu")
    before = numerics(cpu)
    work_on(cpu)
    reset_defaults()
    assert numerics(cpu) == before
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("current", "name", "index"), [
    (0, "NVIDIA H100", 1), (2, "NVIDIA H100", 2), (1, "NVIDIA A100", 0), (2, "NVIDIA V100", 2),
])  # fmt: skip
def test_a_record_s_gpu_is_looked_for_by_its_name(gpus, current, name, index):
    gpus[0] = current
    assert gpu_like(name) == torch.device("cuda", index)


def test_without_a_gpu_there_is_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_like("NVIDIA H100") == torch.device("cpu")


def test_apple_s_gpu_is_refused_with_the_reason(monkeypatch):
    """It is there, and says that it is: what it lacks are the numbers that distances are computed in."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match="'mps' has no float64, in which distances and likelihoods are computed"):
        resolve_device("mps")
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("flops_per_sec", "sides"), [(1e12, [512, 1024, 2048]), (1e10, [512, 1024]), (1e9, [512])])
def test_products_that_would_take_minutes_are_left_out(monkeypatch, flops_per_sec, sides):
    """As those in bfloat16 do on a processor without instructions for it."""
    multiplied = []

    def repeat(product, _synchronize, *, warmup, limit_sec, repeats):  # noqa: ARG001
        multiplied.append(len(product.args[0]))
        return [2 * multiplied[-1] ** 3 / flops_per_sec]

    monkeypatch.setattr(module, "repeat", repeat)
    found = module.time_matrix_products(torch.device("cpu"), 1.0)
    assert multiplied == sides == list(found.flops_per_sec)
