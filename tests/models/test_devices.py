"""Every family on a CUDA device that is not there: whatever trains, samples or tells a likelihood stays on it."""

import contextlib

import pytest
import torch
from fake_cuda import (
    CUDA,
    NEEDS_CUDA_BUILD,
    CopyToDeviceError,
    FakeGenerator,
    OnTheDevice,
    bfloat16_autocast,
    moved,
    no_backward,
)
from torch._subclasses.fake_tensor import FakeTensorMode

from equibench_models import FAMILIES
from equibench_models import family as load_family

pytestmark = [
    NEEDS_CUDA_BUILD,
    pytest.mark.filterwarnings("ignore:.*CUDA is not available.*"),
    pytest.mark.filterwarnings("ignore:.*Can't initialize NVML.*"),
]
SHAPE = (1, 8, 8)
FEW_STEPS = 10  # of a sampler; more of the same steps show nothing new


@pytest.fixture(params=FAMILIES)
def model(request, monkeypatch):
    """A family on the device, as it is used there: multiplying in bfloat16, and in a CUDA graph, which lets nothing be
    read on the way.
    """
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    torch.manual_seed(0)
    built = load_family(request.param).build({"width": 8}, SHAPE)
    mode = FakeTensorMode()
    moved(built, mode)
    with mode, no_backward(built, monkeypatch), bfloat16_autocast(), OnTheDevice():
        yield built


def images():
    return torch.empty((16, *SHAPE), dtype=torch.uint8, device=CUDA)


def test_an_update_stays_on_the_device(model):
    for progress in (0.0, 0.99):
        assert {loss.device for loss in model.update(images(), progress).values()} == {CUDA}


def test_samples_stay_on_the_device(model):
    for options in ({}, *model.samplers.values()):
        if model.network_evaluations(**options) <= FEW_STEPS:
            made = model.sample(2, FakeGenerator(), **options)
            assert (made.device, made.dtype, made.shape) == (CUDA, torch.uint8, (2, *SHAPE))


def test_likelihoods_stay_on_the_device(model):
    if model.likelihood == "none":
        pytest.skip("this family has no likelihood")
    assert model.nats(images(), FakeGenerator()).device == CUDA
    for bound in model.bounds.values():
        way = bound.way(model, 3 if bound.steps else None)
        assert way(images(), FakeGenerator()).device == CUDA


def test_decoding_stays_on_the_device(model):
    if not model.latent_dims:
        pytest.skip("this family has no decoder")
    assert model.decode(torch.empty(5, model.latent_dims, device=CUDA)).device == CUDA


def test_what_a_model_shows_is_read_from_the_device_and_nothing_copied_to_it(model, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: 0.5)  # numbers for the report are to be read
    shown = model.show(images(), FakeGenerator())
    assert {picture.device for _, picture in shown.pictures.values()} == {CUDA}


@pytest.mark.parametrize("slip", [
    lambda x: x + torch.linspace(0, 1, 8).to(x.device),
    lambda x: x[[0, -1]],
    lambda x: torch.full_like(x, float(x.sum())),
    lambda x: x[x > 0],
    lambda x: x + torch.ones(8),
], ids=["constant copied", "list as index", "value read", "mask as index", "devices mixed"])  # fmt: skip
def test_a_slip_is_caught(slip):
    with FakeTensorMode(), OnTheDevice():
        x = torch.empty(8, device=CUDA)
        with pytest.raises((CopyToDeviceError, RuntimeError)):
            slip(x)
        assert torch.arange(8, device=CUDA).device == CUDA  # and what is made there is none


def test_a_buffer_that_was_not_registered_is_caught():
    model = load_family("diffusion").build({"width": 8}, SHAPE)
    frequencies = model.average.network.frequencies
    del model.average.network.frequencies
    model.average.network.frequencies = frequencies
    mode = FakeTensorMode()
    moved(model, mode)
    with mode, OnTheDevice(), pytest.raises(Exception, match=r"[Ff]ake"), contextlib.suppress(CopyToDeviceError):
        model.sample(2, FakeGenerator())
