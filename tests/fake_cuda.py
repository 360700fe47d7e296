"""A CUDA device that is not there: fake tensors carry a device and no data, and torch mixes no devices among them.

It takes a build of torch with CUDA, and no GPU. A read of the device (`float(tensor)`, a mask as an index, a branch on
a value) raises by itself, as there is no data; `OnTheDevice` refuses copies from the processor too. Each of them makes
the processor wait for the device, and none may stand in a CUDA graph.
"""

import contextlib

import pytest
import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)
NEEDS_CUDA_BUILD = pytest.mark.skipif(
    torch.version.cuda is None, reason="this build of torch has no CUDA, and ends the process on a fake CUDA tensor"
)


class CopyToDeviceError(AssertionError):
    """An operator took a tensor of the processor and gave one of the device."""


class OnTheDevice(TorchDispatchMode):
    """Raises CopyToDeviceError in the operator that copies from the processor to the device, but for the first
    `allowed` of them.
    """

    def __init__(self, allowed=0):
        super().__init__()
        self.allowed, self.copies = allowed, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if "cpu" in _kinds((args, kwargs)) and "cuda" in _kinds(made):
            self.copies += 1
            if self.copies > self.allowed:
                raise CopyToDeviceError(f"{function} copies from the processor to the device")
        return made


def _kinds(tree):
    return {leaf.device.type for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)}


class FakeGenerator(torch.Generator):
    """A generator of the device by name; nothing is drawn from it."""

    device = CUDA


def moved(model, mode):
    """The model as `model.to(CUDA)` leaves it: parameters, buffers and what its optimisers hold are fake tensors of the
    device, and a tensor that is neither stays behind.
    """
    placed = {}

    def fake(tensor):
        if id(tensor) not in placed:
            there = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=CUDA)
            if isinstance(tensor, torch.nn.Parameter):
                there = torch.nn.Parameter(there, requires_grad=tensor.requires_grad)
            placed[id(tensor)] = there
        return placed[id(tensor)]

    modules = list(model.modules())
    with mode:
        for module in modules:
            for held in (module._parameters, module._buffers):
                held.update({name: fake(tensor) for name, tensor in held.items() if tensor is not None})
    for value in [value for module in modules for value in vars(module).values()]:
        if isinstance(value, torch.optim.Optimizer):
            for group in value.param_groups:
                group["params"] = [placed[id(parameter)] for parameter in group["params"]]
    return model


@contextlib.contextmanager
def no_backward(model, monkeypatch):
    """Backward passes leave gradients of the right shape and are not run: autograd's engine wants a real device."""

    def backward(loss, *_, **__):
        assert loss.device == CUDA
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)

    def grad(outputs, inputs, grad_outputs=None, **_):
        several = (inputs,) if isinstance(inputs, torch.Tensor) else inputs
        assert grad_outputs is None or grad_outputs.device == outputs.device
        return tuple(torch.empty_like(one) + 0 * outputs.sum() for one in several)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", backward)
        patch.setattr(torch.autograd, "grad", grad)
        yield


@contextlib.contextmanager
def bfloat16_autocast():
    """`torch.autocast` of the device, which torch turns off where it finds none: set as it sets it, one level down."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)
