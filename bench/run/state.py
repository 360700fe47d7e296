"""All that a training changes, taken from a model and put back, so that it goes on to the same end, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from equibench_models.contract import Model
from equibench_models.parts import BatchPart

Tensors = dict[str, Tensor]
Plain = dict[str, Any]  # as JSON holds it

_OF_EVERY_MODULE = set(vars(nn.Module())) - {"training"}
# what the contract declares, and a family may declare anew for its config: no training changes it
_DECLARED = set(Model.__annotations__)
_PLAIN = (bool, int, float, str, type(None))
_STATELESS = (nn.Module, BaseModel, BatchPart, torch.dtype, torch.device, torch.memory_format, type)


class NotResumableError(Exception):
    """The model holds something whose state is not known how to keep."""


def capture(model: Model, device: torch.device) -> tuple[Tensors, Plain]:
    """Weights, buffers, gradients, optimisers, what else the model's modules hold, and the states of all random
    numbers, as tensors and as plain values. What is captured shares no memory with the model's own.

    Raises NotResumableError.
    """
    tensors: Tensors = {}
    plain: Plain = {}
    for name, value in _weights(model):
        tensors[f"weight {name}"] = value.detach()
        if value.grad is not None:
            tensors[f"gradient {name}"] = value.grad
        if value.is_leaf:
            plain[f"requires_grad {name}"] = value.requires_grad
    for path, value in _attributes(model):
        _put(tensors, plain, path, _state_of(value, path))
    for name, state in _random_states(device).items():
        _put(tensors, plain, f"random {name}", state)
    # contiguous: the file's format knows no others
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }, plain


def restore(model: Model, device: torch.device, tensors: Tensors, plain: Plain) -> None:
    """Put back what `capture` took, into a model that was built alike. Raises KeyError or RuntimeError where it is of
    another.
    """
    with torch.no_grad():
        for name, value in _weights(model):
            value.copy_(tensors[f"weight {name}"])
            gradient = tensors.get(f"gradient {name}")
            value.grad = None if gradient is None else torch.empty_like(value).copy_(gradient)
            if value.is_leaf:
                value.requires_grad_(plain[f"requires_grad {name}"])
    for path, value in list(_attributes(model)):
        state = _get(tensors, plain, path)
        if isinstance(value, torch.optim.Optimizer):
            _restore_optimizer(value, state)
        elif isinstance(value, torch.Generator):
            value.set_state(state)
        elif isinstance(value, np.random.Generator):
            value.bit_generator.state = state
        elif isinstance(value, random.Random):
            value.setstate(_tuples(state))
        elif hasattr(value, "load_state_dict"):
            value.load_state_dict(state)
        else:
            module, _, attribute = path.rpartition(".")
            setattr(model.get_submodule(module), attribute, _like(value, state))
    _restore_random(device, {name: _get(tensors, plain, f"random {name}") for name in _random_states(device)})


def _weights(model: Model) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _attributes(model: Model) -> Iterator[tuple[str, Any]]:
    """What modules hold beside weights and modules: dotted path and value."""
    for place, module in model.named_modules():
        left_out = _OF_EVERY_MODULE if place else _OF_EVERY_MODULE | _DECLARED
        for name, value in vars(module).items():
            if name not in left_out and not isinstance(value, _STATELESS) and not _is_function(value):
                yield f"{place}.{name}".lstrip("."), value


def _is_function(value: Any) -> bool:
    return callable(value) and not hasattr(value, "load_state_dict") and type(value).__module__ in (
        "builtins", "functools", "torch",
    )  # fmt: skip


def _state_of(value: Any, path: str) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, torch.optim.Optimizer) or hasattr(value, "load_state_dict"):
        return value.state_dict()
    if isinstance(value, Tensor | np.ndarray) or _is_plain(value):
        return value
    raise NotResumableError(f"{path} is a {type(value).__name__}, which has neither state_dict nor a plain value")


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _put(tensors: Tensors, plain: Plain, path: str, state: Any) -> None:
    """`state` with its tensors apart, each under the path that leads to it."""

    def apart(here: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.array(value))
        if isinstance(value, Tensor):
            tensors[here] = value
            return {"tensor": here}
        if isinstance(value, dict):  # its keys are whole numbers at times, which JSON would make strings
            return {"dict": [[key, apart(f"{here}/{key}", item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [apart(f"{here}/{i}", item) for i, item in enumerate(value)]}
        if not isinstance(value, _PLAIN):
            raise NotResumableError(f"{here} is a {type(value).__name__}")
        return value

    plain[path] = apart(path, state)


def _get(tensors: Tensors, plain: Plain, path: str) -> Any:
    def together(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, held),) = value.items()
        if kind == "tensor":
            return tensors[held]
        if kind == "dict":
            return {key: together(item) for key, item in held}
        return [together(item) for item in held]

    return together(plain[path])


def _restore_optimizer(optimizer: torch.optim.Optimizer, state: Plain) -> None:
    """A fused optimiser on a processor is silently wrong where a moment's strides differ from its parameter's, and a
    file's are contiguous: each is laid out as its parameter is.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    held = {
        number: {
            name: torch.empty_like(parameters[number]).copy_(value)
            if isinstance(value, Tensor) and value.shape == parameters[number].shape and value.ndim
            else value
            for name, value in moments.items()
        }
        for number, moments in state["state"].items()
    }
    groups = [
        {name: _like(group.get(name), value) for name, value in saved.items()}
        for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": held, "param_groups": groups})


def _like(before: Any, value: Any) -> Any:
    """`value` as JSON and files gave it, in the kind of `before`. JSON makes a list of any tuple, within others too."""
    if isinstance(before, tuple | list) and isinstance(value, list):
        within = [*map(_like, before, value), *value[len(before) :]]
        if isinstance(before, list):
            return within
        return type(before)(*within) if hasattr(before, "_fields") else tuple(within)
    if isinstance(before, dict) and isinstance(value, dict):
        return {key: _like(before.get(key), item) for key, item in value.items()}
    if not isinstance(value, Tensor):
        return value
    if isinstance(before, np.ndarray):
        return value.numpy().astype(before.dtype)
    if isinstance(before, Tensor):
        return torch.empty_like(before).copy_(value) if before.shape == value.shape else value.to(before.device)
    return value


def _random_states(device: torch.device) -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    found = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        # keys are 32-bit words, which torch's tensors hold as wider ones
        "numpy": [str(kind), np.asarray(keys).astype(np.int64), int(position), int(has_gauss), float(gauss)],
    }
    return {**found, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else found


def _restore_random(device: torch.device, states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    random.setstate(_tuples(states["python"]))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
