"""One number as a string to cite, in the manner of sacreBLEU (Post 2018):

    FD_5k=410.2±9.6|entrant:gan|n:5000|ref:fashion-mnist-10k-test@1f464896|...|pm:95ci-samples|p:5|v:0.1.0|rec:23bc2628

It holds all that decides whether two numbers may be compared, and the first eight digits of the records' keys. Of form
2, it has no spaces ("+" stands for one) and, but for the ±, only letters and signs of ASCII that a typesetter leaves as
they are; all others are percent escapes. `printed.parse` reads it back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from equibench.errors import UserError
from equibench.quantities.earlier import earlier_identities
from equibench.quantities.identity import KEY_DIGITS, along, differs, identity, look_up, name_of
from equibench.record.schema import Likelihood, Quality, Record, SampleMetric
from equibench.stats import Stat
from equibench.summary.codes import code_of

FORM = 2  # of a signature; those before had no field `sig` that says theirs
VALUE_DIGITS = 8  # significant, at most
WITH_A_PLUS = "v"  # the field in which a plus is one, as in 0.1.0+deba2e5d


class _Error(NamedTuple):
    """What follows the ± of one seed's number, and what kind of error that is, by which method."""

    reach: float | None = None
    kind: str = ""
    method: str = ""


def signature(records: Sequence[Record], path: str) -> str | None:
    """The signature of the number at `path` of one row: `records` differ in the seed alone. A value over several seeds
    is their mean ± standard deviation; of one seed it stands with its error over samples, where known (field `pm`).

    None where no record has the number. Raises UserError where the records do not measure one thing.
    """
    rows = _having(records, path)
    if not rows:
        return None
    for other in rows[1:]:
        if found := differs(rows[0], other, path):
            raise UserError(
                f"records of {rows[0].entrant} differ in {found.field} ({found.one}, {found.other}), as seed "
                f"{rows[0].seed} and seed {other.seed} have it; cite them apart, each by its file with --results"
            )
    first, stat = rows[0], _stat(rows, path)
    error = _Error(stat.sd, "sd-seeds") if stat.n > 1 else _error(first, path)
    fields = identity(first, path) | {"seeds": ",".join(str(record.seed) for record in rows)}
    if error.reach is not None:
        fields |= {"pm": error.kind} | ({"by": error.method} if error.method else {})
    fields |= {
        "p": first.protocol,
        "v": _each(_version(record) for record in rows),
        "code": _each(code_of(record)[:KEY_DIGITS] for record in rows),
        "sig": str(FORM),
        "rec": ",".join(record.key[:KEY_DIGITS] for record in rows),
    }
    head = f"{_escaped(name_of(first, path))}={_number(stat.mean, error.reach)}"
    return "|".join([head, *(f"{key}:{_of_field(key, value)}" for key, value in fields.items())])


def earlier_signatures(records: Sequence[Record], path: str) -> Iterator[str]:
    """What a signature of the same number was in each form before this one, the latest first; none where the records
    do not have the number.
    """
    rows = _having(records, path)
    if not rows:
        return
    stat = _stat(rows, path)
    spread, of = (stat.sd, "sd-seeds") if stat.n > 1 else _error(rows[0], path)[:2]
    for fields in earlier_identities(rows[0], path):
        said = {
            **fields,
            "seeds": ",".join(str(record.seed) for record in rows),
            **({"pm": of} if spread is not None else {}),
            "p": rows[0].protocol,
            "v": _each(_version(record) for record in rows),
            "rec": ",".join(record.key[:KEY_DIGITS] for record in rows),
        }
        head = f"{_escaped_before(name_of(rows[0], path))}={_number(stat.mean, spread)}"
        yield "|".join([head, *(f"{key}:{_escaped_before(value)}" for key, value in said.items())])


def unescaped(text: str, form: int, field: str = "") -> str:
    """What a field, or a name, of a signature of that form says."""
    return unquote(text.replace("+", " ") if form >= FORM and field != WITH_A_PLUS else text)


def _having(records: Sequence[Record], path: str) -> list[Record]:
    """The records that have the number, in the order of their seeds."""
    return [r for r in sorted(records, key=lambda r: (r.seed, r.key)) if look_up(r, path) is not None]


def _stat(rows: Sequence[Record], path: str) -> Stat:
    return Stat(tuple(float(v) for r in rows if (v := look_up(r, path)) is not None))


def _each(values: Iterator[str]) -> str:
    return ",".join(dict.fromkeys(values))


def _error(record: Record, path: str) -> _Error:
    """Error of one seed's number over what it was measured on."""
    parent = along(record, path)[-2]
    if isinstance(parent, Quality) and path.endswith((".value", ".corrected")):
        corrected = path.endswith(".corrected")
        interval = parent.corrected_interval if corrected else parent.interval
        value = parent.corrected if corrected else parent.value
        if interval is None or value is None:
            return _Error()
        reach = max(interval.high - value, value - interval.low)  # the low end may be cut at 0
        return _Error(reach, f"{100 * interval.level:g}ci-samples", interval.method)
    if isinstance(parent, SampleMetric):
        return _Error(parent.stderr, f"se-{parent.stderr_over or 'samples'}")
    if isinstance(parent, Likelihood) and path.endswith(".bits_per_dim"):
        return _Error(parent.stderr_bits_per_dim, "se-images")
    return _Error()


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
    """The version in the form of a local version (PEP 440): 0.1.0+deba2e5d, with .dirty where the code was changed."""
    code = record.code
    local = [code.commit[:KEY_DIGITS]] if code.commit else []
    return "+".join([code.version, *([".".join([*local, "dirty"])] if code.dirty else local)])


def _of_field(key: str, value: str) -> str:
    return _escaped(value).replace("%2B", "+") if key == WITH_A_PLUS else _escaped(value)


def _escaped(text: str) -> str:
    """With a plus for each space, and percent escapes for what separates the parts, what is no ASCII, what TeX or a
    shell takes for something else, and the second of two hyphens, which would become a dash.
    """

    def escape(found: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="backslashreplace"))

    return re.sub(r"[^A-Za-z0-9._,:@/() -]|(?<=-)-", escape, text).replace(" ", "+")


def _escaped_before(text: str) -> str:
    """The same of earlier forms: percent escapes for what separates the parts alone."""
    return re.sub(r"[%|=\s]", lambda found: found[0] if found[0] == " " else f"%{ord(found[0]):02X}", text)
