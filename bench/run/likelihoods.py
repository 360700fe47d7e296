"""Stages that measure likelihoods. Each way to one fails alone: the others keep their numbers."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from equibench.measure.likelihood import annealing
from equibench.measure.likelihood import bounds as bounds_of
from equibench.measure.likelihood.bits import summarize
from equibench.measure.likelihood.monte_carlo import error_parts
from equibench.measuring import BoundSetting
from equibench.record.schema import BoundResult, Likelihood
from equibench.run.obtain import stream_seed
from equibench.run.work import Found, Work, attempt, needed


def likelihood(work: Work, found: Found) -> Found:
    """Bits per dimension of the test images; the reason in its place for a family without a likelihood."""
    work.tell("likelihood", 0.0)
    with work.clock.part("likelihood"):
        measured, nats = usual(work, work.session.likelihood_images, "likelihood")
    if nats is None:
        return found.plus(likelihood=measured)
    return found.plus({"nats": nats.mean(axis=0).astype(np.float32)}, likelihood=measured)


def usual(work: Work, images: NDArray[np.uint8], label: str) -> tuple[Likelihood, NDArray[np.float64] | None]:
    """Bits per dimension of `images`, the first of the test images as they are drawn, by the family's usual way, and
    its nats `[passes, N]`; without a likelihood the reason, and None. Of a class-conditional model given their labels.
    """
    model = work.model
    if model.likelihood == "none":
        return Likelihood(kind="none", bits_per_dim=None, reason=model.about.abilities["likelihood"]), None
    generator, passes = work.generator("likelihood"), work.session.suite.measure.likelihood_passes
    labels = work.true_labels(len(images))
    progress = partial(work.tell, label)
    nats = bounds_of.nats(model, images, generator, passes=passes, labels=labels, progress=progress)
    dims = math.prod(work.session.data.shape)
    bits, stderr = summarize(nats, dims)
    monte_carlo = None
    if noise := bounds_of.drawn_noise(model, images, generator, labels=labels):
        stderr, monte_carlo = error_parts(nats, noise, dims)
    measured = Likelihood(
        kind=model.likelihood,
        given=bounds_of.given(labels),
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        stderr_monte_carlo_bits_per_dim=monte_carlo,
        dequantization=model.dequantization,
        n_images=nats.shape[1],
        passes=len(nats),
        detail=dict(model.nats_detail),
    )
    return measured, nats


def bounds(work: Work, found: Found) -> Found:
    """Other ways to the likelihood, on some of the same images."""
    wanted = [one for one in work.session.suite.measure.bound if one.name in work.model.bounds]
    if not wanted or work.model.likelihood == "none":
        return found
    nats = needed(found.arrays.get("nats"))
    test = work.session.likelihood_images
    for one in wanted:

        def measure(one: BoundSetting = one) -> BoundResult:
            with work.clock.part("more likelihoods"):
                tell, labels = partial(work.tell, one.name), work.true_labels(len(test))
                return bounds_of.measure(work.model, one, test, nats, work.generator(one.name), tell, labels)

        measured, found = attempt(found, one.name, measure)
        if measured:
            found = found.plus(bounds=[*found.results.bounds, measured])
    return found


def out_of_distribution(work: Work, found: Found) -> Found:
    """Bits per dimension of images that are none of the data: inverted, constant, noise. To a class-conditional model
    each has the label of the test image that it was made of, or stands for.
    """
    measure = work.session.suite.measure
    if work.model.likelihood == "none" or not measure.out_of_distribution:
        return found
    test = work.session.drawn_test[: measure.out_of_distribution_images]
    found = found.plus(out_of_distribution_images=len(test))
    for kind in measure.out_of_distribution:

        def bits_of(kind: str = kind) -> float:
            with work.clock.part("more likelihoods"):
                seed = stream_seed(work.seed, kind)
                images = bounds_of.out_of_distribution(kind, test, seed)
                progress = partial(work.tell, f"likelihood of {kind}")
                generator, labels = work.generator("likelihood"), work.true_labels(len(test))
                nats = bounds_of.nats(work.model, images, generator, labels=labels, progress=progress)
                return summarize(nats, math.prod(work.session.data.shape))[0]

        bits, found = attempt(found, f"likelihood of {kind}", bits_of)
        if bits is not None:
            there = {**found.results.out_of_distribution_bits_per_dim, kind: bits}
            found = found.plus(out_of_distribution_bits_per_dim=there)
    return found


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
            work.session.drawn_test,
            work.session.device,
            stream_seed(work.seed, "annealing"),
            partial(work.tell, "annealing"),
        )
    return found.plus(decoder_likelihood=measured)
