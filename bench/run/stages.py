"""What is measured of a trained entrant: named stages in a fixed order, each a function of frozen work.

A stage adds its own part to what the stages before it found; one that fails leaves its part empty, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.data.parts import drawn_of
from equibench.entrant import SAMPLES
from equibench.machine.device import autocast, reset_defaults
from equibench.measure.cost import speed as speed_of
from equibench.measure.cost.modes import Mode
from equibench.measure.quality.memorization import memorization_test
from equibench.measure.quality.reference import features_of
from equibench.protocol import NOISE_SEED
from equibench.record.anatomy import FixedNoise
from equibench.record.cost import ModeSpeed
from equibench.record.schema import Portrait
from equibench.record.surroundings import TimedBlock
from equibench.run.along import measure_along
from equibench.run.floors import parts_of
from equibench.run.labelled import numbers_by_class, probes
from equibench.run.likelihoods import bounds, decoder_likelihood, likelihood, out_of_distribution
from equibench.run.session import Session
from equibench.run.spaces import spaces
from equibench.run.structure import PartsError, structure_of
from equibench.run.sweep import Sweep
from equibench.run.work import Found, Work, attempt, needed
from equibench.suite import Cell
from equibench_models.contract import Shape

PICTURES = 64  # samples kept for the report
NOISE_DIMS = 32  # of the features kept of samples from the same noise
NEIGHBOURS = (
    "The samples nearest to a training image, a row each, and beside each the nearest training images in features."
)
Stage = Callable[[Work, Found], Found]


class WrongSamplesError(Exception):
    """A sampler gave something else than the images that it was asked for."""


def quality(work: Work, found: Found) -> Found:
    """Samples with the headline's settings, and their distance from the test images and other metrics."""
    images, features = _sampled(work, work.session.suite.measure.samples, work.options, "")
    with work.clock.part("quality"):
        work.tell("quality", 0.0)
        measured = work.session.quality(features, work.options)
    return replace(found.plus(quality=measured), images=images, features=features)


def memorization(work: Work, found: Found) -> Found:
    """Whether samples lie nearer to training images than to held-out ones, and the nearest pairs to look at."""
    session, data = work.session, work.session.data
    n = min(session.suite.measure.memorization_images, len(data.train), len(data.test))
    if not n:
        return found
    images, features, measured = needed(found.images), needed(found.features), needed(found.results.quality)
    with work.clock.part("features"):
        known = data.train[drawn_of(data.train, n)]
        theirs, held_out = features_of(known, session.extractor, session.cache), session.test_features(n)
    with work.clock.part("quality"):
        on_device = torch.from_numpy(features).to(session.device)
        test, neighbours = memorization_test(on_device, images, known, theirs, held_out)
    return found.plus({"neighbours": neighbours}, quality=measured.model_copy(update={"memorization": test}))


def distance_parts(work: Work, found: Found) -> Found:
    """Which images, and which classes of them, make the distance between samples and test images."""
    images, features = needed(found.images), needed(found.features)
    work.tell("parts of the distance", 0.0)
    with work.clock.part("quality"):
        parts, pictures = parts_of(work.session, images, features)
    return found.plus(pictures, distance_parts=parts)


def speed(work: Work, found: Found) -> Found:
    """Images a second at several batch sizes, latency at batch 1, evaluations of the network and FLOPs."""
    measure = work.session.suite.measure
    timed: list[TimedBlock] = []
    work.tell("speed", 0.0)
    with work.clock.part("speed"):
        measured = speed_of.sampling_speed(
            work.model,
            work.options,
            work.session.device,
            batch_sizes=measure.speed_batch_sizes,
            limit_sec=measure.speed_limit_sec,
            latency_limit_sec=measure.latency_limit_sec,
            other_modes=measure.speed_modes,
            in_mode=partial(_in_mode, work),
            counter=work.session.counter,
            block=lambda name: work.session.beside.block(name, timed),
        )
    return found.plus(speed=measured, timed=[*found.results.timed, *timed])


def _in_mode(work: Work, mode: Mode, batch_size: int) -> ModeSpeed:
    measure = work.session.suite.measure
    return work.session.mode_speed(
        mode,
        work.family,
        work.config,
        work.session.data.shape,
        work.options,
        work.session.device,
        batch_size=batch_size,
        limit_sec=measure.speed_limit_sec,
        latency_limit_sec=measure.latency_limit_sec,
    )


def memory(work: Work, found: Found) -> Found:
    """Peak bytes of training and of sampling, each in a fresh process."""
    batch_size = work.session.suite.measure.memory_batch_size
    work.tell("memory", 0.0)
    with work.clock.part("memory"):
        measured = work.session.peak_memory(
            work.family,
            work.config,
            work.session.data.shape,
            work.options,
            work.session.device,
            train_batch_size=batch_size,
            sample_batch_size=batch_size,
        )
    return found.plus(memory=measured)


