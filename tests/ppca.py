"""Probabilistic PCA, whose likelihood is known."""

from __future__ import annotations

import math

import torch

from equibench.measure.likelihood import annealing

CPU = torch.device("cpu")


LN2 = math.log(2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class PPCA:
    """x = W z + sigma e in R^d: log p(x) is known, and so is the posterior of z."""

    def __init__(self, d=6, latent=2, sigma=0.4):
        torch.manual_seed(3)
        self.weight, self.sigma, self.latent = torch.randn(d, latent), sigma, latent
        self.covariance = self.weight @ self.weight.T + sigma**2 * torch.eye(d)

    def decode(self, z):
        return z @ self.weight.T

    def log_prob(self, x):
        return torch.distributions.MultivariateNormal(torch.zeros(len(x[0])), self.covariance).log_prob(x)

    def draw(self, n):
        return torch.distributions.MultivariateNormal(torch.zeros(6), self.covariance).sample((n,))

    def posterior(self, x, worse=0.0):
        precision = torch.eye(self.latent) + self.weight.T @ self.weight / self.sigma**2
        covariance = torch.linalg.inv(precision)
        mean = x @ self.weight @ covariance / self.sigma**2 + worse
        return torch.distributions.MultivariateNormal(mean, covariance * (1 + worse))

    def nats(self, x, passes, worse=0.0):
        """-log weights [passes, N] of draws of the posterior."""
        q = self.posterior(x, worse)
        z = q.sample((passes,))
        log_prior, log_observation = annealing.log_joint(self.decode, z.flatten(0, 1), x.repeat(passes, 1), self.sigma)
        return (q.log_prob(z) - (log_prior + log_observation).unflatten(0, (passes, -1))).double().numpy()
