"""What an update takes, found out before anything is trained: FLOPs, and bytes that wait for the backward pass.

Large updates run on torch's fake tensors, which have sizes and no numbers: nothing is computed and nothing allocated.
Small ones, which are faster so, run on real tensors, and so does code that asks for a number. The counts are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from equibench.errors import UserError
from equibench.machine.device import autocast
from equibench.machine.flops import counting_flops
from equibench.run.sizing import check_memory
from equibench_models.contract import Model, Shape

MOST_COMPUTED = 5 * 10**7  # parameters, averages too, times images: up to here computing is faster than following
FEW_IMAGES = 8  # images of an update on real tensors that tells whether one of the whole batch fits in memory


class Counted(NamedTuple):
    """What updates of a model take, at its batch size."""

    flops: tuple[float, ...]  # of each update of a cycle
    kept_bytes: int  # most that is held at once for a backward pass
    uncounted: tuple[str, ...]  # operators that compute a lot, and whose FLOPs are not known


def counted(family: type[Model], config: Mapping[str, Any], shape: Shape, updates: int = 1) -> Counted:
    """The cost of a cycle of updates at the config's batch size, on the CPU. One cycle is run, or for `updates` above
    one at least that many updates and at least two cycles.

    Raises UserError where updates differ otherwise than within the cycle that the model declares, or where those on
    real tensors need more memory than there is, and what building and updating the family raises.
    """
    with torch.random.fork_rng(devices=[]):
        model = family.build(config, shape)
        batch_size = model.config.batch_size
        if batch_size * sum(p.numel() for p in model.parameters()) > MOST_COMPUTED:
            if found := _on_fake_tensors(model, batch_size, updates):
                return found
            few = min(FEW_IMAGES, batch_size)
            kept_bytes = _updated(family.build(config, shape), few, 1).kept_bytes
            check_memory(kept_bytes / few * batch_size, f"an update with batch_size = {batch_size:,}")
            model = family.build(config, shape)
        return _updated(model, batch_size, updates)


def _on_fake_tensors(model: Model, batch_size: int, updates: int) -> Counted | None:
    """None for code that needs numbers. The parameters of the model stay as they are."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return _updated(model, batch_size, updates)
    except UserError:
        raise
    except Exception:
        return None


def _updated(model: Model, batch_size: int, updates: int) -> Counted:
    images = torch.zeros((batch_size, *model.shape), dtype=torch.uint8)
    labels = [torch.zeros(batch_size, dtype=torch.int64)] if model.classes else []
    many = max(updates, model.cycle * min(updates, 2))
    costs: list[float] = []
    uncounted: set[str] = set()
    with counting_saved() as saved:
        for i in range(many):
            with counting_flops() as found, autocast(images.device):
                model.update(images, i / many, *labels)
            costs.append(found.total)
            uncounted.update(found.uncounted)
            _check(model, costs)
    return Counted(tuple(costs[: model.cycle]), saved.peak_bytes, tuple(sorted(uncounted)))


def _check(model: Model, costs: list[float]) -> None:
    """Raises UserError where the last of these updates costs another sum than the one that it repeats."""
    last = len(costs) - 1
    before = last % model.cycle
    if costs[last] != costs[before]:
        raise UserError(
            f"updates of {type(model).__name__} differ in cost: number {before + 1} takes {costs[before]:g} FLOPs and "
            f"number {last + 1} takes {costs[last]:g}; let all cost the same whatever the progress, or repeat after as "
            "many as the attribute `cycle` says"
        )


class Saved:
    """Bytes that a backward pass keeps, now and at most."""

    def __init__(self) -> None:
        self.now_bytes = 0
        self.peak_bytes = 0


class _Kept:
    """A tensor that is kept for the backward pass, counted until it is let go."""

    def __init__(self, tensor: Tensor, saved: Saved) -> None:
        self.tensor, self.saved = tensor, saved
        base = tensor if tensor._base is None else tensor._base  # a weight may be kept as a view of it
        self.size_bytes = 0 if base.is_leaf and base.requires_grad else tensor.numel() * tensor.element_size()
        saved.now_bytes += self.size_bytes
        saved.peak_bytes = max(saved.peak_bytes, saved.now_bytes)

    def __del__(self) -> None:
        self.saved.now_bytes -= self.size_bytes


@contextlib.contextmanager
def counting_saved() -> Iterator[Saved]:
    """What updates in the block keep for their backward passes, weights aside: most of what training takes."""
    saved = Saved()
    with saved_tensors_hooks(lambda tensor: _Kept(tensor, saved), lambda kept: kept.tensor):
        yield saved
