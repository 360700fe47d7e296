"""All that moves a number: the settings that it was made with, by their fields in a signature.

Two settings that can give two values never share these fields. What moves a number in its last bits at most (threads,
the commit, an algorithm that rounds otherwise) is not among them. docs/signatures.md has the list.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from equibench.hashing import digest
from equibench.quantities import glossary
from equibench.quantities.metric import bits_kind
from equibench.quantities.text import settings
from equibench.record.anatomy import DistanceParts
from equibench.record.base import Scalar
from equibench.record.cost import Energy, MatrixProducts, Memory, Speed, SpeedPoint
from equibench.record.labels import ByClass, ClassNumbers, Probes
from equibench.record.schema import (
    USUAL,
    Budget,
    DecoderLikelihood,
    Likelihood,
    Machine,
    Memorization,
    Portrait,
    Quality,
    Record,
    SampleMetric,
    SamplerPoint,
)

KEY_DIGITS = 8
# variables by which a library multiplies with fewer digits than its caller asked for
COARSER = ("ONEDNN_DEFAULT_FPMATH_MODE", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
Fields = dict[str, str]
NetworkWork = Literal["training", "sampling", "likelihood"]  # of an entrant's networks


def moved_by(record: Record, path: str, parts: Sequence[Any]) -> Fields:
    """What moves the number at `path`, by field of a signature, in a fixed order; `parts` are what lies on the way to
    it, the record first.
    """
    fields: Fields = {}
    for part in parts[1:]:
        fields |= _of_part(record, path, part)
    if path.startswith("out_of_distribution"):
        fields |= _out_of_distribution(record)
    if path.startswith("clock."):
        fields |= _digits("measuring", record.measuring_sha256)
    fields["data"] = hashed(record.data.name, record.data.sha256)
    if record.data.lossy:
        fields["lossy"] = record.data.lossy
    fields["budget"] = _budget(record.budget)
    if record.role == "entrant" and not path.startswith(("data.", "matrix_products.")):
        fields |= _of_the_model(record)
    if (known := glossary.known(path)) and known.timed:
        fields["machine"] = machine_words(record.machine)
    return fields


def _of_part(record: Record, path: str, part: Any) -> Fields:
    """What a part of a record says of how its numbers were made."""
    match part:
        case Quality():
            return _quality(record, path, part)
        case SampleMetric():
            return {"n": str(part.n_samples)} | ({"err": _over(part)} if "stderr" in path else {})
        case Memorization():
            return {"ntrain": str(part.n_train)}
        case Likelihood():
            ref = hashed(f"{record.data.name}-test", record.data.sha256)
            found = {"n": str(part.n_images), "ref": ref, "kind": bits_kind(part), "passes": str(part.passes)}
            of_usual = path.endswith((".usual_bits_per_dim", ".stderr_of_difference_bits_per_dim"))
            usual = record.likelihood if of_usual else None
            return found | _detail(part) | _usual(usual) | _evaluation(record, "likelihood")
        case DecoderLikelihood():
            how = f"{part.chains} chains, {part.temperatures} temperatures, {part.leapfrog_steps} leapfrog steps"
            found = {"n": str(part.n_images), "anneal": f"{how}, sigma {exact(part.sigma)}"}
            return found | _evaluation(record, "likelihood")
        case Speed():
            return {"sampler": options(part.options)} | _timed(record, path, part)
        case SpeedPoint():
            return {"batch": str(part.batch_size)}
        case SamplerPoint():
            return _point(record, path, part)
        case Memory():
            return _memory(record, path, part)
        case Energy():
            return {"counter": part.quantity or "none"}
        case MatrixProducts():
            return {"eval": part.precision}
        case DistanceParts():  # of the headline's samples and reference
            return _quality(record, path, record.quality) if record.quality else {}
        case ByClass():
            fields = _quality(record, path, record.quality) if record.quality else {}
            return fields | {"ntrain": str(part.classifier_images), "assigned": part.assigned_by}
        case ClassNumbers():
            judged = {"assigned": "classifier"} if ".judged." in path else {}
            # Labels are drawn, so that each seed has another number of a class's samples: a kernel distance is without
            # bias for any, its standard error is not the same. The number of all samples is there already.
            return ({"n": str(part.n_samples)} if path.endswith(".stderr") else {}) | judged
        case Probes():
            ref = hashed(f"{record.data.name}-test", record.data.sha256)
            found = {"n": str(part.n_test), "ref": ref, "ntrain": str(part.n_train)}
            return found | _evaluation(record, "likelihood")
        case Portrait():
            return _evaluation(record, "sampling")
    return {}


def _quality(record: Record, path: str, part: Quality) -> Fields:
    split = f"{record.data.name}-{part.reference}"
    there = part.reference_sha256
    fields = {"n": str(part.n_samples), "ref": hashed(split, there) if there else f"{split},{part.n_reference}"}
    if part.features:
        fields["fx"] = hashed(part.features.name, part.features.weights_sha256)
        fields["prep"] = digest(part.features.preprocessing)[:KEY_DIGITS]
        fields |= _digits("probe", part.features.probe_sha256)
    how = {
        "quality.stderr": part.stderr_method or (part.interval and part.interval.method),
        "quality.interval": part.interval and part.interval.method,
        "quality.corrected": part.corrected_interval and part.corrected_interval.method,
    }
    own = f"quality.{path.rpartition('quality.')[2]}"  # of a way to sample as of the headline
    method = next((found for start, found in how.items() if own.startswith(start) and found), None)
    if method:
        fields["by"] = method
    if own.startswith("quality.corrected") and part.corrected_for:
        fields["unbiased"] = part.corrected_for
    return fields | {"sampler": options(part.options)} | _evaluation(record, "sampling", "features")


def _memory(record: Record, path: str, part: Memory) -> Fields:
    if "train" in path:
        return {"quantity": part.quantity, "batch": str(part.train_batch_size)}
    fields = {"quantity": part.quantity, "batch": str(part.sample_batch_size)}
    if part.options is not None:
        fields["sampler"] = options(part.options)
    return fields | _evaluation(record, "sampling")


def _out_of_distribution(record: Record) -> Fields:
    """The likelihood is the family's usual one, in one pass."""
    n = record.out_of_distribution_images
    return ({} if n is None else {"n": str(n)}) | _evaluation(record, "likelihood")


