"""What is measured of a trained entrant: named stages in a fixed order, each a function of frozen work.

A stage adds its own part to what the stages before it found; one that fails leaves its part empty, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.machine.clock import Clock
from equibench.machine.device import autocast
from equibench.measure.cost import memory as memory_of
from equibench.measure.cost import speed as speed_of
from equibench.measure.likelihood import annealing
from equibench.measure.likelihood import bounds as bounds_of
from equibench.measure.likelihood.bits import summarize
from equibench.measure.quality.memorization import memorization_test
from equibench.measure.quality.reference import drawn, features_of
from equibench.record.base import Scalar
from equibench.record.schema import Likelihood, Portrait, Results
from equibench.run import sweep
from equibench.run.obtain import stream_seed
from equibench.run.session import Session, Tell
from equibench_models.contract import Model

T = TypeVar("T")
PICTURES = 64  # samples kept for the report
NEIGHBOURS = (
    "The samples nearest to a training image, a row each, and beside each the nearest training images in features."
)
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


@dataclass(frozen=True)
class Found:
    """What the stages found so far: the record's part, the arrays beside it, and what later stages start from."""

    results: Results = field(default_factory=Results)
    arrays: Arrays = field(default_factory=dict)
    images: NDArray[np.uint8] | None = None  # the headline's samples
    features: NDArray[np.float32] | None = None  # of these

    def plus(self, arrays: Arrays | None = None, **results: Any) -> Found:
        """With parts of the record, and arrays, added."""
        return replace(self, results=self.results.model_copy(update=results), arrays={**self.arrays, **(arrays or {})})


Stage = Callable[[Work, Found], Found]


class MissingError(Exception):
    """A stage before did not give what this one starts from."""


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
    images, features, measured = _needed(found.images), _needed(found.features), _needed(found.results.quality)
    with work.clock.part("features"):
        known = data.train[drawn(len(data.train), n)]
        theirs, held_out = features_of(known, session.extractor), session.test_features(n)
    with work.clock.part("quality"):
        on_device = torch.from_numpy(features).to(session.device)
        test, neighbours = memorization_test(on_device, images, known, theirs, held_out)
    return found.plus({"neighbours": neighbours}, quality=measured.model_copy(update={"memorization": test}))


def likelihood(work: Work, found: Found) -> Found:
    """Bits per dimension of the test images; the reason in its place for a family without a likelihood."""
    model, session, measure = work.model, work.session, work.session.suite.measure
    work.tell("likelihood", 0.0)
    if model.likelihood == "none":
        reason = model.about.abilities["likelihood"]
        return found.plus(likelihood=Likelihood(kind="none", bits_per_dim=None, reason=reason))
    with work.clock.part("likelihood"):
        nats = bounds_of.nats(
            model,
            session.data.test[: measure.likelihood_images],
            work.generator("likelihood"),
            passes=measure.likelihood_passes,
            progress=partial(work.tell, "likelihood"),
        )
        bits, stderr = summarize(nats, math.prod(session.data.shape))
    measured = Likelihood(
        kind=model.likelihood,
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        dequantization=model.dequantization,
        n_images=nats.shape[1],
        passes=len(nats),
        detail=dict(model.nats_detail),
    )
    return found.plus({"nats": nats.mean(axis=0).astype(np.float32)}, likelihood=measured)


def bounds(work: Work, found: Found) -> Found:
    """Other ways to the likelihood, on some of the same images."""
    wanted = [one for one in work.session.suite.measure.bound if one.name in work.model.bounds]
    if not wanted or work.model.likelihood == "none":
        return found
    nats = _needed(found.arrays.get("nats"))
    with work.clock.part("more likelihoods"):
        test = work.session.data.test[: len(nats)]
        measured = [
            bounds_of.measure(work.model, one, test, nats, work.generator(one.name), partial(work.tell, one.name))
            for one in wanted
        ]
    return found.plus(bounds=measured)


