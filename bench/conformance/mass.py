"""Whether the probabilities of all images sum to what a likelihood claims, by importance sampling on tiny images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equibench_models.contract import LikelihoodKind, Model

TINY = (1, 4, 4)  # 16 values: few enough that a proposal fitted to the model's own samples covers what it can give
SAMPLES = 4096  # that the proposal is fitted to
DRAWS = 8192
PARTS, ROUNDS = 16, 15  # of the proposal, and of its fit
WIDTH = 3.0  # levels, by which it is blurred
FLAT = 0.02  # weight of equal probabilities for all levels, against what the samples miss
PASSES = 16
# of the sum: what is less certain tells nothing; one that should be 1 has to be near it
MOST_ERROR: dict[LikelihoodKind, float] = {"exact": 0.1, "upper bound": 0.5}
ERRORS = 4.0


@dataclass(frozen=True)
class Mass:
    """The sum of a model's probabilities over all images, estimated, and its standard error."""

    total: float
    stderr: float

    def tells(self, kind: LikelihoodKind) -> bool:
        """Whether the estimate is certain enough: where a few weights make up the sum, others may have been missed."""
        return math.isfinite(self.total) and 0 < self.stderr <= MOST_ERROR[kind] * self.total

    def keeps(self, kind: LikelihoodKind) -> bool:
        """Whether an exact likelihood sums to 1, and an upper bound on nats to at most 1."""
        slack = ERRORS * self.stderr + 0.02
        return self.total <= 1 + slack and (kind != "exact" or self.total >= 1 - slack)

    def __str__(self) -> str:
        return f"{self.total:.3g} with a standard error of {self.stderr:.2g}"


@torch.no_grad()
def mass(model: Model, seed: int = 0, label: int | None = None) -> Mass:
    """sum over x of p(x), with x all images of the model's shape and p(x) = exp(-nats), as the mean of p(x) / q(x) over
    x from a proposal q that is fitted to the model's samples; of a class-conditional model sum over x of p(x | label).

    A likelihood that is a bound draws noise, and is averaged over passes; exp of a mean of m values of variance v is
    too large by about a factor exp(v / 2m), which is taken off.
    """
    generator = torch.Generator().manual_seed(seed)
    given: dict[str, Any] = {} if label is None else {"labels": torch.full((SAMPLES,), label)}
    samples = model.sample(SAMPLES, generator, **given).flatten(1).long()
    weights, tables = _fitted(samples, generator)
    images = _drawn(weights, tables, generator)
    log_q = _log_parts(images, weights, tables).logsumexp(0)
    many = 1 if model.likelihood == "exact" else PASSES
    shaped = images.to(torch.uint8).reshape(-1, *model.shape)
    told = [] if label is None else [torch.full((len(shaped),), label)]
    passes = torch.stack([model.nats(shaped, generator, *told) for _ in range(many)]).double()
    log_p = -passes.mean(0) - (passes.var(0) / (2 * many) if many > 1 else 0.0)
    ratios = (log_p - log_q).exp()
    return Mass(float(ratios.mean()), float(ratios.std() / math.sqrt(len(ratios))))


def _fitted(samples: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A mixture of images of independent pixels, fitted to samples `[N, d]` by expectation maximization: weights `[K]`
    and, blurred, the probabilities of levels `[K, d, 256]`.
    """
    levels = torch.arange(256, dtype=torch.float64)
    blur = torch.exp(-(levels[None] - levels[:, None]).abs() / WIDTH)
    blur = (1 - FLAT) * blur / blur.sum(1, keepdim=True) + FLAT / 256
    there = torch.nn.functional.one_hot(samples, 256).to(torch.float32).flatten(1)  # [N, d * 256]
    centres = samples[torch.randperm(len(samples), generator=generator)[:PARTS]].double()
    shares = torch.nn.functional.one_hot(torch.cdist(samples.double(), centres).argmin(1), PARTS).double()  # [N, K]
    for _ in range(ROUNDS):
        weights = (shares.sum(0) + 1) / (len(samples) + PARTS)
        counts = (shares.float().T @ there).double().reshape(PARTS, samples.shape[1], 256)
        tables = (counts + 1 / 256) @ blur / (counts.sum(-1, keepdim=True) + 1)
        tables = tables / tables.sum(-1, keepdim=True)
        shares = _log_parts(samples, weights, tables).softmax(0).T
    return weights / weights.sum(), tables


def _drawn(weights: Tensor, tables: Tensor, generator: torch.Generator) -> Tensor:
    """Images `[DRAWS, d]` of the mixture."""
    chosen = torch.multinomial(weights, DRAWS, replacement=True, generator=generator)
    return torch.multinomial(tables[chosen].flatten(0, 1), 1, generator=generator).reshape(DRAWS, -1)


def _log_parts(images: Tensor, weights: Tensor, tables: Tensor) -> Tensor:
    """log of weight times probability of images `[N, d]` in each part: `[K, N]`."""
    index = images.T.expand(len(weights), -1, -1)  # [K, d, N]
    return tables.log().gather(2, index).sum(1) + weights.log()[:, None]
