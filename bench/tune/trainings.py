"""One training of a study as a cell: in a process of its own, on the data without the validation images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from equibench.data.held_out import held_out
from equibench.errors import UserError
from equibench.measuring import Measuring
from equibench.record.cost import MatrixProducts
from equibench.record.schema import Record
from equibench.record.study import Candidate, Search, Training, Values
from equibench.run.isolated import isolated_plan
from equibench.run.loop import run_cells
from equibench.run.plan import Plan
from equibench.run.session import Session
from equibench.run.weights import weights_of
from equibench.suite import Cell, Entrant, Suite

STAGES = frozenset({"quality", "likelihood"})
FEWEST_SAMPLES, SAMPLES_PER_DIM = 1500, 1.25  # more than the features have dimensions, as a distance needs
Tell = Callable[[str, float], None]


class TrainingStep(NamedTuple):
    """A training that a study is to do next."""

    candidate: Candidate
    values: Values
    seed: int
    share: float  # of the budget


@dataclass
class CellTrainer:
    """Does the trainings of all studies of a suite. `session` holds the data without its test images."""

    session: Session
    known_products: MatrixProducts | None = None

    def cell(self, entrant: Entrant, step: TrainingStep) -> Cell:
        """The cell that a step is: trained on a share of the suite's budget."""
        suite = self.session.suite
        (whole,) = suite.budget
        budget = whole.model_copy(update={"amount": whole.amount * step.share})
        changes = {"config": step.candidate.config, "sampler": step.candidate.sampler, "tuned": None}
        return Cell(suite, entrant.name, step.seed, entrant.model_copy(update=changes), budget)

    def plan(self, entrant: Entrant, step: TrainingStep) -> Plan | None:
        """How the step fits its budget; None for a user's own family that ends or hangs as it is updated once. Raises
        UserError for what does not fit.
        """
        return isolated_plan(self.cell(entrant, step), self.session.data.shape)

    def train(self, entrant: Entrant, step: TrainingStep, tell: Tell = lambda what, share: None) -> Training:
        """Train and measure; one that fails has its reason, and whatever it does ends nothing else. One that was
        stopped goes on where it was, and one that was done is not done again.

        Raises UserError where the machine has failed, with what was done kept; KeyboardInterrupt where `tell` does.
        """
        cell = self.cell(entrant, step)
        done = {"candidate": step.candidate, "values": step.values, "seed": step.seed, "share": step.share}
        try:
            planned = self.plan(entrant, step)
        except UserError as error:
            return Training(**done, status="refused", reason=str(error))
        session = replace(self.session, wanted=(cell,), known_products=self.known_products)
        (finished,) = run_cells(session, lambda cell, what, share: tell(what, share))
        record = finished.record
        self.known_products = self.known_products or record.matrix_products
        weights_of(finished.path).unlink(missing_ok=True)  # of a hundred trainings they would fill a disk
        allowed = planned.train_flops if planned else None
        return Training(**done, **_gave(record), flops=record.spent.flops if record.spent else allowed)


def trial_session(session: Session, search: Search) -> Session:
    """The session of all trainings, on the data that is left for them, measured with as much as choosing takes.

    Raises UserError for a suite of several budgets, and for data with too few images for a distance.
    """
    suite, dims = session.suite, session.extractor.info.dims
    if len(suite.budget) > 1:
        raise UserError(
            f"the suite {suite.name} has {len(suite.budget)} budgets, and an entrant is tuned at one; give a suite "
            "that has one"
        )
    data = held_out(session.data, search.validation_share)
    if not dims < len(data.test) < len(session.data.train):
        raise UserError(
            f"of {len(session.data.train):,} training images {len(data.test):,} would be held out, and the distance in "
            f"{session.extractor.info.name} takes more than {dims:,}; give more data, or validation_share under "
            "[search] of the space"
        )
    samples = search.samples or max(FEWEST_SAMPLES, math.ceil(SAMPLES_PER_DIM * dims))
    if samples <= dims:
        raise UserError(
            f"the distance in {session.extractor.info.name} takes more than {dims:,} samples; give more of them under "
            "[search] of the space"
        )
    measured = _measured(suite, samples, len(data.test), search)
    return replace(session, suite=measured, data=data, stages=STAGES, more=(), reload_more=tuple)


def _measured(suite: Suite, samples: int, reference_images: int, search: Search) -> Suite:
    measure = Measuring(
        samples=samples,
        reference_images=reference_images,
        extractor=suite.measure.extractor,
        splits=1,
        resamples=2,
        memorization_images=0,
        noise_samples=0,
        sampler_points=False,
        likelihood_images=search.likelihood_images,
        speed_batch_sizes=[1],  # what follows is not measured
        speed_limit_sec=0.01,
        latency_limit_sec=0.01,
        memory_batch_size=1,
    )
    return suite.model_copy(update={"measure": measure})


def _gave(record: Record) -> dict[str, object]:
    """What a record says of a training."""
    quality, likelihood, spent = record.quality, record.likelihood, record.spent
    found: dict[str, object] = {
        "train_sec": spent.train_sec if spent else None,
        "sec": sum(sec for part, sec in record.clock.items() if part not in ("wall", "start")),
        "resolved": record.config,
    }
    if record.status != "ok" or quality is None:
        return {**found, "status": record.status, "reason": record.reason}
    if quality.value is None:
        return {**found, "status": "crashed", "reason": quality.reason or "it has no distance"}
    bits = likelihood.bits_per_dim if likelihood else None
    return {**found, "status": "ok", "distance": quality.value, "bits_per_dim": bits}
