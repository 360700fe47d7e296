"""The settings of the next trial, by those before it: optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

A study of optuna's is made anew for every trial, from what was found before and a seed of the trial's number. So the
next settings are a function of the trials before, whether or not the study was stopped between.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from equibench.errors import UserError
from equibench.hashing import digest
from equibench.record.base import Scalar
from equibench.record.study import Domain, Search, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

PACKAGE = "optuna"
DIGITS = 3  # of a number: more tell nothing, and would stand in a suite


class Told(NamedTuple):
    """A trial as the sampler is told of it; less is better."""

    values: Values
    value: float


def version() -> str:
    """The version of the library that suggests. Raises UserError where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise UserError("tuning takes the package optuna; install it with `pip install 'equibench[tune]'`") from None


def suggestion(ranges: Mapping[str, Domain], told: Sequence[Told], number: int, search: Search) -> Values:
    """Values of all `ranges` for the trial of this number, the same for the same trials before it. Of those before it,
    those with a value outside its range are left out. Raises UserError where optuna is not installed.
    """
    ranges = dict(sorted(ranges.items()))  # in whose order random numbers are drawn, and which a file may change
    version()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {name: _distribution(optuna, found) for name, found in ranges.items()}
    seed = int(digest([search.seed, number])[:8], 16)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup_trials)
    study = optuna.create_study(sampler=sampler)
    for one in told:
        if all(within(ranges[name], one.values.get(name)) for name in ranges):
            values = {name: one.values[name] for name in ranges}
            study.add_trial(optuna.trial.create_trial(params=values, distributions=spaces, value=one.value))
    found = study.ask(spaces).params
    return {name: _rounded(found[name], ranges[name]) for name in ranges}


def within(found: Domain, value: Scalar) -> bool:
    """Whether a value is one that the range could give."""
    if found.choices:
        return any(type(choice) is type(value) and choice == value for choice in found.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or found.low is None or found.high is None:
        return False
    return found.low <= value <= found.high


def _distribution(optuna: ModuleType, found: Domain) -> BaseDistribution:
    kinds = optuna.distributions
    if found.choices:
        made: BaseDistribution = kinds.CategoricalDistribution(found.choices)
    elif isinstance(found.low, int) and isinstance(found.high, int):
        made = kinds.IntDistribution(found.low, found.high, log=found.log)
    else:
        made = kinds.FloatDistribution(found.low, found.high, log=found.log)
    return made


def _rounded(value: Scalar, found: Domain) -> Scalar:
    """A number with few digits, within its range still."""
    if found.choices or not isinstance(value, float) or found.low is None or found.high is None:
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), found.low), found.high)