def portrait(work: Work, found: Found) -> Found:
    """What the report tells and shows of the family: words, numbers and pictures."""
    session, about = work.session, work.model.about
    work.tell("portrait", 0.0)
    with work.clock.part("portrait"):
        few = torch.from_numpy(session.drawn_test[:PICTURES]).to(session.device)
        with autocast(session.device):
            shown = work.model.show(few, work.generator("portrait"))
        arrays = {name: picture.cpu().numpy() for name, (_, picture) in shown.pictures.items()}
    captions = {name: caption for name, (caption, _) in shown.pictures.items()}
    drawn_of = Portrait(
        title=about.title,
        concept=about.concept,
        structure=about.structure,
        differs=about.differs,
        abilities=dict(about.abilities),
        numbers={name: value for name, value in shown.numbers.items() if math.isfinite(value)},
        pictures=captions | ({"neighbours": NEIGHBOURS} if "neighbours" in found.arrays else {}),
    )
    if found.images is not None:
        arrays |= {"samples": found.images[:PICTURES], "real": session.drawn_test[:PICTURES]}
    try:
        found = found.plus(structure=structure_of(work.model))
    except PartsError as error:
        found = found.failed("structure", str(error))
    odd = [f"{name} is {value}" for name, value in shown.numbers.items() if not math.isfinite(value)]
    found = found.plus(arrays, portrait=drawn_of)
    return (
        found.failed("portrait", f"{' and '.join(odd)}, which no record holds; the other numbers are kept")
        if odd
        else found
    )


def sampler_points(work: Work, found: Found) -> Found:
    """Quality and cost of other settings of the sampler, on fewer samples, and a few of these to look at."""
    measure = work.session.suite.measure
    if not measure.sampler_points:
        return found
    features, speed = needed(found.features), needed(found.results.speed)
    timed: list[TimedBlock] = []
    sweep = Sweep(
        work.model,
        work.options,
        measure,
        work.session.device,
        work.clock,
        sampled=lambda n, options, label: _sampled(work, n, options, f"({label})"),
        quality_of=work.session.quality,
        block=lambda name: work.session.beside.block(name, timed),
    )
    found = found.plus(sampler_points=[sweep.headline(features, speed)])
    n = min(measure.sweep_samples, len(features))
    for label, options in sweep.settings():
        drawn, found = attempt(found, label, partial(sweep.point, label, options, n, speed.batch_size))
        if drawn:
            results, key = found.results, f"sampler_{len(found.results.sampler_points)}"
            point, way = (one and one.model_copy(update={"pictures": key}) for one in (drawn.point, drawn.way))
            found = found.plus(
                {key: drawn.images[:PICTURES]},
                sampler_points=[*results.sampler_points, point],
                ways=[*results.ways, *([way] if way else [])],
            )
    return found.plus(timed=[*found.results.timed, *timed])


def fixed_noise(work: Work, found: Found) -> Found:
    """A few samples from noise that is the same for every run of an entrant, to be compared image by image."""
    n = work.session.suite.measure.noise_samples
    if not n:
        return found
    generator = torch.Generator(work.session.device).manual_seed(NOISE_SEED)
    images, features = _sampled(work, n, work.options, "(same noise)", generator)
    kept = FixedNoise(
        n=n, noise_seed=NOISE_SEED, options=dict(work.options), pictures="noise_samples", features="noise_features"
    )
    return found.plus({"noise_samples": images, "noise_features": few_dims(features)}, fixed_noise=kept)


def along_training(work: Work, found: Found) -> Found:
    """Quality and likelihood at points of the training, and at its end, from one set of noise."""
    return measure_along(work, found, _sampled)


def few_dims(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features `[N, d]` on random directions, `[N, min(d, NOISE_DIMS)]`, which keep distances on average (Johnson and
    Lindenstrauss 1984): a record holds them for each run.
    """
    d = features.shape[1]
    if d <= NOISE_DIMS:
        return features
    directions = np.random.default_rng(NOISE_SEED).standard_normal((d, NOISE_DIMS)) / math.sqrt(NOISE_DIMS)
    return (features @ directions).astype(np.float32)


OF_SAMPLES = ("quality", "memorization", "distance_parts", "spaces", "numbers_by_class", "portrait")
# by the part of the record that each fills; memorization's is within the quality, that of the training `along`
STAGES: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        quality,
        memorization,
        distance_parts,
        spaces,
        numbers_by_class,
        probes,
        likelihood,
        bounds,
        out_of_distribution,
        decoder_likelihood,
        speed,
        memory,
        portrait,
        sampler_points,
        fixed_noise,
        along_training,
    )
}

TIMED = {"speed", "sampler_points"}  # which have the device alone, where other cells share it


def stages_of(cell: Cell, session: Session) -> list[str]:
    """The stages that a run does of a cell, in order; for samples without a model, those that need none."""
    alone = cell.entrant is not None and cell.entrant.family == SAMPLES
    return [name for name in stages_wanted(session) if not alone or name in OF_SAMPLES]


def stages_wanted(session: Session) -> list[str]:
    """The stages that a run does of a model, in their order."""
    return [name for name in STAGES if session.stages is None or name in session.stages]


def _sampled(
    work: Work, n: int, options: Mapping[str, Any], label: str, generator: torch.Generator | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """`n` samples, the same for the same options, and their features."""
    generator = generator or work.generator("sample")
    work.tell(f"sample {label}".strip(), 0.0)
    with work.clock.part("sample"), autocast(work.session.device):
        told = work.told(n, generator)
        images = _checked(work.model.sample(n, generator, **options, **told), n, work.session.data.shape)
    reset_defaults()  # that a sampler of a user's own may have changed: what follows would measure it otherwise
    done = 0

    def count(many: int) -> None:
        nonlocal done
        done += many
        work.tell(f"features {label}".strip(), done / n)

    with work.clock.part("features"):
        return images, work.session.extractor(images, count)


def _checked(images: torch.Tensor, n: int, shape: Shape) -> NDArray[np.uint8]:
    """What a sampler gave, which must be uint8 `[n, C, H, W]`."""
    if images.dtype != torch.uint8 or images.shape != (n, *shape):
        raise WrongSamplesError(f"sample gave {images.dtype} {list(images.shape)}, not torch.uint8 {[n, *shape]}")
    return images.cpu().numpy()
