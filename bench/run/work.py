"""What every stage of measuring works on, and what it adds to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.errors import UserError, first_line, is_of_the_machine
from equibench.machine.clock import Clock
from equibench.machine.device import is_out_of_memory, reset_defaults
from equibench.measure.features.extractor import FeaturesError
from equibench.measure.likelihood.bounds import NotFiniteError
from equibench.record.base import Scalar
from equibench.record.schema import Results, Status
from equibench.run.course import DivergedError
from equibench.run.obtain import stream_seed
from equibench.run.session import Session, Tell
from equibench.run.train import StoppedError
from equibench_models.contract import Model

T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """What every stage works on."""

    session: Session
    model: Model
    family: str
    config: Mapping[str, Any]
    options: Mapping[str, Scalar]  # of the sampler
    seed: int
    clock: Clock
    tell: Tell

    def generator(self, purpose: str) -> torch.Generator:
        """Random numbers of their own for every purpose, the same for all entrants."""
        return torch.Generator(self.session.device).manual_seed(stream_seed(self.seed, purpose))

    def true_labels(self, n: int) -> NDArray[np.int64] | None:
        """The labels of the first n test images that are drawn, for a class-conditional model; else None."""
        labels = self.session.drawn_test_labels if self.model.classes else None
        return labels if labels is None else labels[:n]

    def told(self, n: int, generator: torch.Generator) -> dict[str, Any]:
        """What `sample` is told of n samples beside its options: labels, of a class-conditional model. They are drawn
        here, before any noise: a family of a user's own may draw them later, and which they were would not be known.
        """
        return {"labels": self.model.draw_labels(n, generator)} if self.model.classes else {}

    def sample_labels(self, n: int) -> NDArray[np.int64] | None:
        """The labels that a class-conditional model was told for the n samples of the headline."""
        told = self.told(n, self.generator("sample"))
        labels: torch.Tensor | None = told.get("labels")
        return None if labels is None else labels.cpu().numpy()


@dataclass(frozen=True)
class Found:
    """What the stages found so far: the record's part, the arrays beside it, and what later stages start from."""

    results: Results = field(default_factory=Results)
    arrays: Arrays = field(default_factory=dict)
    images: NDArray[np.uint8] | None = None  # the headline's samples
    features: NDArray[np.float32] | None = None  # of these

    def plus(self, arrays: Arrays | None = None, **results: Any) -> Found:
        """A copy with these parts of the record, and these arrays, added."""
        return replace(self, results=self.results.model_copy(update=results), arrays={**self.arrays, **(arrays or {})})

    def failed(self, what: str, why: str) -> Found:
        """With the reason why a stage, or a part of one, gave nothing."""
        return self.plus(failures={**self.results.failures, what: why})


class MissingError(Exception):
    """A stage before did not give what this one starts from."""


def attempt(found: Found, what: str, measure: Callable[[], T]) -> tuple[T | None, Found]:
    """What `measure` gives, or else None and what was found with the reason why `what` failed.

    Raises UserError, StoppedError, and OSError where the machine has failed.
    """
    reset_defaults()  # a family of a user's own may have changed them for all that follows
    try:
        return measure(), found
    except StoppedError:
        raise
    except UserError as error:
        if not isinstance(error, FeaturesError):
            raise
        return None, found.failed(what, str(error))
    except (Exception, SystemExit) as error:  # a family of a user's own may call sys.exit
        if is_of_the_machine(error):
            raise
        status, reason = failure(error)
        return None, found.failed(what, reason if status in ("crashed", reason) else f"{status}: {reason}")


def failure(error: BaseException) -> tuple[Status, str]:
    """What became of work that raised `error`, and why, in a clause."""
    text = first_line(error)
    if isinstance(error, DivergedError | NotFiniteError):
        return "diverged", text
    if is_out_of_memory(error):
        return "out of memory", text
    return "crashed", f"{type(error).__name__[:100]}: {text}"


def needed(value: T | None) -> T:
    if value is None:
        raise MissingError("it starts from what an earlier stage did not give")
    return value
