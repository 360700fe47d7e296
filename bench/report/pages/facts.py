"""What a number in the page carries with it: its raw value and unit, interval, kind, records and signature."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from equibench import UserError
from equibench.cite.signature import KEY_DIGITS, signature
from equibench.quantities.metric import bits_kind, metric_names, metric_of
from equibench.quantities.text import join
from equibench.record.schema import Likelihood, Memory, Quality, Record
from equibench.report.tables.table import Entry, Source
from equibench.summary.sections import value_at

# The end of a path, longer ones first -> the unit of the raw value there.
UNITS = {
    "images_per_sec": "images/s",
    "_sec": "s",
    "_bytes": "bytes",
    "bits_per_dim": "bits/dim",
    "_nats": "nats",
    "flops": "FLOPs",
    "flops_per_image": "FLOPs per image",
    "params": "parameters",
    "images": "images",
    "updates": "updates",
}


def unit_of(path: str) -> str:
    """Unit of the raw value at a path of a record; empty for a plain number."""
    if path.startswith("clock."):
        return "s"
    if path.startswith("out_of_distribution_bits_per_dim."):
        return "bits/dim"
    return next((unit for end, unit in UNITS.items() if path.endswith(end)), "")


def kind_of(record: Record, path: str) -> str:
    """What a number is, without which it cannot be read: a metric's name, the kind of a likelihood, of a memory."""
    part = value_at(record, path.rpartition(".")[0])
    if isinstance(part, Quality) and (metric := metric_of(part)):
        return metric_names([metric])[metric] + (", without the bias of N" if path.endswith(".corrected") else "")
    if isinstance(part, Likelihood):
        return bits_kind(part)
    return part.quantity if isinstance(part, Memory) else ""


def cite(source: Source) -> str | None:
    """The number's signature; None where it is none of the record's own numbers but was derived from several."""
    if source.how not in ("value", "mean"):
        return None
    try:
        return signature(source.records, source.path)
    except UserError:  # not a number that the records may be cited for, such as a seed
        return None


def attributes(entry: Entry) -> Markup:
    """The entry's `data-*` attributes and its title; without a source, its value alone."""
    raw = "" if entry.raw is None else entry.raw
    if entry.source is None or not entry.is_number:
        return Markup(' data-value="{}"').format(raw)
    found = _facts(entry, entry.source)
    title = "\n".join([*_words(entry, entry.source, found)])
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in found.items() if value not in ("", None))
    return Markup(f' data-value="{escape(raw)}"{data} title="{escape(title)}"')


def _facts(entry: Entry, source: Source) -> dict[str, Any]:
    own = source.how in ("value", "mean")
    return {
        "unit": unit_of(source.path) if own or source.how == "difference of means" else "",
        "low": entry.more.get("_low"),
        "high": entry.more.get("_high"),
        "stderr": entry.more.get("_stderr"),
        "sd": entry.more.get("_sd"),
        "kind": kind_of(source.records[0], source.path),
        "how": source.how,
        "path": source.path,
        "over": source.over,
        "records": _keys(source.records),
        "against": _keys(source.against),
        "signature": cite(source),
    }


def _words(entry: Entry, source: Source, found: dict[str, Any]) -> list[str]:
    lines = [" ".join(filter(None, [str(entry.raw), found["unit"]])), found["kind"]]
    if found["low"] is not None and found["high"] is not None:
        lines.append(f"95 % interval {found['low']:.6g} to {found['high']:.6g}")
    if found["stderr"] is not None:
        lines.append(f"standard error {found['stderr']:.3g}")
    if found["sd"] is not None:
        lines.append(f"standard deviation over seeds {found['sd']:.3g}")
    seeds = join(dict.fromkeys(str(record.seed) for record in source.records))
    over = f" to {source.over}" if source.over else ""
    lines.append(f"{source.how} of {source.path}{over}, seed {seeds}")
    lines.append(f"record {found['records']}" + (f" against {found['against']}" if found["against"] else ""))
    return [line for line in [*lines, found["signature"]] if line]


def _keys(records: tuple[Record, ...]) -> str:
    return " ".join(record.key[:KEY_DIGITS] for record in records)
