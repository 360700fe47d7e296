"""Likelihoods by other ways than the usual one: on some test images, beside what the usual way says of the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.machine.device import autocast
from equibench.measure.likelihood.bits import bits_per_dim, importance_weighted, summarize
from equibench.measure.likelihood.monte_carlo import (
    GROUP,
    MOST_GROUPS,
    DrawNoise,
    draw_noise,
    error_parts,
    passes_noise,
    weights_noise,
)
from equibench.measuring import BoundSetting
from equibench.record.schema import BoundResult
from equibench_models.contract import Model

Images = NDArray[np.uint8]  # [N, C, H, W]
Progress = Callable[[float], None]
# uint8 images [B, C, H, W], a generator and, of a class-conditional model, labels [B] -> nats [B]
Way = Callable[..., torch.Tensor]
Labels = NDArray[np.int64]  # [N]
BATCH = 250


class NotFiniteError(ValueError):
    """A likelihood was NaN or infinite."""


def nats(
    model: Model,
    images: Images,
    generator: torch.Generator,
    *,
    passes: int = 1,
    way: Way | None = None,
    labels: Labels | None = None,
    batch_size: int = BATCH,
    progress: Progress = lambda share: None,
) -> NDArray[np.float64]:
    """Negative log-likelihoods in nats `[passes, N]`, pass by pass, by the model's usual way or another; given `labels`
    those of each image given its label.

    Raises NotFiniteError if one is not finite.
    """
    one_pass = way or model.nats
    device = generator.device
    found = np.empty((passes, len(images)))
    batches = range(0, len(images), batch_size)
    for i in range(passes):
        for done, start in enumerate(batches):
            part = slice(start, start + batch_size)
            batch = torch.from_numpy(images[part]).to(device)
            told = [] if labels is None else [torch.from_numpy(labels[part]).to(device)]
            with autocast(device):
                values = one_pass(batch, generator, *told)
            found[i, start : start + batch_size] = values.double().cpu().numpy()
            progress((i + (done + 1) / len(batches)) / passes)
    if not np.isfinite(found).all():
        raise NotFiniteError(f"{np.count_nonzero(~np.isfinite(found))} likelihoods were not finite")
    return found


def drawn_noise(
    model: Model,
    images: Images,
    generator: torch.Generator,
    way: Way | None = None,
    labels: Labels | None = None,
) -> DrawNoise | None:
    """Monte Carlo noise of one draw an image, by two more for each of some of `images`; None of fewer than two.

    Raises NotFiniteError if a likelihood is not finite.
    """
    size = min(max(len(images) // MOST_GROUPS, 2), GROUP)
    groups = min(len(images) // size, MOST_GROUPS)
    if not groups:
        return None
    some, told = images[: groups * size], None if labels is None else labels[: groups * size]
    found = nats(model, some, generator, passes=2, way=way, labels=told, batch_size=size)
    first, second = found.reshape(2, groups, size)
    return draw_noise(first, second)


def measure(
    model: Model,
    setting: BoundSetting,
    images: Images,
    usual_nats: NDArray[np.floating],
    generator: torch.Generator,
    progress: Progress = lambda share: None,
    labels: Labels | None = None,
) -> BoundResult:
    """The bound of `setting` on the first of `images`, whose order is drawn; `usual_nats` `[N]` are what the usual way
    gave for all. With `labels` both are given the label.

    Raises NotFiniteError if a likelihood is not finite.
    """
    declared = model.bounds[setting.name]
    images, usual = images[: setting.images], usual_nats[: setting.images].astype(np.float64)
    labels = None if labels is None else labels[: setting.images]
    dims = math.prod(images.shape[1:])

    def run(steps: int | None, part: Progress) -> NDArray[np.float64]:
        way = declared.way(model, steps)
        return nats(model, images, generator, passes=setting.passes, way=way, labels=labels, progress=part)

    curve: dict[int, float] = {}
    passes: NDArray[np.float64] | None = None
    if declared.weight:
        passes = run(None, progress)
        per_k = importance_weighted(passes)
        curve = {k: bits_per_dim(float(values.mean()), dims) for k, values in per_k.items()}
        per_image = per_k[len(passes)]
    elif declared.steps and setting.check_steps:
        state = generator.get_state()
        per_image = run(declared.steps, lambda share: progress(share / 3)).mean(axis=0)
        generator.set_state(state)  # both begin with the same noise; a chain of more steps then draws other noise
        finer = run(2 * declared.steps, lambda share: progress((1 + 2 * share) / 3)).mean(axis=0)
        for steps, values in ((declared.steps, per_image), (2 * declared.steps, finer)):
            curve[steps] = bits_per_dim(float(values.mean()), dims)
    else:
        passes = run(None, progress)
        per_image = passes.mean(axis=0)
    bits, stderr = summarize(per_image[None], dims)
    monte_carlo = None
    if passes is not None and (left := _noise_left(model, setting, images, labels, passes, generator)):
        stderr, monte_carlo = error_parts(per_image[None], left, dims)
    return BoundResult(
        name=setting.name,
        about=declared.about,
        kind=declared.kind,
        given=given(labels),
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        stderr_monte_carlo_bits_per_dim=monte_carlo,
        dequantization=declared.dequantization,
        n_images=len(images),
        passes=setting.passes,
        usual_bits_per_dim=bits_per_dim(float(usual.mean()), dims),
        stderr_of_difference_bits_per_dim=summarize((per_image - usual)[None], dims)[1],
        detail={"steps": declared.steps} if declared.steps else {},
        curve=curve,
    )


def given(labels: Labels | None) -> Literal["label"] | None:
    """What a likelihood is given, as a record says it."""
    return None if labels is None else "label"


def _noise_left(
    model: Model,
    setting: BoundSetting,
    images: Images,
    labels: Labels | None,
    passes: NDArray[np.float64],
    generator: torch.Generator,
) -> DrawNoise | None:
    """Monte Carlo noise in what `passes`, nats `[passes, N]`, gave for each image. None for a single pass that takes
    steps or gives a weight: to estimate its noise would take as long again.
    """
    declared = model.bounds[setting.name]
    if len(passes) > 1:
        return weights_noise(passes) if declared.weight else passes_noise(passes)
    if declared.steps or declared.weight:
        return None
    return drawn_noise(model, images, generator, declared.way(model), labels)


def out_of_distribution(kind: str, images: Images, seed: int) -> Images:
    """Images that the training data do not hold: `inverted`; `constant`, each of one level for each channel; `noise`,
    uniform; `shuffled pixels`, each image in an order of its own. As many as `images`, uint8 `[N, C, H, W]`. Raises
    ValueError for another kind.
    """
    random = np.random.default_rng(seed)
    if kind == "inverted":
        return 255 - images
    if kind == "constant":
        levels = random.integers(0, 256, (*images.shape[:2], 1, 1), dtype=np.uint8)
        return np.broadcast_to(levels, images.shape).copy()
    if kind == "noise":
        return random.integers(0, 256, images.shape, dtype=np.uint8)
    if kind == "shuffled pixels":
        flat = images.reshape(*images.shape[:2], -1)
        return np.stack([image[:, random.permutation(flat.shape[2])] for image in flat]).reshape(images.shape)
    raise ValueError(f"unknown kind {kind!r}")
