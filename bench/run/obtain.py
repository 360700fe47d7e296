"""A cell's model: loaded from a checkpoint, or built, trained and written to one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from equibench.hashing import digest
from equibench.machine.clock import Clock
from equibench.machine.code import code_version, package_versions
from equibench.record.schema import Code, Results
from equibench.record.surroundings import Loaded
from equibench.run import checkpoint
from equibench.run.arithmetic import training_as
from equibench.run.content import checkpoint_of
from equibench.run.families import resolve_family
from equibench.run.kept import Keeping
from equibench.run.labels import labels_for, tell_shares
from equibench.run.loaded import check_checkpoint, opened, scalars
from equibench.run.plan import Plan, plan
from equibench.run.points import Points, halvings
from equibench.run.session import Session
from equibench.run.status import POINTS
from equibench.run.train import Watch, train
from equibench.run.weights import own_family, set_aside_unfit, trained_otherwise, weights_of
from equibench.suite import Cell
from equibench_models.contract import Model

UNKNOWN = Code(commit=None, dirty=None, version="unknown")  # that trained weights which do not say it


def obtain(
    cell: Cell, session: Session, clock: Clock, watch: Watch, keeping: Keeping | None = None
) -> tuple[Model, Results]:
    """The model of an entrant's cell, and what is known of its training. A cell that was trained before, by a run that
    was stopped since, is not trained again; with `keeping` one that was being trained goes on where it was kept.

    Raises UserError for a checkpoint that cannot be used, DivergedError where a loss is not finite, StoppedError where
    the watch says so.
    """
    given = checkpoint_of(cell)
    if cell.loaded and given is None:
        return opened(cell, session, clock)
    file = given or weights_of(session.path(cell))
    set_aside_unfit(file, cell, session)
    if file.exists():
        with clock.part("load"):
            model, provenance = checkpoint.load(file, session.device, session.allow_code)
            check_checkpoint(file, model, session.data)
    else:
        model, provenance = _trained(cell, session, clock, file, watch, keeping)
    return model, Results(
        config=scalars(provenance.config),
        loaded=Loaded(kind="checkpoint", source=file.name, params=model.sampling_parameters()) if cell.loaded else None,
        spent=provenance.spent,
        curve=provenance.curve,
        matrix_products=provenance.matrix_products,
        timed=provenance.timed,
        trained_by=(provenance.code or UNKNOWN) if trained_otherwise(provenance) else None,
        checkpoint=file.name,
        weights_sha256=session.weights_sha256(cell) or checkpoint.sha256(file),
    )


def _trained(
    cell: Cell, session: Session, clock: Clock, file: Path, watch: Watch, keeping: Keeping | None
) -> tuple[Model, checkpoint.Provenance]:
    assert cell.entrant is not None
    with clock.part("build"):
        planned, model = _built(cell, session)
    with session.device_lock.exclusive(), clock.part("matrix products"):
        products = session.matrix_products
    with clock.part("reference workload"):
        around = session.beside.around("train")
    along = session.suite.measure.along
    points = Points(session.folder(cell) / POINTS, halvings(along.points) if along else ())
    if session.team:
        session.team.order("train")
    with clock.part("train"):
        torch.manual_seed(stream_seed(cell.seed, "train"))
        with training_as(cell, model, session.device, team=session.team is not None) as updates:
            spent, curve = train(
                model,
                session.data.train,
                planned.allowance,
                seed=stream_seed(cell.seed, "order"),
                device=session.device,
                watch=replace(watch, counter=session.training_counter, around=around, device_lock=session.device_lock),
                keeping=keeping,
                points=points,
                team=session.team,
                labels=labels_for(model, session.data.train_labels),
                updates=updates,
            )
        spent = spent.model_copy(update={"compile_sec": updates.preparing_sec})
    if keeping:
        clock.add("train", keeping.resumed_sec)
    with clock.part("reference workload"):
        timed = [around.end()]
    with clock.part("write"):
        provenance = checkpoint.Provenance(
            family=cell.entrant.family,
            config=planned.config,
            shape=session.data.shape,
            data_sha256=session.data.sha256,
            spent=spent,
            curve=curve,
            matrix_products=products,
            timed=timed,
            points=points.passed,
            key=session.key(cell),
            code=code_version(own_family(cell.entrant.family)),
            versions=package_versions(),
        )
        checkpoint.save(file, model, provenance)
        if keeping:
            keeping.forget()
    return model, provenance


def help_to_train(cell: Cell, session: Session) -> None:
    """What another process of the session's team does as its first one trains. Raises as `train` does."""
    planned, model = _built(cell, session)
    torch.manual_seed(stream_seed(cell.seed, "train"))
    seed = stream_seed(cell.seed, "order")
    with training_as(cell, model, session.device, team=True) as updates:
        train(
            model,
            session.data.train,
            planned.allowance,
            seed=seed,
            device=session.device,
            team=session.team,
            labels=labels_for(model, session.data.train_labels),
            updates=updates,
        )


def _built(cell: Cell, session: Session) -> tuple[Plan, Model]:
    assert cell.entrant is not None
    planned = plan(cell, session.data.shape)
    torch.manual_seed(stream_seed(cell.seed, "init"))
    model = resolve_family(cell.entrant.family).build(planned.config, session.data.shape).to(session.device)
    tell_shares(model, session.data)
    return planned, model


def stream_seed(seed: int, purpose: str) -> int:
    """A stream of its own for every purpose, the same for all entrants, so that they differ by what they are alone."""
    return int(digest([seed, purpose])[:15], 16)
