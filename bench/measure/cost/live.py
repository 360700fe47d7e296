"""Bytes of all tensors that are alive at once, counted exactly. Equal code gives equal counts, whereas the memory that
a process takes of the machine differs by some MiB between two runs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """While it is entered, counts the bytes behind every tensor on the processor that an operator takes or gives, until
    it is let go. Views share what they are views of. What an operator allocates for itself and frees before it returns
    is not seen, and neither is memory that is no tensor's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_bytes = 0
        self.peak_bytes = 0
        self._sizes: dict[int, int] = {}  # of storages by their address

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self._see(args, kwargs)
        found = func(*args, **(kwargs or {}))
        self._see(found)
        return found

    def _see(self, *values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor) and value.device.type == "cpu" and value.layout is torch.strided:
                storage = value.untyped_storage()
                if storage.device.type != "cpu":  # of a tensor that stands for one, as a program that is exported holds
                    continue
                place, size = storage._cdata, storage.nbytes()
                before = self._sizes.get(place)
                if before is None:
                    weakref.finalize(storage, self._let_go, place).atexit = False
                if before != size:  # new, or resized
                    self._sizes[place] = size
                    self.now_bytes += size - (before or 0)
                    self.peak_bytes = max(self.peak_bytes, self.now_bytes)

    def _let_go(self, place: int) -> None:
        self.now_bytes -= self._sizes.pop(place, 0)
