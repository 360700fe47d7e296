"""The settings that bring a family to the parameter cap: its config's `knobs`, where the suite leaves them free."""

from __future__ import annotations

import functools
import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from equibench.errors import UserError
from equibench.protocol import LEAST_SHARE_OF_CAP, LEAST_SHARE_WITH_TWO_KNOBS
from equibench.run.sizing import TooManyPartsError, parameters
from equibench_models.contract import Config, Model, Shape

GREATEST = 4096  # value that is tried of a knob, where its field sets no lower limit
STEPS = (16, 8, 1)  # of the first of two knobs: hardware has its fastest kernels for multiples of 16


def free_knobs(kind: type[Config], config: Mapping[str, Any]) -> list[str]:
    """The knobs that the config of a suite does not fix."""
    return [name for name in kind.knobs if name not in config]


def least_share(knobs: Sequence[str]) -> float:
    """The share of the cap that an entrant is to have at least where these knobs are free."""
    return LEAST_SHARE_WITH_TWO_KNOBS if len(knobs) == 2 else LEAST_SHARE_OF_CAP


def turned(family: type[Model], config: Mapping[str, Any], shape: Shape, cap: int) -> dict[str, int]:
    """Values of the knobs that `config` leaves free, so that the family has at most `cap` trainable parameters and at
    least the share of it that `least_share` gives: or as many as fit, where no values reach that.

    A single knob gets, of the values within, the one with the most factors of two, up to 16. Of two, the first is a
    multiple of 16 if that can be, else of 8, else any number, and the second is chosen as a single knob is; of the
    widest that fits with the second's default and the next wider one, the pair is taken whose second is nearer to its
    default. Parameters are taken to grow with every knob.

    Where a knob that `config` fixes passes the cap by itself, the others keep their defaults. Raises UserError where
    the least values of all pass it, and for knobs that are no fields or hold no whole numbers.
    """
    free = free_knobs(family.config_type, config)
    if not free:
        return {}
    ranges = [_values(family, name) for name in free]

    def exact(*values: int) -> int:
        return parameters(family, {**config, **dict(zip(free, values, strict=True))}, shape)

    @functools.cache
    def count(*values: int) -> int:
        try:
            return exact(*values)
        except TooManyPartsError:
            return sys.maxsize

    least = exact(*(values[0] for values in ranges))
    if least > cap:
        if len(free) < len(family.config_type.knobs):
            return {}  # the suite fixes a size beyond the cap, which the plan and the report mark
        raise UserError(
            f"a cap of {cap:,} parameters is too small for {family.__name__}: with the other values of its config it "
            f"takes {least:,} or more; raise the cap or lower those"
        )
    if len(free) == 1:
        return {free[0]: _fill(count, ranges[0], cap, LEAST_SHARE_OF_CAP)}
    default = int(family.config_type.model_fields[free[1]].default)
    return dict(zip(free, _fill_two(count, ranges[0], ranges[1], default, cap), strict=True))


def _values(family: type[Model], name: str) -> range:
    """The values that a knob may take."""
    kind = family.config_type
    field = kind.model_fields.get(name)
    if len(kind.knobs) > 2 or field is None or field.annotation is not int or type(field.default) is not int:
        raise UserError(
            f"the knobs of {family.__name__} are {', '.join(kind.knobs)}; give at most two, which are fields of "
            f"{kind.__name__} that hold whole numbers and have a default"
        )
    bounds = {limit: getattr(one, limit) for one in field.metadata for limit in _LIMITS if hasattr(one, limit)}
    unit = int(bounds.get("multiple_of", 1))
    low = max(bounds.get("ge", 1), bounds.get("gt", 0) + 1)
    high = min(bounds.get("le", math.inf), bounds.get("lt", math.inf) - 1, max(GREATEST, low))
    return range(unit * math.ceil(low / unit), math.floor(high) + 1, unit)


_LIMITS = ("ge", "gt", "le", "lt", "multiple_of")


def _fill(count: Callable[[int], int], values: range, cap: int, share: float) -> int:
    """The value with the most factors of two, up to 16, among those that give `share` of the cap or more, and the
    greatest of several; the greatest that fits where none does, and the least where none fits.
    """
    end = _fitting(count, values, cap)
    start = bisect_left(values, share * cap, 0, end, key=count)
    start, end = (start, end) if start < end else (max(end - 1, 0), max(end, 1))
    return max(values[start:end], key=lambda value: (min(value & -value, STEPS[0]), value))


def _fitting(count: Callable[[int], int], values: range, cap: int) -> int:
    """How many of the values fit, from the least on. The end is doubled until one does not, as large models take long
    to build.
    """
    low, high = 0, 1
    while high <= len(values) and count(values[high - 1]) <= cap:
        low, high = high, 2 * high
    return bisect_right(values, cap, low, min(high, len(values)), key=count)


def _fill_two(count: Callable[[int, int], int], first: range, second: range, default: int, cap: int) -> tuple[int, int]:
    """See `turned`."""

    def distance(pair: tuple[int, int]) -> float:
        return abs(math.log(max(pair[1], 1) / max(default, 1)))

    fitting: list[tuple[int, int]] = []
    for step in STEPS:
        unit = math.lcm(step, first.step)
        steps = range(unit * math.ceil(first.start / unit), first.stop, unit)
        wider = _fitting(lambda value: count(value, default), steps, cap)
        pairs = [
            (value, _fill(functools.partial(count, value), second, cap, LEAST_SHARE_WITH_TWO_KNOBS))
            for value in steps[max(wider - 1, 0) : wider + 1]
        ]
        fitting += [pair for pair in pairs if count(*pair) <= cap]
        reaching = [pair for pair in fitting if count(*pair) >= LEAST_SHARE_WITH_TWO_KNOBS * cap]
        if reaching:
            return min(reaching, key=distance)
    return max(fitting, key=lambda pair: count(*pair))