def out_of_distribution(work: Work, found: Found) -> Found:
    """Bits per dimension of images that are none of the data: inverted, constant, noise."""
    measure, test = work.session.suite.measure, work.session.data.test
    if work.model.likelihood == "none":
        return found
    bits = {}
    with work.clock.part("more likelihoods"):
        for kind in measure.out_of_distribution:
            seed = stream_seed(work.seed, kind)
            images = bounds_of.out_of_distribution(kind, test[: measure.out_of_distribution_images], seed)
            progress = partial(work.tell, f"likelihood of {kind}")
            nats = bounds_of.nats(work.model, images, work.generator("likelihood"), progress=progress)
            bits[kind] = summarize(nats, math.prod(work.session.data.shape))[0]
    return found.plus(out_of_distribution_bits_per_dim=bits)


def decoder_likelihood(work: Work, found: Found) -> Found:
    """log p(x) through the decoder, in nats, by annealed importance sampling (Wu et al. 2017)."""
    setting = work.session.suite.measure.annealing
    if not setting or not work.model.latent_dims:
        return found
    work.tell("annealing", 0.0)
    with work.clock.part("annealing"):
        measured = annealing.measure(
            work.model,
            setting,
            work.session.data.test,
            work.session.device,
            stream_seed(work.seed, "annealing"),
            partial(work.tell, "annealing"),
        )
    return found.plus(decoder_likelihood=measured)


def speed(work: Work, found: Found) -> Found:
    """Images a second at several batch sizes, latency at batch 1, evaluations of the network and FLOPs."""
    measure = work.session.suite.measure
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
            counter=work.session.counter,
        )
    return found.plus(speed=measured)


def memory(work: Work, found: Found) -> Found:
    """Peak bytes of training and of sampling, each in a fresh process."""
    batch_size = work.session.suite.measure.memory_batch_size
    work.tell("memory", 0.0)
    with work.clock.part("memory"):
        measured = memory_of.peak_memory(
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
        few = torch.from_numpy(session.data.test[:PICTURES]).to(session.device)
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
        numbers=dict(shown.numbers),
        pictures=captions | ({"neighbours": NEIGHBOURS} if "neighbours" in found.arrays else {}),
    )
    if found.images is not None:
        arrays |= {"samples": found.images[:PICTURES], "real": session.data.test[:PICTURES]}
    return found.plus(arrays, portrait=drawn_of)


def sampler_points(work: Work, found: Found) -> Found:
    """Quality and cost of other settings of the sampler, on fewer samples."""
    measure = work.session.suite.measure
    if not measure.sampler_points:
        return found
    points = sweep.sampler_points(
        work.model,
        work.options,
        measure,
        work.session.device,
        work.clock,
        headline=(_needed(found.features), _needed(found.results.speed)),
        features_of=lambda n, options, label: _sampled(work, n, options, f"({label})")[1],
        quality_of=partial(work.session.quality, whole=False),
    )
    return found.plus(sampler_points=points)


# by the part of the record that each fills; memorization's is within the quality
STAGES: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        quality,
        memorization,
        likelihood,
        bounds,
        out_of_distribution,
        decoder_likelihood,
        speed,
        memory,
        portrait,
        sampler_points,
    )
}


def _sampled(
    work: Work, n: int, options: Mapping[str, Any], label: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """`n` samples, the same for the same options, and their features."""
    generator = work.generator("sample")
    work.tell(f"sample {label}".strip(), 0.0)
    with work.clock.part("sample"), autocast(work.session.device):
        images = work.model.sample(n, generator, **options).cpu().numpy()
    done = 0

    def count(many: int) -> None:
        nonlocal done
        done += many
        work.tell(f"features {label}".strip(), done / n)

    with work.clock.part("features"):
        return images, work.session.extractor(images, count)


def _needed(value: T | None) -> T:
    if value is None:
        raise MissingError("it starts from what an earlier stage did not give")
    return value
