"""Same-noise drift: samples of a run against those of its baseline from the same noise, image by image.

It sees what no distribution metric can: another kernel, a compile flag, bfloat16, rounded weights. Where weights,
processor and versions are the same, so is every byte; all else is told by how many bytes differ and by how much. The
largest difference alone is no measure, as one pixel that flips between two levels is enough for it.

What a difference speaks of depends on the weights:

- equal weights: of the arithmetic of sampling. It is judged.
- other weights after the same training, loss by loss: of what was done to the weights since. It is judged.
- other weights after another training with the same seed and settings: of the training's code or arithmetic, whose
  smallest difference grows to other images. It is told, and judged where the caller asks for it: whether the model got
  worse is for the tests of its quality to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equibench.quantities.text import join
from equibench.record.schema import Machine, Record

ROUNDING_SHARE, ROUNDING_LEVELS = 0.001, 2  # of bytes and of one byte: another library or processor rounds so
OTHER_SHARE = 0.005  # of bytes: another arithmetic
Arrays = Mapping[str, NDArray[Any]]
Kind = Literal["same", "rounding", "between", "other arithmetic"]
Cause = Literal["sampling", "weights", "training"]
CAUSES: Mapping[Cause, str] = {
    "sampling": "the weights are equal, so sampling computes otherwise",
    "weights": "the training is the same, loss by loss, and its weights are not, so they were changed after it",
    "training": "seed and settings are the same and the weights are not, so the training computed otherwise",
}


@dataclass(frozen=True)
class ImageDifference:
    """Between two sets of images, one by one."""

    n: int  # images on each side
    share: float  # of bytes that differ
    mean_levels: float  # mean absolute difference over all bytes, in grey levels
    largest_levels: int
    feature_distance: float | None  # mean distance of an image's features, over the spread of the baseline's images

    @property
    def kind(self) -> Kind:
        if not self.largest_levels:
            return "same"
        if self.share <= ROUNDING_SHARE and self.largest_levels <= ROUNDING_LEVELS:
            return "rounding"
        return "other arithmetic" if self.share > OTHER_SHARE else "between"


@dataclass(frozen=True)
class Drift:
    """What the same noise gave in a run and in its baseline; `failed` is the verdict."""

    sentence: str  # the whole finding, for a person
    failed: bool
    judged: bool  # False: not comparable, or told without a verdict
    found: ImageDifference | None = None  # None: not comparable, and the sentence says why
    cause: Cause | None = None  # what the difference speaks of

    @property
    def kind(self) -> Kind | None:
        return self.found.kind if self.found else None


def drift(
    baseline: Record,
    run: Record,
    baseline_arrays: Arrays,
    run_arrays: Arrays,
    *,
    trainings: bool = False,
    other_machines: bool = False,
) -> Drift:
    """The drift of one cell, the same entrant and seed on both sides, by the arrays beside its records.

    `trainings`: judge other weights of a training with the same seed and settings too. `other_machines`: judge across
    processors or devices too, which round differently by themselves.
    """
    pictures = [_pictures(record, arrays) for record, arrays in ((baseline, baseline_arrays), (run, run_arrays))]
    if reason := _not_comparable(baseline, run, *pictures):
        return Drift(f"same-noise samples were not compared: {reason}", failed=False, judged=False)
    before, after = (one for one in pictures if one is not None)
    features = _features(baseline, run, baseline_arrays, run_arrays)
    found = difference(before, after, *features)
    cause = _cause(baseline, run)
    here = _same_hardware(baseline.machine, run.machine)
    apart = _apart(baseline, run)
    judged = (here or other_machines) and (cause != "training" or trainings)
    # a GPU may choose its kernels anew in every process
    exact = here and not apart and cause == "sampling" and run.machine.device == "cpu"
    failed = judged and (found.kind != "same" if exact else found.kind == "other arithmetic")
    said = _said(found)
    if found.kind != "same":
        said += f": {CAUSES[cause]}"
        if apart:
            said += f" ({join(apart)})"
        if not here:
            said += "; another machine may round so" + ("" if judged else ", so this is not judged")
        elif not judged:
            said += "; not judged, as quality and likelihood tell whether it got worse"
        elif exact:
            said += ", though machine, versions and settings are the same"
    return Drift(said, failed=failed, judged=judged, found=found, cause=cause)


def difference(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    features_before: NDArray[np.floating] | None = None,
    features_after: NDArray[np.floating] | None = None,
) -> ImageDifference:
    """How far two sets of uint8 images `[N, C, H, W]` differ, and their features `[N, d]` where both are given."""
    apart = np.abs(before.astype(np.int16) - after.astype(np.int16))
    distance = None
    if features_before is not None and features_after is not None:
        distance = _distance(features_before.astype(np.float64), features_after.astype(np.float64))
    return ImageDifference(len(before), float((apart > 0).mean()), float(apart.mean()), int(apart.max()), distance)


def _distance(before: NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    """Mean distance of pairs over the root mean square distance of `before` from its mean."""
    scale = max(float(np.abs(before).max()), float(np.abs(after).max()), 1e-300)  # squares may leave the floats
    before, after = before / scale, after / scale
    spread = math.sqrt(float(np.square(before - before.mean(axis=0)).sum(axis=1).mean()))
    apart = float(np.linalg.norm(after - before, axis=1).mean())
    if not spread:
        return 0.0 if not apart else None  # all images of the baseline are alike
    return apart / spread


def _said(found: ImageDifference) -> str:
    if found.kind == "same":
        return f"{found.n} samples from the same noise are equal to the last byte"
    words = {"rounding": "rounded otherwise", "between": "slightly different", "other arithmetic": "different"}
    features = "" if found.feature_distance is None else f", {found.feature_distance:.2g} of their spread in features"
    return (
        f"{found.n} samples from the same noise are {words[found.kind]} ({found.share:.2%} of bytes, by "
        f"{found.mean_levels:.2g} grey levels on average{features})"
    )


def _pictures(record: Record, arrays: Arrays) -> NDArray[np.uint8] | None:
    found = arrays.get(record.fixed_noise.pictures) if record.fixed_noise else None
    return found if found is not None and found.dtype == np.uint8 and found.ndim == 4 and found.size else None


def _features(
    baseline: Record, run: Record, baseline_arrays: Arrays, run_arrays: Arrays
) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
    """The features of both sides, where they are of one feature space and complete."""
    spaces = [record.quality.features if record.quality else None for record in (baseline, run)]
    found = [
        arrays.get(record.fixed_noise.features or "") if record.fixed_noise else None
        for record, arrays in ((baseline, baseline_arrays), (run, run_arrays))
    ]
    before, after = found
    if before is None or after is None or spaces[0] != spaces[1]:
        return None, None
    whole = before.shape == after.shape and before.ndim == 2 and before.size > 0
    floats = all(np.issubdtype(one.dtype, np.floating) and np.isfinite(one).all() for one in (before, after))
    return (before, after) if whole and floats else (None, None)


def _not_comparable(
    baseline: Record, run: Record, before: NDArray[np.uint8] | None, after: NDArray[np.uint8] | None
) -> str | None:
    """Why the samples are not of the same noise through what is claimed to be the same model."""
    sides = {"the baseline": before, "the run": after}
    if lacking := [name for name, found in sides.items() if found is None]:
        return f"{join(lacking)} {'holds' if len(lacking) == 1 else 'hold'} none"
    assert baseline.fixed_noise is not None
    assert run.fixed_noise is not None
    assert before is not None
    assert after is not None
    if baseline.protocol != run.protocol:
        return f"the protocol is {baseline.protocol} in the baseline and {run.protocol} in the run"
    if baseline.weights_sha256 is None or baseline.weights_sha256 != run.weights_sha256:
        for what, one, other in (
            ("family", baseline.family, run.family),
            ("seed", baseline.seed, run.seed),
            ("configuration", baseline.config, run.config),
            ("budget", baseline.budget, run.budget),
            ("data set", baseline.data.sha256, run.data.sha256),
        ):
            if one != other:
                return f"the weights are not equal, nor is the {what} that they were trained with"
    noise, other_noise = baseline.fixed_noise, run.fixed_noise
    if (noise.noise_seed, noise.n) != (other_noise.noise_seed, other_noise.n) or before.shape != after.shape:
        return "they are not from the same noise"
    if noise.options != other_noise.options:
        return "the sampler's options are not the same"
    return None


def _cause(baseline: Record, run: Record) -> Cause:
    if baseline.weights_sha256 is not None and baseline.weights_sha256 == run.weights_sha256:
        return "sampling"
    if baseline.curve and run.curve and baseline.curve.losses and baseline.curve.losses == run.curve.losses:
        return "weights"
    return "training"


def _same_hardware(one: Machine, other: Machine) -> bool:
    """Whether two records are of one machine, whatever its threads and precision were."""
    what = ("device", "processor", "cores", "system")
    return one.key == other.key or all(getattr(one, name) == getattr(other, name) for name in what)


def _apart(baseline: Record, run: Record) -> list[str]:
    """What else differs that arithmetic depends on, in words; a thing that either does not tell is left out."""
    found = []
    if baseline.versions != run.versions:
        names = sorted(baseline.versions.keys() | run.versions.keys())
        changed = [name for name in names if baseline.versions.get(name) != run.versions.get(name)]
        found.append(f"{join(changed)} of another version")
    for what in ("numerics", "libraries"):
        one, other = getattr(baseline, what), getattr(run, what)
        if one is None or other is None:
            continue
        for field in type(one).model_fields:
            if getattr(one, field) != getattr(other, field):
                found.append(f"{field.replace('_', ' ')} {getattr(one, field)} and {getattr(other, field)}")
    for field in ("threads", "precision"):
        if not any(one.startswith(field) for one in found) and (
            (one := getattr(baseline.machine, field)) != (other := getattr(run.machine, field))
        ):
            found.append(f"{field} {one} and {other}")
    return found