def _detail(part: Likelihood) -> Fields:
    return {"detail": options(part.detail)} if part.detail else {}


def _usual(part: Likelihood | None) -> Fields:
    """How the usual bound was measured, where another one's number is a difference to it."""
    if part is None:
        return {}
    how = f"{part.passes} passes over {part.n_images} images"
    return {"usual": ", ".join([how, *([options(part.detail)] if part.detail else [])])}


def _over(part: SampleMetric) -> str:
    return part.stderr_over or "samples"


def _point(record: Record, path: str, part: SamplerPoint) -> Fields:
    """Points of the headline and of ways with a row of their own are of the first of the samples drawn for these, and
    other noise is drawn for more of them.
    """
    fields = {"sampler": options(part.options)}
    drawn = {way.label: way.quality for way in record.ways} | {USUAL: record.quality}
    if ".quality." in path and (whole := drawn.get(part.label)):
        fields["of"] = str(whole.n_samples)
    return fields | (_timed(record, path, record.speed) if record.speed else {})


def _timed(record: Record, path: str, speed: Speed) -> Fields:
    """What moves a number of `speed` that is timed, or follows from one: passes through the network and FLOPs do not,
    and the distance of a setting is none.
    """
    if path.endswith(("network_evaluations", "flops_per_image")) or ".quality." in path:
        return {}
    latency = "latency" in path
    limit = speed.latency_limit_sec if latency else speed.limit_sec
    fields = {"batch": "1" if latency else _tried(speed)} | ({} if limit is None else {"limit": f"{exact(limit)}s"})
    return fields | _evaluation(record, "sampling")


