"""One number as a string to cite, in the manner of sacreBLEU (Post 2018), and back:

    FD_5k=410.2±9.6|entrant:gan|n:5000|ref:fashion-mnist-10k-test@1f464896|...|pm:95ci-samples|p:1|v:0.1.0|rec:23bc2628

It holds all that decides whether two numbers may be compared, and the first eight digits of the records' keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel

from equibench import UserError, nearest
from equibench.quantities.metric import bits_kind, with_count
from equibench.quantities.text import settings
from equibench.record.schema import (
    Budget,
    Likelihood,
    Machine,
    Memory,
    Quality,
    Record,
    SampleMetric,
    Speed,
    digest,
    next_step,
)
from equibench.stats import Stat

KEY_DIGITS = 8
VALUE_DIGITS = 8  # significant, at most
TIMED = re.compile(r"^(speed|memory|clock)\.|^spent\.(train|compile)_sec$|images_per_sec$")  # depend on the machine
PATHS = {"bits_per_dim": "likelihood.bits_per_dim"}  # short names, beside those with a number of samples


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


def look_up(record: Record, path: str) -> float | None:
    """The number at a dotted path, e.g. "speed.images_per_sec"; None where it was not measured.

    Members of a list go by their name or label ("quality.also.KD", "sampler_points.10 steps.quality.value"). Raises
    UserError for a path that no record has.
    """
    value = _along(record, path)[-1]
    return None if value is None else float(value)


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
    for key, value in identities[0].items():
        if other := next((found[key] for found in identities if found.get(key) != value), None):
            raise UserError(f"records of {rows[0].entrant} differ in {key} ({value}, {other}); cite them apart")
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
        complete = bool(equals and name and [int(seed) for seed in fields["seeds"].split(",")] and fields["rec"])
    except (ValueError, KeyError):
        complete = False
    if not complete:
        raise UserError(
            f"{text[:60]!r} is not a whole signature; `equibench cite METRIC ENTRANT` prints one, NAME=VALUE|..."
        )
    return Signature(unquote(name), path_of(unquote(name)), *parsed, fields)


def name_of(record: Record, path: str) -> str:
    """What a number is called in a signature: short for the usual ones, else its path. `path_of` leads back."""
    *_, parent, _ = _along(record, path)
    if path in ("quality.value", "quality.corrected"):
        metric = f"{parent.metric}_corrected" if path.endswith("corrected") else parent.metric
        return with_count(metric, parent.n_samples)
    if isinstance(parent, SampleMetric) and path.startswith("quality.also."):
        return with_count(parent.name.replace(" ", "_"), parent.n_samples)
    return next((short for short, long in PATHS.items() if long == path), path)


def path_of(name: str) -> str:
    """The dotted path of a number by its name in a signature."""
    if found := re.fullmatch(r"(\w+?)(_corrected)?_\d+k?", name):
        metric, corrected = found.groups()
        if metric in ("FD", "FID"):
            return "quality.corrected" if corrected else "quality.value"
        return f"quality.also.{metric.replace('_', ' ')}"
    return PATHS.get(name, name)


def _along(record: Record, path: str) -> list[Any]:
    """The record, and what lies at each step of the path; cut short by a final None."""
    passed: list[Any] = [record]
    rest = path
    while rest:
        here = passed[-1]
        if here is None:
            return passed
        if not isinstance(here, list | dict) and (first := rest.partition(".")[0]) not in _fields(here):
            raise UserError(f"records have no {path!r}: unknown {first!r}{nearest(first, _fields(here))}")
        step, found = next_step(here, rest)
        passed.append(found)
        rest = rest[len(step) + 1 :]
    if isinstance(passed[-1], SampleMetric):
        passed.append(passed[-1].value)
    if passed[-1] is not None and not isinstance(passed[-1], int | float):
        raise UserError(f"{path!r} of a record is not a number; give the path of one, such as quality.value")
    return passed


def _fields(here: Any) -> tuple[str, ...]:
    return tuple(type(here).model_fields) if isinstance(here, BaseModel) else ()


def identity(record: Record, path: str) -> dict[str, str]:
    """All that must be equal for two numbers to be compared, in a fixed order."""
    fields = {"entrant": record.entrant}
    for part in _along(record, path):
        match part:
            case Quality():
                split = f"{record.data.name}-{part.reference}"
                fields["n"] = str(part.n_samples)
                fields["ref"] = (
                    _hashed(split, part.reference_sha256) if part.reference_sha256 else f"{split},{part.n_reference}"
                )
                if part.features:
                    fields["fx"] = _hashed(part.features.name, part.features.weights_sha256)
                    fields["prep"] = digest(part.features.preprocessing)[:KEY_DIGITS]
                fields["sampler"] = settings(part.options)
            case Likelihood():
                fields |= {"n": str(part.n_images), "ref": _hashed(f"{record.data.name}-test", record.data.sha256)}
                fields["kind"] = bits_kind(part)
            case Speed():
                # the fastest of several sizes is a result: what is given is which ones were tried
                tried = sorted({point.batch_size for point in part.sweep} | {part.batch_size})
                fields["batch"] = "1" if "latency" in path else ",".join(map(str, tried))
                fields["sampler"] = settings(part.options)
            case Memory():
                batch = part.train_batch_size if "train" in path else part.sample_batch_size
                fields |= {"quantity": part.quantity, "batch": str(batch)}
            case _:
                pass
    if "ref" not in fields:
        fields["data"] = _hashed(record.data.name, record.data.sha256)
    fields["budget"] = _budget(record.budget)
    if TIMED.search(path):
        fields["machine"] = _machine(record.machine)
    return fields


def _error(record: Record, path: str) -> tuple[float | None, str]:
    """Error of one seed's number over what it was measured on, and what kind of error that is."""
    parent = _along(record, path)[-2]
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
    decimals = 1 - math.floor(math.log10(spread))
    if value:
        decimals = min(decimals, VALUE_DIGITS - 1 - math.floor(math.log10(abs(value))))
    if abs(value) >= 1e7 or decimals > 2 * VALUE_DIGITS:
        return f"{value:.6g}±{spread:.2g}"
    return f"{value:.{max(decimals, 0)}f}±{spread:.{max(decimals, 0)}f}"


def _budget(budget: Budget | None) -> str:
    if budget is None:
        return "none"
    return f"{budget.amount:g}{budget.unit},{budget.params / 1e6:g}M".replace("e+", "e")


def _machine(machine: Machine) -> str:
    device = machine.processor if machine.device == "cpu" else machine.device
    return f"{device}, {machine.threads} threads, {machine.precision}@{machine.key}"


def _hashed(name: str, sha256: str | None) -> str:
    return f"{name}@{sha256[:KEY_DIGITS]}" if sha256 else name


def _version(record: Record) -> str:
    """As a local version (PEP 440): 0.1.0+deba2e5d, .dirty where the code was changed."""
    code = record.code
    local = [code.commit[:KEY_DIGITS]] if code.commit else []
    return "+".join([code.version, *([".".join([*local, "dirty"])] if code.dirty else local)])


def _escaped(text: str) -> str:
    """Without what separates the parts: percent escapes, as in addresses."""
    return re.sub(r"[%|=\s]", lambda found: found[0] if found[0] == " " else f"%{ord(found[0]):02X}", text)
