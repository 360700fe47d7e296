"""The quantile function of mixtures of logistics, which has no closed form: by Newton's method in a bracket.

Written for few passes over memory and few operators: masks are floats, 0 or 1, and `lerp` chooses by them, which on
processors takes a tenth of the time of `where`.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 4  # of Newton's method: nine of ten values have converged by then in mixtures that a flow learns
NEAR = 1e-3  # of the narrowest scale: a step this small is the last, as the next would be a thousandth of it
FINEST = 2e-7  # a step this small is rounding
WAYS, ROUNDS = 8, 9  # of the search for the rest: 8^9 is beyond the digits of float32
FARTHEST = 3e38  # the step where there is no slope to go by: it leaves every bracket
DEEPEST = 60.0  # |z| up to which float32 has digits of the mass that lies beyond


@torch.no_grad()
def quantiles(z: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """x with logit(F(x)) = z, F the distribution function of the mixture with `log_weights`, `means` and `log_scales`
    `[K, N]`; z and x are `[N]`, all float32.

    Newton's method runs in the logit of F, which is a line where one component decides, in the tails too. A step that
    leaves the bracket, or is more than half as long as the one before, is replaced by the bracket's middle (Press et
    al. 2007, Numerical Recipes, section 9.4). What has not settled after `STEPS` steps, on the flat between components
    that lie far apart most of all, is searched for by dividing the bracket, which needs no slope.
    """
    weights, scales = log_weights.exp(), log_scales.exp()
    mirror = 1 - 2 * torch.gt(z, 0, out=torch.empty_like(z))  # the smaller tail's mass keeps its digits: z <= 0
    x = _start(z, weights, means, scales).mul_(mirror)
    means, z = means * mirror, -z.abs()
    beyond = (z + DEEPEST).clamp_(max=0)  # so far out it is an exponential: shifting the means does as well
    means, z = means.addcmul_(scales, beyond), z.sub_(beyond)
    ends = torch.addcmul(means, scales, z)  # component k alone reaches z there, the mixture between two of these
    mass = z.sigmoid()
    low, high = ends.amin(0), ends.amax(0)
    x = torch.minimum(torch.maximum(x, low, out=x), high, out=x)
    near = scales.amin(0).mul_(NEAR).clamp_(min=FINEST)
    rates = scales.reciprocal_()
    longest, unsettled = torch.full_like(x, torch.inf), torch.ones_like(x)
    for _ in range(STEPS):
        reached = (x - means).mul_(rates).sigmoid_()
        part = reached * weights
        below = part.sum(0)
        density = part.addcmul_(part, reached, value=-1).mul_(rates).sum(0)
        above = 1 - below
        error = (below / above).log_().sub_(z)
        step = error.mul_(below).mul_(above).div_(density).nan_to_num_(FARTHEST).mul_(unsettled)
        short = below.lt_(mass)  # x lies left of what is sought
        low.lerp_(x, short)
        high = torch.lerp(x, high, short)
        newton, size = x - step, step.abs_()
        taken = newton.ge(low).logical_and_(newton.le(high)).logical_and_(size.le(longest)).to(x.dtype)
        x_before, x = x, torch.lerp((low + high).mul_(0.5), newton, taken)
        unsettled.mul_(1 - taken.mul_(size.le(near)))
        longest = (x - x_before).abs_().mul_(0.5)
    return _found(x, unsettled, low, high, means, rates, weights, mass).mul_(mirror)


def _start(z: Tensor, weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """The quantile if the components, in their order, did not overlap, as they hardly do where they are narrow."""
    place = (z.sigmoid() - weights.cumsum(0)).div_(weights).add_(1).nan_to_num_(0.0)  # of the mass of each, from 0 to 1
    inside = place.ge(0).logical_and_(place.lt(1)).to(z.dtype)
    within = place.mul_(inside).sum(0).logit_(eps=1e-6)
    return (means * inside).sum(0).addcmul_((scales * inside).sum(0), within)


def _found(x: Tensor, unsettled: Tensor, low: Tensor, high: Tensor, *mixture: Tensor) -> Tensor:
    """x where it has settled, or else what a search between `low` and `high` finds."""
    if torch.compiler.is_compiling() or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
        return torch.where(unsettled > 0, _searched(low, high, *mixture, ways=2, rounds=27), x)  # no shapes of its own
    rest = unsettled.nonzero().squeeze(1)
    if len(rest):
        x[rest] = _searched(*(one[..., rest] for one in (low, high, *mixture)), ways=WAYS, rounds=ROUNDS)
    return x


def _searched(
    low: Tensor, high: Tensor, means: Tensor, rates: Tensor, weights: Tensor, mass: Tensor, *, ways: int, rounds: int
) -> Tensor:
    """Where F reaches `mass`, between `low` and `high` `[N]`, divided into `ways` parts again and again."""
    shares = torch.linspace(0, 1, ways + 1, device=low.device)[1:-1, None]
    for _ in range(rounds):
        points = torch.cat([low[None], torch.addcmul(low, shares, high - low), high[None]])
        reached = (points[1:-1, None] - means).mul_(rates).sigmoid_().mul_(weights).sum(1)
        left = (reached < mass).sum(0, keepdim=True)  # points that lie left of it
        low, high = points.gather(0, left)[0], points.gather(0, left + 1)[0]
    return (low + high) / 2
