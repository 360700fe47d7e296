"""Points along a training at which its weights are kept, to be measured when it is over. They lie in the folder of the
unfinished cell, and go with it when there is a record of all that was to be measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor

from equibench import atomic
from equibench.record.base import Strict
from equibench_models.contract import Model

if TYPE_CHECKING:
    from equibench.run.course import Meter


class PointGoneError(Exception):
    """The weights of a point are not there any more, or are not what was kept."""


class Passed(Strict):
    """A point of a training, and what had been spent when it was reached: by the first update that is not before it."""

    at: float = Field(gt=0, lt=1)  # of the budget
    share: float = Field(gt=0, le=1)  # of the budget that was spent
    updates: int
    images: int
    flops: float
    train_sec: float
    weights_sha256: str  # of the point's file

    @property
    def label(self) -> str:
        """The point's name in a record, e.g. "12.5 %"."""
        return percent(self.at)


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def halvings(points: int) -> tuple[float, ...]:
    """Shares of a budget, rising, each half of the next and the last half of the whole: evenly spread in the logarithm
    of what is spent, in which losses fall along nearly straight lines, and small budgets of a power law lie.
    """
    return tuple(0.5**i for i in range(points, 0, -1))


@dataclass
class Points:
    """Keeps the weights at `shares` of the budget, rising, in `folder`; `passed` says of which it has. A training that
    goes on from where it was kept puts back what it had passed by then, and overwrites what came after.
    """

    folder: Path
    shares: Sequence[float]
    passed: list[Passed] = field(default_factory=list)

    def due(self, share: float) -> float | None:
        """The point that a training reaches with `share` of its budget spent: of several by one update the last."""
        before = self.passed[-1].at if self.passed else 0.0
        return max((at for at in self.shares if before < at <= share), default=None)

    def keep(self, model: Model, at: float, share: float, meter: Meter) -> None:
        """Write the weights of the point `at`, when `share` of the budget was spent. Raises OSError."""
        content = serialize({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
        atomic.write(_file(self.folder, at), content)
        sha256 = hashlib.sha256(content).hexdigest()
        self.passed.append(
            Passed(
                at=at,
                share=share,
                updates=meter.updates,
                images=meter.images,
                flops=meter.flops,
                train_sec=meter.sec,
                weights_sha256=sha256,
            )
        )


def load(folder: Path, point: Passed) -> dict[str, Tensor]:
    """The weights of a point, by name. Raises PointGoneError."""
    try:
        content = _file(folder, point.at).read_bytes()
    except OSError as error:
        raise PointGoneError(f"its weights, which went with a first record, are not there ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != point.weights_sha256:
        raise PointGoneError("its weights are not those that the training kept")
    return dict(deserialize(content))


def _file(folder: Path, at: float) -> Path:
    return folder / f"{at:g}.safetensors"
