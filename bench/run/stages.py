"""What is measured of a cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.errors import UserError
from equibench.hashing import digest
from equibench.machine.clock import Clock
from equibench.machine.device import autocast
from equibench.measure.cost import memory
from equibench.measure.cost import speed as cost
from equibench.measure.likelihood import annealing, bounds
from equibench.measure.likelihood.bits import summarize
from equibench.measure.likelihood.floors import floor
from equibench.measure.quality.memorization import memorization_test
from equibench.measure.quality.reference import drawn, features_of
from equibench.record.schema import Likelihood, Portrait, Scalar
from equibench.run import checkpoint, sweep
from equibench.run.plan import plan
from equibench.run.session import Session, Tell
from equibench.run.train import train
from equibench.suite import Cell
from equibench_models import FAMILIES, Model

PICTURES = 64  # samples kept for the report
NEIGHBOURS = (
    "The samples nearest to a training image, a row each, and beside each the nearest training images in features."
)


def measure_floor(cell: Cell, session: Session, clock: Clock, parts: dict[str, Any]) -> None:
    measure = session.suite.measure
    if cell.name == "real data":
        with clock.part("features"):
            train = features_of(session.data.train[: measure.samples], session.extractor)
            _ = session.reference_features  # computed on first use
        with clock.part("quality"):
            parts["quality"] = session.quality(train, {})
    else:
        with clock.part("likelihood"):
            test = session.data.test[: measure.likelihood_images]
            parts["likelihood"] = floor(cell.name, session.data.train, test)


def measure_entrant(
    cell: Cell, session: Session, clock: Clock, parts: dict[str, Any], arrays: dict[str, NDArray[Any]], tell: Tell
) -> None:
    assert cell.entrant is not None
    measure, device, data = session.suite.measure, session.device, session.data
    file = session.loaded or session.path(cell).with_suffix(".safetensors")
    if file.exists():  # given, or left by a run that was killed after training
        with clock.part("load"):
            model, provenance = checkpoint.load(file, device)
            if provenance.shape != data.shape:
                raise UserError(f"{file} is for images of shape {provenance.shape}, not {data.shape} of {data.name}")
    else:
        with clock.part("build"):
            planned = plan(cell, data.shape)
            torch.manual_seed(stream_seed(cell.seed, "init"))
            model = FAMILIES[cell.entrant.family].build(planned.config, data.shape).to(device)
            parts["config"] = _scalars(planned.config)
        with clock.part("matrix products"):
            products = session.matrix_products
        assert cell.budget is not None
        with clock.part("train"):
            torch.manual_seed(stream_seed(cell.seed, "train"))
            spent, curve = train(
                model,
                data.train,
                cell.budget,
                batch_size=model.config.batch_size,
                flops_per_update=planned.flops_per_update,
                seed=stream_seed(cell.seed, "order"),
                device=device,
                progress=lambda share: tell("train", share),
                counter=session.counter,
            )
        with clock.part("write"):
            provenance = checkpoint.Provenance(
                family=cell.entrant.family,
                config=planned.config,
                shape=data.shape,
                data_sha256=data.sha256,
                spent=spent,
                curve=curve,
                matrix_products=products,
            )
            checkpoint.save(file, model, provenance)
    parts |= {
        "config": _scalars(provenance.config),
        "spent": provenance.spent,
        "curve": provenance.curve,
        "matrix_products": provenance.matrix_products,
        "checkpoint": file.name,
        "weights_sha256": checkpoint.sha256(file),
    }
    options = cell.entrant.sampler

    def sampled(n: int, options: Mapping[str, Any], label: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        generator = torch.Generator(device).manual_seed(stream_seed(cell.seed, "sample"))
        tell(f"sample {label}".strip(), 0.0)
        with clock.part("sample"), autocast(device):
            images = model.sample(n, generator, **options).cpu().numpy()
        with clock.part("features"):
            done = 0

            def count(n: int) -> None:
                nonlocal done
                done += n
                tell(f"features {label}".strip(), done / len(images))

            return images, session.extractor(images, count)

    images, features = sampled(measure.samples, options, "")
    with clock.part("quality"):
        tell("quality", 0.0)
        parts["quality"] = session.quality(features, options)
    if n := min(measure.memorization_images, len(data.train), len(data.test)):
        with clock.part("features"):
            known = data.train[drawn(len(data.train), n)]
            theirs, held_out = features_of(known, session.extractor), session.test_features(n)
        with clock.part("quality"):
            found, arrays["neighbours"] = memorization_test(
                torch.from_numpy(features).to(device), images, known, theirs, held_out
            )
            parts["quality"] = parts["quality"].model_copy(update={"memorization": found})
    tell("likelihood", 0.0)
    with clock.part("likelihood"):
        parts["likelihood"], nats = _likelihood(model, session, stream_seed(cell.seed, "likelihood"), tell)
    if nats is not None:
        arrays["nats"] = nats
        _more_likelihoods(model, session, cell.seed, clock, parts, nats, tell)
    if measure.annealing and model.latent_dims:
        tell("annealing", 0.0)
        with clock.part("annealing"):
            parts["decoder_likelihood"] = annealing.measure(
                model,
                measure.annealing,
                data.test,
                device,
                stream_seed(cell.seed, "annealing"),
                partial(tell, "annealing"),
            )
    tell("speed", 0.0)
    with clock.part("speed"):
        speed = parts["speed"] = cost.sampling_speed(
            model,
            options,
            device,
            batch_sizes=measure.speed_batch_sizes,
            limit_sec=measure.speed_limit_sec,
            latency_limit_sec=measure.latency_limit_sec,
            other_modes=measure.speed_modes,
            counter=session.counter,
        )
    tell("memory", 0.0)
    with clock.part("memory"):
        parts["memory"] = memory.peak_memory(
            cell.entrant.family,
            provenance.config,
            data.shape,
            options,
            device,
            train_batch_size=measure.memory_batch_size,
            sample_batch_size=measure.memory_batch_size,
        )
    tell("portrait", 0.0)
    with clock.part("portrait"):
        arrays |= {"samples": images[:PICTURES], "real": data.test[:PICTURES]}
        parts["portrait"] = _portrait(model, session, stream_seed(cell.seed, "portrait"), arrays)
    if measure.sampler_points:
        parts["sampler_points"] = sweep.sampler_points(
            model,
            options,
            measure,
            device,
            clock,
            headline=(features, speed),
            features_of=lambda n, options, label: sampled(n, options, f"({label})")[1],
            quality_of=partial(session.quality, whole=False),
        )


def _likelihood(model: Model, session: Session, seed: int, tell: Tell) -> tuple[Likelihood, NDArray[np.float32] | None]:
    if model.likelihood == "none":
        return Likelihood(kind="none", bits_per_dim=None, reason=model.about.abilities["likelihood"]), None
    measure = session.suite.measure
    nats = bounds.nats(
        model,
        session.data.test[: measure.likelihood_images],
        torch.Generator(session.device).manual_seed(seed),
        passes=measure.likelihood_passes,
        progress=partial(tell, "likelihood"),
    )
    bits, stderr = summarize(nats, math.prod(session.data.shape))
    found = Likelihood(
        kind=model.likelihood,
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        dequantization=model.dequantization,
        n_images=nats.shape[1],
        passes=len(nats),
        detail=dict(model.nats_detail),
    )
    return found, nats.mean(axis=0).astype(np.float32)


def _more_likelihoods(
    model: Model,
    session: Session,
    seed: int,
    clock: Clock,
    parts: dict[str, Any],
    nats: NDArray[np.float32],
    tell: Tell,
) -> None:
    measure, test = session.suite.measure, session.data.test
    with clock.part("more likelihoods"):
        parts["bounds"] = [
            bounds.measure(
                model,
                one,
                test[: len(nats)],
                nats,
                torch.Generator(session.device).manual_seed(stream_seed(seed, one.name)),
                partial(tell, one.name),
            )
            for one in measure.bound
            if one.name in model.bounds
        ]
        strange = {}
        for kind in measure.out_of_distribution:
            images = bounds.out_of_distribution(
                kind, test[: measure.out_of_distribution_images], stream_seed(seed, kind)
            )
            generator = torch.Generator(session.device).manual_seed(stream_seed(seed, "likelihood"))
            found = bounds.nats(model, images, generator, progress=partial(tell, f"likelihood of {kind}"))
            strange[kind] = summarize(found, math.prod(session.data.shape))[0]
        parts["out_of_distribution_bits_per_dim"] = strange


def _portrait(model: Model, session: Session, seed: int, arrays: dict[str, NDArray[Any]]) -> Portrait:
    few = torch.from_numpy(session.data.test[:PICTURES]).to(session.device)
    with autocast(session.device):
        shown = model.show(few, torch.Generator(session.device).manual_seed(seed))
    arrays |= {name: picture.cpu().numpy() for name, (_, picture) in shown.pictures.items()}
    return Portrait(
        title=model.about.title,
        concept=model.about.concept,
        structure=model.about.structure,
        differs=model.about.differs,
        abilities=dict(model.about.abilities),
        numbers=dict(shown.numbers),
        pictures={name: caption for name, (caption, _) in shown.pictures.items()}
        | ({"neighbours": NEIGHBOURS} if "neighbours" in arrays else {}),
    )


def stream_seed(seed: int, purpose: str) -> int:
    """A stream of its own for every purpose, the same for all entrants, so that they differ by what they are alone."""
    return int(digest([seed, purpose])[:15], 16)


def _scalars(config: Mapping[str, Any]) -> dict[str, Scalar]:
    return {key: value if isinstance(value, str | int | float | bool) else str(value) for key, value in config.items()}
