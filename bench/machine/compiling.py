"""Training through torch.compile: which parts of a model, what that takes of the machine, and how long it took."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import time
import warnings
from collections.abc import Collection, Iterator

import torch
from torch import nn

COMPILATION = "inductor, default"  # backend and mode, as a record says them
NEEDS = {"cpu": "a C++ compiler (g++ or clang++)", "cuda": "Triton and a C compiler (gcc or clang)"}
# an update may meet the same block in several widths, each of which is compiled; with fewer, PyTorch would go on in
# eager mode and say nothing
MOST_FORMS = 64


class CompileWatch:
    """How often something was compiled while it was watched, and the seconds that took."""

    def __init__(self) -> None:
        self.times, self.sec = 0, 0.0
        self._open, self._since = 0, 0.0

    def begin(self, *_: object) -> None:
        """Heard by PyTorch as it begins to compile, which it may do within."""
        if not self._open:
            self._since = time.perf_counter()
        self._open += 1

    def end(self, *_: object) -> None:
        """Likewise as it ends."""
        self._open -= 1
        if not self._open:
            self.times += 1
            self.sec += time.perf_counter() - self._since


def lacking(device: torch.device) -> str | None:
    """What this machine lacks to compile for the device; None where it has it."""
    named = os.environ.get("CXX" if device.type == "cpu" else "CC")
    usual = ("g++", "clang++") if device.type == "cpu" else ("gcc", "clang", "cc")
    compiler = any(shutil.which(name) for name in ([named] if named else usual))
    if compiler and (device.type == "cpu" or importlib.util.find_spec("triton")):
        return None
    return NEEDS[device.type]


def blocks(model: nn.Module, leave: Collection[str]) -> list[nn.Module]:
    """Modules of the lowest level that has parts, such as residual blocks, in all children but those to `leave` alone.
    Equal ones are compiled once, which takes seconds where a whole update takes minutes.
    """
    children = [child for name, child in model.named_children() if name not in leave]
    found = [module for child in children for module in child.modules() if _is_lowest(module)]
    return found or children


@contextlib.contextmanager
def compiled(model: nn.Module, leave: Collection[str] = (), *, backend: str = "inductor") -> Iterator[CompileWatch]:
    """Let the model's blocks run through torch.compile in the block; afterwards it is as before.

    Raises RuntimeError at its end where nothing was compiled: a record would say what is not so.
    """
    from torch._dynamo import callback, config

    torch.compiler.reset()  # what another model of this process had compiled would not be compiled again
    watch, parts = CompileWatch(), blocks(model, leave)
    for part in parts:
        part.compile(backend=backend, dynamic=False)
    callback.on_compile_start(watch.begin)
    callback.on_compile_end(watch.end)
    try:
        with config.patch(recompile_limit=MOST_FORMS), warnings.catch_warnings():
            # of tensors that the tracer itself looks at
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
            yield watch
    finally:
        callback.callback_handler.remove_start_callback(watch.begin)
        callback.callback_handler.remove_end_callback(watch.end)
        for part in parts:
            part._compiled_call_impl = None
    if not watch.times:
        raise RuntimeError(
            f"nothing of {type(model).__name__} went through torch.compile, and its update calls no part as a module"
        )


def _is_lowest(module: nn.Module) -> bool:
    children = list(module.children())
    return bool(children) and not any(list(child.children()) for child in children)
