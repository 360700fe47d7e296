"""One entrant trained by several processes, each with a device of its own, that torchrun starts. The first of them does
the run: its cell's process leads. The others wait for what it orders, and help: each does its part of every update, and
of the features of samples.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from equibench.hashing import digest
from equibench.measure.features.extractor import Extractor, FeaturesError
from equibench.suite import Cell, Which
from equibench_models.contract import Model
from equibench_models.parts import BatchPart

LONGEST_WAIT = datetime.timedelta(minutes=10)  # for another process, within an update
LOOK_SEC = 0.05  # between two looks at whether something was ordered
FEWEST_IMAGES = 100  # images of each process, of which features are computed by all


@dataclass(frozen=True)
class Ranks:
    """This process among those that torchrun started, and where they meet."""

    rank: int
    ranks: int
    local_rank: int
    host: str
    port: int

    def store(self) -> Any:
        """Where they meet. Who leads the run has it made if torchrun has not."""
        hosts = self.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True)
        return TCPStore(self.host, self.port, is_master=hosts, wait_for_workers=False, timeout=LONGEST_WAIT)

    def join(self) -> Any:
        """The store that is there, for a cell's process."""
        return TCPStore(self.host, self.port, is_master=False, timeout=LONGEST_WAIT)


def ranks_here() -> Ranks | None:
    """None where torchrun has not started this process, or this process alone."""
    told = os.environ
    if int(told.get("WORLD_SIZE", "1")) < 2 or "MASTER_PORT" not in told:
        return None
    rank, local_rank = int(told["RANK"]), int(told.get("LOCAL_RANK", told["RANK"]))
    return Ranks(rank, int(told["WORLD_SIZE"]), local_rank, told["MASTER_ADDR"], int(told["MASTER_PORT"]))


class Team:
    """The processes that do one cell together."""

    def __init__(self, ranks: Ranks, store: Any, number: int, device: torch.device) -> None:
        """Join the others, for cell `number` of the store. Raises RuntimeError where they do not come."""
        self.ranks, self._store, self._number, self._orders = ranks, store, number, 0
        there = PrefixStore(f"cell {number} group", store)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=there, rank=ranks.rank, world_size=ranks.ranks, timeout=LONGEST_WAIT)

    @property
    def part(self) -> BatchPart:
        """The part of every batch that this process does."""
        return BatchPart(self.ranks.rank, self.ranks.ranks, add_up)

    def order(self, what: str) -> None:
        """Have the others begin with something."""
        self._orders += 1
        self._store.set(f"cell {self._number} order {self._orders}", what)

    def next_order(self) -> str:
        """What is ordered next, for which this waits; "end" where another cell has been begun, or the run is over."""
        self._orders += 1
        key = f"cell {self._number} order {self._orders}"
        while not self._store.check([key]):
            if self._store.add("cells", 0) > self._number or self._store.check(["over"]):
                return "end"
            time.sleep(LOOK_SEC)
        return str(self._store.get(key).decode())

    def of_first(self, value: float) -> float:
        """What the first process says."""
        told = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told)

    def share(self, given: Any) -> Any:
        """What the first process gives to all."""
        held = [given]
        dist.broadcast_object_list(held, 0, device=torch.device("cpu"))
        return held[0]

    def all_of(self, given: Any) -> list[Any]:
        """What each process gives, in their order."""
        held: list[Any] = [None] * self.ranks.ranks
        dist.all_gather_object(held, given)
        return held

    def check_alike(self, model: Model) -> None:
        """Raises RuntimeError unless all have the same weights."""
        mine = digest([[name, float(value.detach().double().sum())] for name, value in model.named_parameters()])
        if len(set(self.all_of(mine))) > 1:
            raise RuntimeError("the processes' weights have come to differ: not all of its noise is drawn alike")

    def leave(self) -> None:
        dist.destroy_process_group()


def add_up(tensors: Sequence[Tensor]) -> None:
    """Put sums over all processes in place of tensors of one kind."""
    with torch.no_grad():
        flat = torch.cat([one.reshape(-1) for one in tensors])
        dist.all_reduce(flat)
        for one, total in zip(tensors, flat.split([one.numel() for one in tensors]), strict=True):
            one.copy_(total.view(one.shape))


def lead(ranks: Ranks, cell: Cell, device: torch.device) -> Team:
    """Begin with a cell in its own process."""
    store = ranks.join()
    number = store.add("cells", 1)
    store.set(f"cell {number}", json.dumps(cell.which))
    return Team(ranks, store, number, device)


def begun_cells(ranks: Ranks, device: torch.device) -> Iterator[tuple[Which, Callable[[], Team]]]:
    """Each cell that is begun, until the run is over: which it is (`Cell.which`), and how to join its team."""
    store, number = ranks.store(), 0
    while not store.check(["over"]):
        latest = store.add("cells", 0)
        if latest <= number or not store.check([f"cell {latest}"]):
            time.sleep(LOOK_SEC)
            continue
        number = latest
        yield tuple(json.loads(store.get(f"cell {number}"))), partial(Team, ranks, store, number, device)


@dataclass(frozen=True)
class TeamExtractor(Extractor):
    """Features computed by all processes of a team, each those of its part of the images."""

    team: Team | None = None

    def __call__(
        self, images: NDArray[np.uint8], progress: Callable[[int], None] = lambda n: None
    ) -> NDArray[np.float32]:
        assert self.team is not None
        many = self.team.ranks.ranks
        if len(images) < FEWEST_IMAGES * many:
            return super().__call__(images, progress)
        self.team.order("features")
        self.team.share(images)
        found = self.team.all_of(self.of_part(images, lambda n: progress(n * many)))
        if odd := [one for one in found if isinstance(one, str)]:
            raise FeaturesError(odd[0])
        whole = np.empty((len(images), self.info.dims), np.float32)
        for rank, part in enumerate(found):
            whole[rank::many] = part
        return whole

    def help(self) -> None:
        """What another process of the team does as features are computed."""
        assert self.team is not None
        self.team.all_of(self.of_part(self.team.share(None)))

    def of_part(
        self, images: NDArray[np.uint8], progress: Callable[[int], None] = lambda n: None
    ) -> NDArray[np.float32] | str:
        """Features of this process's part of the images, or why there are none."""
        assert self.team is not None
        try:
            return super().__call__(images[self.team.ranks.rank :: self.team.ranks.ranks], progress)
        except FeaturesError as error:
            return str(error)
