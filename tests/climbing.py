"""Records along a ladder of budgets, whose numbers follow known laws."""

from __future__ import annotations

import fixtures
from fixtures import make

AMOUNTS = (6e11, 1.1e12, 2e12, 3.75e12, 7e12, 1.4e13)
SPENT_SHARE = 0.998
WOBBLE = (0.99, 1.0, 1.01)  # of the seeds, so that a mean is a law's own value


def at(family, amount, fd, seed=0, /, **changes):
    """A record of the family at that budget, with that distance; `bits` changes its bits/dim, `cap` the parameters'."""
    bits, cap = changes.pop("bits", None), changes.pop("cap", 500_000)
    one = make(family, seed)
    fields = {
        "quality": one.quality.model_copy(update={"value": fd, "interval": None}),
        "likelihood": one.likelihood.model_copy(update={"bits_per_dim": bits}) if bits else None,
        "budget": fixtures.BUDGET.model_copy(update={"amount": amount, "params": cap}),
        "spent": one.spent.model_copy(update={"flops": SPENT_SHARE * amount, "params": round(0.98 * cap)}),
        "sampler_points": [],
        "bounds": [],
    }
    return make(family, seed, **fields | changes)


def climb(family, fd, amounts=AMOUNTS, seeds=3, **changes):
    """Records of three seeds at each budget; `fd` is a function of the budget, and so is `bits` where it is given."""
    bits = changes.pop("bits", None)
    return [
        at(family, amount, WOBBLE[seed] * fd(amount), seed, **changes, bits=bits and WOBBLE[seed] * bits(amount))
        for amount in amounts
        for seed in range(seeds)
    ]


def power(value, exponent, amount=7e12):
    """A power law by its value at an amount."""
    return lambda flops: value * (flops / amount) ** -exponent
