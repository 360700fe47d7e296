"""The part of every batch that one of several processes does, so that all of them do the training of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


def _alone(_tensors: Sequence[Tensor]) -> None:
    """Do nothing: the sum over one process is its own."""


@dataclass(frozen=True)
class BatchPart:
    """A process's part of a batch: every `ranks`-th image from number `rank` on. All processes are given the whole
    batch and draw the noise of all of it, from the same random numbers, and keep the rows that are theirs: so each has
    noise of its own, and all together that of one process. Losses are parts of the whole batch's mean: their sum over
    all processes is the loss, and the sum of their gradients its gradient, whatever number of images each has, at least
    one.
    """

    rank: int = 0
    ranks: int = 1
    add_up: Callable[[Sequence[Tensor]], None] = _alone  # puts sums over all processes in place of the tensors

    def of(self, rows: Tensor) -> Tensor:
        """Those rows of a whole batch, `[B, ...]`, that are this process's."""
        return rows if self.ranks == 1 else rows[self.rank :: self.ranks]

    def count(self, n: int) -> int:
        """How many of a whole batch's first n rows are this process's; they are the first of its own."""
        return len(range(self.rank, n, self.ranks))

    def mean(self, rows: Tensor, n: int) -> Tensor:
        """This process's part of the mean over `n` rows, of which `rows` `[m, ...]` are its own."""
        if self.ranks == 1:
            return rows.mean()
        return rows.sum() / (n * math.prod(rows.shape[1:]))

    def share(self, value: Tensor) -> Tensor:
        """An equal part of a value that all processes have: their parts add up to it."""
        return value if self.ranks == 1 else value / self.ranks
