"""Values to text: numbers, spreads, budgets and lists as people read them. The only place that rounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from equibench.record.base import Scalar
from equibench.record.schema import Budget, Record
from equibench.record.surroundings import Tuning
from equibench.stats import Stat, stat_of

MISSING, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UNITS = {"flops": "training FLOPs", "images": "training images", "sec": "seconds of training", "updates": "updates"}


def number(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits (whole digits are kept); with a power of ten if very long or small."""
    if value == 0 or (isinstance(value, int) and abs(value) < 10**7):
        return f"{value:,.0f}"
    if not math.isfinite(value):  # too large in the unit that is shown
        return MISSING if math.isnan(value) else "∞" if value > 0 else "-∞"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 7:
        mantissa, power = f"{value:.2e}".split("e")  # rounds 9.999 up to the next power
        return f"{mantissa}{TIMES}10{superscript(int(power))}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def decimals_of(values: Iterable[float], digits: int = 3) -> int:
    """One number of decimals for a column of numbers: two significant digits of the smallest, `digits` of the largest,
    and no more than four.
    """
    sizes = [math.floor(math.log10(abs(value))) for value in values if value and math.isfinite(value)]
    return min(4, max(0, 1 - min(sizes), digits - 1 - max(sizes))) if sizes else 0


def fixed(value: float, decimals: int) -> str:
    """`value` with so many decimals; with a power of ten where it would be too long or vanish."""
    if math.isfinite(value) and abs(value) < 10**7 and (value == 0 or abs(value) >= 0.5 * 10**-decimals):
        return f"{value:,.{decimals}f}"
    return number(value)


def fixed_spread(sd: float, decimals: int) -> str:
    """A spread with the decimals of its column; one that would vanish is less than the last of them."""
    return f"<{10**-decimals:.{decimals}f}" if 0 < sd < 0.5 * 10**-decimals else fixed(sd, decimals)


def amount(value: float) -> str:
    """A count as such where it is whole, else as any number."""
    return number(int(value) if math.isfinite(value) and value == int(value) else value)


def p_number(p: float) -> str:
    """No p is 0, whatever its rounded digits say."""
    return number(p, 2) if p >= 1e-4 else "< 0.0001"


def p_words(p: float) -> str:
    shown = p_number(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def superscript(value: int) -> str:
    return str(value).translate(POWERS)


def spread(stat: Stat, unit: float = 1, digits: int = 3) -> str:
    """Mean ± standard deviation over seeds, to two significant digits of the latter; of one seed the value alone."""
    mean, sd = stat.mean / unit, (stat.sd or 0.0) / unit
    if not sd:
        return number(mean, digits)
    if mean >= 1e7 or not math.isfinite(mean + sd):  # counts such as FLOPs
        return f"{number(mean)} ± {number(sd)}"
    decimals = 1 - math.floor(math.log10(sd))
    if mean:  # a spread far below the value's own digits says no more than that it is small
        decimals = min(decimals, digits + 1 - math.floor(math.log10(abs(mean))))
    decimals = max(0, decimals)
    return f"{mean:,.{decimals}f} ± {sd:,.{decimals}f}"


def over_seeds(values: Iterable[float | None], digits: int = 3, missing: str = "", unit: float = 1) -> str:
    """The spread of the seeds that have the value; `missing` where none has."""
    found = stat_of(list(values))
    return spread(found, unit, digits) if found else missing


def duration(sec: float) -> str:
    """A length of time in the unit that people would say it in."""
    for unit, length_sec in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if sec >= 1.5 * length_sec:
            return f"{number(sec / length_sec, 2)} {unit}"
    return f"{sec:.0f} s"


def settings(options: Mapping[str, Scalar]) -> str:
    """Options in words."""
    return ", ".join(f"{key} {value}" for key, value in sorted(options.items())) or "default"


def budget_words(budget: Budget | None) -> str:
    """A budget in one phrase."""
    if budget is None:
        return "no training budget"
    return f"at most {budget.params / 1e6:g} M parameters and {amount(budget.amount)} {UNITS[budget.unit]}"


def tuning_words(tuning: Tuning | None, training_flops: float | None = None) -> str:
    """How much was tried to choose an entrant's settings, also as a multiple of its training where that is given."""
    if tuning is None:
        return "not tuned"
    words = [f"{tuning.trials:,} trials"]
    words += [] if tuning.full_runs is None else [f"{tuning.full_runs:,} full runs"]
    words += [f"{number(tuning.flops / training_flops)} trainings"] if tuning.flops and training_flops else []
    return ", ".join(words)


def join(words: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


# parts of a family's own names that are no words
_SPOKEN = {"kl": "KL", "std": "deviation", "max": "greatest", "abs": "absolute", "bits per dim": "bits/dim"}


def spoken_key(key: str) -> str:
    """A name of a family's own numbers or losses, such as `kl_bits_per_dim`, in words."""
    words = key.replace("_", " ")
    for part, said in _SPOKEN.items():
        words = re.sub(rf"\b{part}\b", said, words)
    return words


def slug(name: str) -> str:
    """A label as the name of a CSV column."""
    return re.sub(r"\W+", "_", name).strip("_").lower()


def commit(record: Record) -> str:
    """The code's commit in short, with uncommitted changes flagged."""
    if record.code.commit is None:
        return f"version {record.code.version}, commit unknown"
    return record.code.commit[:8] + (" (dirty)" if record.code.dirty else "")
