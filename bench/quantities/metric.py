"""What a measured number means: the identity of a sample-quality metric, and the kind of a bits/dim, in words."""

from __future__ import annotations

from typing import NamedTuple

from equibench.record.schema import Likelihood, Quality


class Metric(NamedTuple):
    """Identity of a sample-quality number: two numbers are compared only where all of this is equal."""

    metric: str
    n_samples: int
    extractor: str
    weights_sha256: str
    preprocessing: str
    reference: str
    n_reference: int


def metric_of(quality: Quality) -> Metric | None:
    """What a distance measures; None where there is no feature space, and so no metric either."""
    space = quality.features
    if space is None:
        return None
    identity = (space.name, space.weights_sha256, space.preprocessing)
    return Metric(quality.metric, quality.n_samples, *identity, quality.reference, quality.n_reference)


def with_count(metric: str, n_samples: int) -> str:
    """A metric with the number of samples in its name (protocol, rule 6), e.g. "FD_5k"."""
    return f"{metric}_{n_samples // 1000}k" if n_samples and n_samples % 1000 == 0 else f"{metric}_{n_samples}"


def metric_names(metrics: list[Metric]) -> dict[Metric, str]:
    """Name of each metric, e.g. "FD_5k (EfficientNet-Lite0)", longer where two would read the same."""

    def name(metric: Metric) -> str:
        return f"{with_count(metric.metric, metric.n_samples)} ({metric.extractor})"

    short = [name(metric) for metric in metrics]
    detail = "{0}, against {1.n_reference} of {1.reference}, {1.preprocessing}, weights {1.weights_sha256:.8}"
    unique = [detail.format(n, m) if short.count(n) > 1 else n for n, m in zip(short, metrics, strict=True)]
    return dict(zip(metrics, unique, strict=True))


def compared_kind(likelihood: Likelihood) -> str:
    """What two bits/dim have to share to be compared, e.g. "upper bound", or "upper bound given the label"."""
    return f"{likelihood.kind} given the {likelihood.given}" if likelihood.given else likelihood.kind


def bits_kind(likelihood: Likelihood) -> str:
    """Kind of a bits/dim, without which it cannot be read, e.g. "upper bound, variational dequantization", or "upper
    bound, given the label".
    """
    how, parts = likelihood.dequantization, [str(likelihood.kind)]
    if how is not None and how != "none":
        parts.append(f"{how.removesuffix(' dequantization')} dequantization")
    if likelihood.given and likelihood.kind != "none":
        parts.append(f"given the {likelihood.given}")
    return ", ".join(parts)
