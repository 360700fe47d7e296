"""Distances between two sets of features: arrays in, number out. No files, no devices, no printing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray


@dataclass(frozen=True)
class Statistics:
    """First two moments of a set of features: count, mean `[d]`, covariance `[d, d]` (divisor n - 1), all float64."""

    n: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def statistics(features: NDArray[np.floating]) -> Statistics:
    """Moments of features `[N, d]`, summed in float64. Raises ValueError below two rows or for non-finite values."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be [N, d] with N >= 2, not {list(features.shape)}")
    x = features.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("features hold NaN or infinity")
    mean = x.mean(axis=0)
    x -= mean
    return Statistics(len(x), mean, x.T @ x / (len(x) - 1))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians (Dowson & Landau 1982; Heusel et al. 2017, FID):

        |mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)).

    The eigenvalues of S_a S_b are those of the symmetric positive semi-definite R S_b R^T with S_a = R^T R, so one
    factorisation and symmetric eigenvalues give the trace, without the square root of a general matrix. The result is
    clipped at 0, below which only rounding can lead.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"feature sizes differ: {a.mean.shape[0]} and {b.mean.shape[0]}")
    root = _root(a.covariance)
    eigenvalues = scipy.linalg.eigvalsh(root @ b.covariance @ root.T, check_finite=False)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    distance = np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(distance), 0.0)


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """R with R^T R = covariance: Cholesky where it is positive definite, eigenvectors where it is singular."""
    try:
        return np.asarray(scipy.linalg.cholesky(covariance, lower=False, check_finite=False))
    except scipy.linalg.LinAlgError:
        values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
        return np.asarray(np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T)
