"""What a number in the page carries with it: its raw value and unit, interval, kind, sampler setting, records and
signature. The page's script shows all of it where a number is selected; without a script the title tells the most.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities import glossary
from equibench.quantities.identity import KEY_DIGITS, kind_of
from equibench.quantities.settings import options
from equibench.quantities.text import join
from equibench.record.paths import next_step, value_at
from equibench.record.schema import Record
from equibench.report.tables.table import Entry, Origin
from equibench.terminal import visible


def cite(source: Origin) -> str | None:
    """The number's signature; None where it is none of the record's own numbers but was derived from several."""
    if source.how not in ("value", "mean"):
        return None
    try:
        return signature(source.records, source.path)
    except UserError:  # not a number that the records may be cited for, such as a seed
        return None


def attributes(entry: Entry, ends: dict[str, int]) -> Markup:
    """The entry's `data-*` attributes and its title; without a source, its value alone. What follows the value in its
    signature, which many numbers of a page share, is looked up in `ends` and added there: most of the attributes' bytes
    were such ends.
    """
    raw = "" if entry.raw is None else entry.raw
    if entry.source is None or not entry.is_number:
        return Markup(f' data-value="{_safe(raw)}"')
    found = _facts(entry, entry.source)
    title = "\n".join(visible(line) for line in _words(entry, entry.source, found))
    if found["signature"]:
        found["signature"], _, end = found["signature"].partition("|")
        found["end"] = ends.setdefault(end, len(ends))
    data = "".join(f' data-{name}="{_safe(value)}"' for name, value in found.items() if value not in ("", None))
    return Markup(f' data-value="{_safe(raw)}"{data} title="{escape(title)}"')


def _safe(value: object) -> Markup:
    return escape(visible(str(value)))


def _facts(entry: Entry, source: Origin) -> dict[str, Any]:
    own = source.how in ("value", "mean")
    return {
        "unit": _unit(source.path) if own or source.how == "difference of means" else "",
        "low": entry.more.get("_low"),
        "high": entry.more.get("_high"),
        "stderr": entry.more.get("_stderr"),
        "sd": entry.more.get("_sd"),
        "kind": kind_of(source.records[0], source.path),
        "setting": sampler_setting(source.records[0], source.path),
        "how": source.how,
        "path": source.path,
        "over": source.over,
        "records": _keys(source.records),
        "seeds": " ".join(str(record.seed) for record in source.records) if source.records[0].role == "entrant" else "",
        "values": _values(source) if source.how == "mean" else "",
        "against": _keys(source.against),
        "signature": cite(source),
    }


def _unit(path: str) -> str:
    found = glossary.known(path)
    return found.unit if found else ""


def _words(entry: Entry, source: Origin, found: dict[str, Any]) -> list[str]:
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
    if found["setting"]:
        lines.append(f"sampler: {found['setting']}")
    return [line for line in lines if line]


def sampler_setting(record: Record, path: str) -> str:
    """The options that the sampler was called with for the number at `path`; empty where it samples nothing."""
    here: Any = record
    found = ""
    while path and here is not None:
        step, here = next_step(here, path)
        path = path[len(step) + 1 :]
        given = getattr(here, "options", None)
        found = options(given) if given is not None and record.role == "entrant" else found
    return found


def _values(source: Origin) -> str:
    """The value of each record, in their order."""
    return " ".join(f"{float(value_at(record, source.path)):.6g}" for record in source.records)


def _keys(records: tuple[Record, ...]) -> str:
    return " ".join(record.key[:KEY_DIGITS] for record in records)
