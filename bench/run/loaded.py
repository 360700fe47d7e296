"""Entrants that are there already: looked at before a run begins, and opened in their cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from equibench.data.sets import Dataset
from equibench.entrant import SAMPLES
from equibench.errors import UserError, first_line
from equibench.hashing import image_digests, images_sha256
from equibench.hub import said_of
from equibench.machine.clock import Clock
from equibench.outside.command import CommandError, written_by
from equibench.outside.kind import RUNS_CODE, kind_of
from equibench.outside.samples import Collected, fitting_samples
from equibench.record.base import Scalar
from equibench.record.schema import Results
from equibench.record.surroundings import Loaded
from equibench.run import checkpoint
from equibench.run.families import resolve_family, validated
from equibench.run.labels import check_fits
from equibench.run.session import Session
from equibench.suite import Cell, Entrant, Suite, name_from
from equibench.usercode import require_consent
from equibench_models import LOADED
from equibench_models.contract import Model, Options, Shape
from equibench_models.outside.generator import SavedGenerator
from equibench_models.outside.pipeline import Pipeline, UnusableError

UNKNOWN_TRAINING = ["its training data", "the size of what was trained", "the cost of training", "how it was tuned"]
UNKNOWN_MODEL = [*UNKNOWN_TRAINING, "the cost of sampling", "its likelihood"]


def only_loaded(suite: Suite, paths: Sequence[Path], names: Sequence[str] = ()) -> Suite:
    """The suite with what lies at `paths` as its entrants, named after their files unless by `names`."""
    once = list({path.resolve(): path for path in paths}.values())
    found: dict[str, Entrant] = {}
    for place, path in enumerate(once):
        name = names[place] if names else name_from(path)
        if name in found:  # as of a file that is called alike in another folder
            name = name_from(Path(f"{path.absolute().parent.name}-{path.name}"))
        while name in found:
            name = name_from(Path(f"{place + 1}-{name}{path.suffix}"))
        found[name] = Entrant(name=name, load=str(path.absolute()), precision=suite.precision)
    return suite.model_copy(
        update={"entrant": list(found.values()), "seeds": suite.seeds[:1], "budget": suite.budget[:1]}
    )


def resolved(suite: Suite, data: Dataset, device: torch.device, allow_code: bool, like: Suite | None = None) -> Suite:
    """The suite with each entrant that is loaded looked at: what it is in place of a family, and, of a checkpoint, the
    sampler options that the suite `like` has for its family.

    Raises UserError for what cannot be measured on the data, and for code that may not run.
    """
    looked = [_looked_at(one, suite, data, device, allow_code, like) if one.loaded else one for one in suite.entrant]
    return suite.model_copy(update={"entrant": looked})


def _looked_at(
    one: Entrant, suite: Suite, data: Dataset, device: torch.device, allow_code: bool, like: Suite | None
) -> Entrant:
    family, options, sampler = SAMPLES, Options, one.sampler
    pipeline: Pipeline | None = None
    if one.load is not None:
        path = Path(one.load)
        kind = kind_of(path)
        if one.generator is not None and kind not in RUNS_CODE:
            raise UserError(
                f"entrant {one.name!r}: `generator` says what goes into a TorchScript or torch.export file, and {path} "
                "is none; take it away"
            )
        if kind in RUNS_CODE:
            require_consent(f"{path}, {RUNS_CODE[kind]},", allow_code)
            if one.generator is None:
                raise UserError(unsaid(one))
            family, options = kind, resolve_family(kind).options_type
        elif kind == "diffusers":
            pipeline = saved_pipeline(path, data.shape)
            family, options = kind, pipeline.options_type
        elif kind == "checkpoint":
            model, provenance = checkpoint.load(path, device, allow_code)
            checkpoint.check_finite(model, path)
            check_checkpoint(path, model, data)
            family, options = provenance.family, model.options_type
            if like is not None:
                sampler = next((other.sampler for other in like.entrant if other.family == family), {})
        else:
            fitting_samples(path, data, suite.measure.samples)
    whole = validated(options, sampler, one.name, "sampler option")
    if pipeline is not None:
        check_scheduler(pipeline, one.name, whole)
    if one.family not in ("", family):
        raise UserError(f"entrant {one.name!r} is of the family {one.family}, and {one.load} is of {family}")
    precision = None if family == SAMPLES else one.precision  # which samples have not
    return one.model_copy(update={"family": family, "sampler": sampler, "precision": precision})


def check_scheduler(pipeline: Pipeline, entrant: str, options: Mapping[str, Any]) -> None:
    """Raises UserError for a scheduler by which the pipeline cannot be sampled."""
    try:
        pipeline.check(options["scheduler"])
    except UnusableError as error:
        raise UserError(f"entrant {entrant!r} cannot be sampled: {error}") from None


def check_checkpoint(file: Path, model: Model, data: Dataset) -> None:
    """Raises UserError for a model of other images, or of other classes, than the data has."""
    if tuple(model.shape) != data.shape:
        raise UserError(f"{file} is for images of {tuple(model.shape)}, not {data.shape} of {data.name}")
    check_fits(model, data)


def opened(cell: Cell, session: Session, clock: Clock) -> tuple[Model, Results]:
    """The model of a cell that is loaded and is no checkpoint of ours, and what is known of it.

    Raises UserError for what cannot be measured on the data, CommandError where a command gives nothing of use.
    """
    entrant = cell.entrant
    assert entrant is not None
    if entrant.family == "diffusers":
        return _pipeline(entrant, cell, session, clock)
    if entrant.family in LOADED:
        return _generator(entrant, cell, session, clock)
    least = session.suite.measure.samples
    with clock.part("load"):
        if entrant.load is not None:
            path = Path(entrant.load)
            images = fitting_samples(path, session.data, least).whole()
            said = Loaded(kind="samples", source=path.name, unknown=UNKNOWN_MODEL)
        else:
            assert entrant.command is not None
            path = written_by(entrant.command, session.folder(cell) / "written", least, cell.seed)
            try:
                images = fitting_samples(path, session.data, least).whole()
            except UserError as error:  # of what it wrote, which is no mistake in what was asked for
                raise CommandError(str(error)) from None
            said = Loaded(kind="command", source=entrant.command, unknown=UNKNOWN_MODEL)
    found = session.weights_sha256(cell) or images_sha256(images.shape, image_digests(images))
    return Collected(images), Results(loaded=said, weights_sha256=found)


def saved_generator(entrant: Entrant, shape: Shape) -> SavedGenerator:
    """The generator that an entrant loads, for images of `shape`. Raises what opening it raises; its code runs."""
    assert entrant.load is not None
    if entrant.generator is None:
        raise UserError(unsaid(entrant))
    declared = entrant.generator.model_dump()
    config = {"path": entrant.load, **declared, "only_batch": declared["batch_size"]}
    del config["batch_size"]
    family = resolve_family(kind_of(Path(entrant.load)))
    assert issubclass(family, SavedGenerator)
    return family.build(config, shape)


def unsaid(entrant: Entrant) -> str:
    """What to say where no noise is declared."""
    return (
        f"what noise goes into {entrant.load} is not known; declare it in a suite, where its entrant has "
        "generator = { noise = [512] }"
    )


def _generator(entrant: Entrant, cell: Cell, session: Session, clock: Clock) -> tuple[Model, Results]:
    assert entrant.load is not None
    assert entrant.generator is not None
    path, kind = Path(entrant.load), kind_of(Path(entrant.load))
    require_consent(f"{path}, {RUNS_CODE[kind]},", session.allow_code)
    with clock.part("load"):
        model = saved_generator(entrant, session.data.shape).to(session.device)
    params = model.sampling_parameters()
    return model, Results(
        config=scalars(entrant.generator.model_dump()),
        loaded=Loaded(kind=kind, source=path.name, params=params, unknown=UNKNOWN_TRAINING),
        weights_sha256=session.weights_sha256(cell),
    )


def saved_pipeline(path: Path, shape: Shape | None = None) -> Pipeline:
    """The pipeline in a folder of diffusers, of images of `shape`, or of those that it gives. Raises UserError."""
    try:
        return Pipeline.build({"path": str(path.absolute())}, shape or Pipeline.shape_of(path))
    except ImportError as error:
        raise UserError(
            f"{path} is a pipeline of diffusers, which cannot be imported ({first_line(error)}); install it with "
            "`pip install 'equibench[diffusers]'`"
        ) from None
    except (UnusableError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot sample the pipeline {path}: {first_line(error)}") from None


def _pipeline(entrant: Entrant, cell: Cell, session: Session, clock: Clock) -> tuple[Model, Results]:
    assert entrant.load is not None
    path = Path(entrant.load)
    with clock.part("load"):
        model = saved_pipeline(path, session.data.shape).to(session.device)
    return model, Results(
        config=scalars(model.resolved()),
        loaded=Loaded(
            kind="diffusers", source=said_of(path), params=model.sampling_parameters(), unknown=UNKNOWN_TRAINING
        ),
        weights_sha256=session.weights_sha256(cell),
    )


def scalars(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """A model's config as a record holds it."""
    return {key: value if _is_scalar(value) else str(value) for key, value in config.items()}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
