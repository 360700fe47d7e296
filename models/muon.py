"""Muon: momentum whose steps are made orthogonal, for the weights of layers (Jordan et al. 2024).

A gradient of a layer's matrix is nearly of low rank: a few directions take most of the step. Its nearest orthogonal
matrix moves all directions alike, which takes fewer updates to the same loss. That matrix is found by products of
matrices alone, and a FLOP counter sees them: what they cost is a part of an update's price.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["adam", "muon"]

STEPS = 3
QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan et al. 2024: takes singular values in (0, 1] to about 1, small ones fast
LEAST_SIDE = 8  # matrices with a shorter side are left to Adam
RMS = 0.2  # root mean square of a step's entries at learning rate 1, near Adam's (Liu et al. 2025, section 2.2)


def matrices_and_rest(module: nn.Module, edges: Collection[str] = ()) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trainable weights of a module's layers, and its other trainable numbers. `edges` names parts whose weights
    are among the others: first and last layers, whose inputs or outputs are not alike.
    """
    found: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            layer = parameter.ndim in (2, 4) and min(_sides(parameter)) >= LEAST_SIDE
            found[not layer or not set(name.split(".")).isdisjoint(edges)].append(parameter)
    return found


def optimizers(
    module: nn.Module,
    name: OptimizerName,
    betas: tuple[float, float],
    weight_decay: float,
    *,
    edges: Collection[str],
    momentum: float = 0.95,
) -> tuple[Muon | None, torch.optim.Optimizer]:
    """The optimisers of a network: Muon for the weights of its layers but the `edges` and Adam for the rest, or Adam
    for all.
    """
    matrices, rest = matrices_and_rest(module, edges) if name == "muon" else ([], list(module.parameters()))
    adam = torch.optim.AdamW(rest, betas=betas, weight_decay=weight_decay, fused=True)
    return Muon(matrices, momentum=momentum, weight_decay=weight_decay) if matrices else None, adam


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, with decoupled weight decay. A kernel `[out, in, k, k]` is one matrix of
    `out` rows. Steps are as large as Adam's, so that both take one learning rate.
    """

    def __init__(self, matrices: Iterable[Tensor], *, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(matrices, {"lr": 1e-3, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002 (of torch's own signature)
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = {}  # matrices of one shape are multiplied together
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(_sides(parameter), []).append(parameter)
            for sides, parameters in alike.items():
                self._step(sides, parameters, group)

    def _step(self, sides: tuple[int, int], parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[p]["momentum"] for p in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        steps = orthogonalized(torch.stack([one.reshape(sides) for one in ahead]))
        rate = group["lr"]
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        if isinstance(rate, Tensor):  # which no `alpha` may be
            steps, rate = steps * rate, 1.0
        shaped = [one.reshape(p.shape) for one, p in zip(steps, parameters, strict=True)]
        torch._foreach_add_(parameters, shaped, alpha=-rate * RMS * math.sqrt(max(sides)))


def orthogonalized(x: Tensor) -> Tensor:
    """Matrices `[B, m, n]` -> about the nearest with all singular values 1, U V^T of each X = U S V^T, in float32.

    Newton-Schulz steps X <- q(X X^T) X of the quintic's q, all taken on the small Gram matrix X X^T, which they turn
    into q(G)^2 G. Its Frobenius norm bounds the square of the greatest singular value, far closer than that of X does.
    """
    if x.shape[1] > x.shape[2]:
        return orthogonalized(x.mT).mT
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        tiny = torch.finfo(torch.float32).tiny
        x = x / x.abs().amax(dim=(1, 2), keepdim=True).clamp(min=tiny)  # squares of squares would leave the range
        gram = x @ x.mT
        norm = gram.norm(dim=(1, 2), keepdim=True).clamp(min=tiny)
        gram, total = gram / norm, norm.rsqrt()
        identity = torch.eye(gram.shape[-1], device=x.device)
        a, b, c = QUINTIC
        for i in range(STEPS):
            q = a * identity + b * gram + c * (gram @ gram)
            total = q * total if i == 0 else q @ total
            if i + 1 < STEPS:
                gram = q @ gram @ q
        nearest: Tensor = total @ x
        return nearest


def _sides(parameter: Tensor) -> tuple[int, int]:
    return parameter.shape[0], parameter[0].numel()
