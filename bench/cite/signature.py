"""One number as a string to cite, in the manner of sacreBLEU (Post 2018), and back:

    FD_5k=410.2±9.6|entrant:gan|n:5000|ref:fashion-mnist-10k-test@1f464896|...|pm:95ci-samples|p:1|v:0.1.0|rec:23bc2628

It holds all that decides whether two numbers may be compared, and the first eight digits of the records' keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from equibench.errors import UserError
from equibench.quantities.identity import KEY_DIGITS, along, first_difference, identity, look_up, name_of, path_of
from equibench.record.schema import Likelihood, Quality, Record, SampleMetric
from equibench.stats import Stat

VALUE_DIGITS = 8  # significant, at most


class Signature(NamedTuple):
    """A parsed signature: `path` is the dotted path in the record, `fields` are all others by their key."""

    name: str
    path: str
    value: float
    spread: float | None
    fields: dict[str, str]

    @property
    def seeds(self) -> list[int]:
        return [int(seed) for seed in self.fields["seeds"].split(",")]

    @property
    def keys(self) -> list[str]:
        """Beginnings of the records' keys, in the order of the seeds."""
        return self.fields["rec"].split(",")


def signature(records: Sequence[Record], path: str) -> str | None:
    """The signature of the number at `path` of one row: `records` differ in the seed alone. A value over several seeds
    is their mean ± standard deviation; of one seed it stands with its error over samples, where known (field `pm`).

    None where no record has the number. Raises UserError where the records do not measure one thing.
    """
    rows = [r for r in sorted(records, key=lambda r: (r.seed, r.key)) if look_up(r, path) is not None]
    if not rows:
        return None
    stat = Stat(tuple(float(v) for r in rows if (v := look_up(r, path)) is not None))
    identities = [identity(record, path) for record in rows]
    for other in identities[1:]:
        if found := first_difference(identities[0], other):
            raise UserError(
                f"records of {rows[0].entrant} differ in {found.field} ({found.one}, {found.other}); cite them apart"
            )
    spread, of = (stat.sd, "sd-seeds") if stat.n > 1 else _error(rows[0], path)
    fields = {
        **identities[0],
        "seeds": ",".join(str(record.seed) for record in rows),
        **({"pm": of} if spread is not None else {}),
        "p": rows[0].protocol,
        "v": ",".join(dict.fromkeys(_version(record) for record in rows)),
        "rec": ",".join(record.key[:KEY_DIGITS] for record in rows),
    }
    head = f"{_escaped(name_of(rows[0], path))}={_number(stat.mean, spread)}"
    return "|".join([head, *(f"{key}:{_escaped(value)}" for key, value in fields.items())])


def parse(text: str) -> Signature:
    """A signature's parts. Raises UserError if the text is none."""
    head, *rest = text.strip().split("|")
    name, equals, number = head.rpartition("=")
    value, plus_minus, spread = number.partition("±")
    fields = {key: unquote(field) for key, _, field in (part.partition(":") for part in rest)}
    try:
        parsed = float(value), float(spread) if plus_minus else None
        keys = re.fullmatch(rf"[0-9a-f]{{{KEY_DIGITS},64}}(,[0-9a-f]{{{KEY_DIGITS},64}})*", fields["rec"])
        complete = bool(equals and name and [int(seed) for seed in fields["seeds"].split(",")] and keys)
    except (ValueError, KeyError):
        complete = False
    if not complete:
        raise UserError(
            f"{text[:60]!r} is not a whole signature; `equibench cite METRIC ENTRANT` prints one, NAME=VALUE|..."
        )
    return Signature(unquote(name), path_of(unquote(name)), *parsed, fields)


def _error(record: Record, path: str) -> tuple[float | None, str]:
    """Error of one seed's number over what it was measured on, and what kind of error that is."""
    parent = along(record, path)[-2]
    if isinstance(parent, Quality) and path.endswith((".value", ".corrected")):
        corrected = path.endswith(".corrected")
        interval = parent.corrected_interval if corrected else parent.interval
        value = parent.corrected if corrected else parent.value
        if interval is None or value is None:
            return None, ""
        reach = max(interval.high - value, value - interval.low)  # the low end may be cut at 0
        return reach, f"{100 * interval.level:g}ci-samples"
    if isinstance(parent, SampleMetric):
        return parent.stderr, "se-samples"
    if isinstance(parent, Likelihood) and path.endswith(".bits_per_dim"):
        return parent.stderr_bits_per_dim, "se-images"
    return None, ""


def _number(value: float, spread: float | None) -> str:
    """To two digits of the spread, or to six digits without one."""
    if not spread:
        return f"{value:.6g}" + ("" if spread is None else "±0")
    if not math.isfinite(spread):
        return f"{value:.6g}±{spread:.2g}"
    decimals = 1 - math.floor(math.log10(spread))
    if value:
        decimals = min(decimals, VALUE_DIGITS - 1 - math.floor(math.log10(abs(value))))
    if abs(value) >= 1e7 or decimals > 2 * VALUE_DIGITS:
        return f"{value:.6g}±{spread:.2g}"
    return f"{value:.{max(decimals, 0)}f}±{spread:.{max(decimals, 0)}f}"


def _version(record: Record) -> str:
    """As a local version (PEP 440): 0.1.0+deba2e5d, .dirty where the code was changed."""
    code = record.code
    local = [code.commit[:KEY_DIGITS]] if code.commit else []
    return "+".join([code.version, *([".".join([*local, "dirty"])] if code.dirty else local)])


def _escaped(text: str) -> str:
    """Without what separates the parts: percent escapes, as in addresses."""
    return re.sub(r"[%|=\s]", lambda found: found[0] if found[0] == " " else f"%{ord(found[0]):02X}", text)