def _tried(speed: Speed) -> str:
    """Batch sizes: the fastest of several is a result, and what is given is which ones were tried."""
    return ",".join(map(str, sorted({point.batch_size for point in speed.sweep} | {speed.batch_size})))


def _of_the_model(record: Record) -> Fields:
    """What made the model: its config and the arithmetic of its training, or the weights that were loaded."""
    fields = {"config": digest([record.family, record.config])[:KEY_DIGITS]}
    if record.budget is None:
        return fields | _digits("weights", record.weights_sha256)
    numerics = record.numerics
    how = [precision_of(record, "training"), *_coarser(record)]
    if numerics and numerics.compilation not in (None, "eager"):
        how.append("as a CUDA graph" if numerics.compilation == "cuda graph" else f"compiled by {numerics.compilation}")
    return fields | {"train": ", ".join(how)}


def precision_of(record: Record, work: NetworkWork) -> str:
    """In which precision an entrant's networks multiplied; where the record does not name it, that of its machine."""
    return _named_precision(record, work) or record.machine.precision


def _named_precision(record: Record, work: NetworkWork | Literal["features"]) -> str | None:
    return getattr(record.numerics, work) if record.numerics else None


def _evaluation(record: Record, *works: NetworkWork | Literal["features"]) -> Fields:
    """Precision of each kind of work behind a number; that of features only where the record names it. A floor has no
    model that could be sampled.
    """
    found = []
    for work in works:
        precision = _named_precision(record, work) if work == "features" else precision_of(record, work)
        if precision and (record.role == "entrant" or work == "features"):
            found.append(f"{work} {precision}" if len(works) > 1 else precision)
    return {"eval": ", ".join([*found, *_coarser(record)])} if found else {}


def _coarser(record: Record) -> list[str]:
    """By what arithmetic has fewer digits than its precision says."""
    numerics = record.numerics
    if numerics is None:
        return []
    found = [f"matmul {numerics.matmul_precision}"] if numerics.matmul_precision in ("high", "medium") else []
    found += ["tf32"] if numerics.tf32 else []
    return found + [f"{name} {numerics.environment[name]}" for name in COARSER if name in numerics.environment]


def options(given: Mapping[str, Scalar]) -> str:
    """Options in words; as JSON where words would say the same of others, as of "1" and 1, or a text with a comma."""
    plain = all(re.fullmatch(r"\w+", key) and _plain(value) for key, value in given.items())
    return settings(given) if plain else json.dumps(dict(sorted(given.items())))


def _plain(value: Scalar) -> bool:
    if not isinstance(value, str):
        return not isinstance(value, float) or math.isfinite(value)
    return bool(re.fullmatch(r"[A-Za-z][\w.-]*", value)) and value not in ("True", "False", "None", "nan", "inf")


def exact(value: float) -> str:
    """A number in its shortest form that no other number has."""
    short = f"{value:g}"
    return (short if float(short) == value else repr(float(value))).replace("e+", "e")


def _budget(budget: Budget | None) -> str:
    if budget is None:
        return "none"
    millions = exact(budget.params / 1e6)
    if round(float(millions) * 1e6) != budget.params:
        return f"{exact(budget.amount)}{budget.unit},{budget.params}"
    return f"{exact(budget.amount)}{budget.unit},{millions}M"


def machine_words(machine: Machine) -> str:
    return f"{machine.hardware}, {machine.threads} threads, {machine.precision}@{machine.key}"


def hashed(name: str, sha256: str | None) -> str:
    return f"{name}@{sha256[:KEY_DIGITS]}" if sha256 else name


def _digits(field: str, sha256: str | None) -> Fields:
    return {field: sha256[:KEY_DIGITS]} if sha256 else {}
