"""One number of a run to cite: its value, error, signature and where it came from, as text, LaTeX, BibTeX or JSON."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.errors import UserError, nearest
from equibench.quantities import glossary
from equibench.quantities.identity import look_up, name_of
from equibench.quantities.tex import tex
from equibench.quantities.text import budget_words, join, slug
from equibench.record import archive, find
from equibench.record.paths import member_names
from equibench.record.schema import Record, SampleMetric
from equibench.stats import Stat
from equibench.summary.codes import notes_on
from equibench.summary.sections import failed
from equibench.summary.sort import rows
from equibench.terminal import visible

FORMATS = ("text", "latex", "bibtex", "json")
ERRORS = {
    "sd-seeds": "standard deviation over seeds",
    "95ci-samples": "half of the 95 % interval over samples, for this one model",
    "se-samples": "standard error over samples, for this one model",
    "se-images": "standard error over test images, for this one model",
}


@dataclass(frozen=True)
class Citation:
    """A number of one row. `shown` is value ± spread, rounded as in the signature; `value` is exact."""

    metric: str
    entrant: str
    path: str
    value: float
    shown: str
    spread: str  # what the ± means; empty without one
    seeds: list[int]
    n: int | None
    kind: str | None
    data: str
    budget: str
    signature: str
    records: list[str]  # whole keys
    commits: list[str]
    machines: list[str]
    created: str
    version: str
    protocol: str
    notes: list[str]  # what a reader should know of the records besides, a clause each


def gather(results: Sequence[Path], without: Sequence[str] = ()) -> list[Record]:
    """All records among files, in folders and in archives of `equibench archive`, subfolders included but for those
    called as in `without`; copies of one once. Raises UserError if there are none.
    """
    found: dict[str, list[Record]] = {}
    with archive.unpacked(results) as places:
        for file in find.record_files(places, deep=True, without=without):
            one = find.read_if_record(file, places)
            if one is not None and one not in (alike := found.setdefault(one.key, [])):
                alike.append(one)
    if not found:
        raise find.none_in(results)
    return [one for alike in found.values() for one in alike]


def cite(metric: str, entrant: str, results: Sequence[Path], without: Sequence[str] = ()) -> list[Citation]:
    """The number `metric` of `entrant`, one a row: data set, budget and protocol set rows apart.

    `metric` is a name as in a signature ("FD_5k", "bits_per_dim"), without its number of samples too, or a dotted path;
    `results` and `without` are as in `gather`. Raises UserError with the nearest name for one that is not there.
    """
    records = gather(results, without)
    named = [one for one in records if one.entrant == entrant]
    if not named:
        raise UserError(f"unknown entrant {entrant!r}{nearest(entrant, {one.entrant for one in records})}")
    path = path_called(metric, named, entrant)
    found = []
    cells = _cells(named, path)
    for protocol in sorted({one.protocol for one in cells}):
        of_protocol = rows([one for one in cells if one.protocol == protocol], "the results")
        for row in of_protocol.values():
            measured = [one for one in row.values() if not failed(one)]
            found += [of_row(measured, path)] if measured else []
    return [one for one in found if one and _plain(metric) in _names(one.metric, path)]


def path_called(metric: str, records: Sequence[Record], whose: str) -> str:
    """The dotted path of a number of `records` by any of its names. Raises UserError with the nearest one."""
    aliases: dict[str, str] = {}
    for one in records:
        for path in sorted(numbers(one), key=lambda path: path.count(".")):
            name = name_of(one, path)
            for alias in _names(name, path):
                aliases.setdefault(alias, path)
    if _plain(metric) not in aliases:
        common = [alias for alias, path in aliases.items() if "." not in alias and "*" not in glossary.of(path).path]
        raise UserError(f"{whose} has no number {metric!r}{nearest(metric, common)}")
    return aliases[_plain(metric)]


def _plain(metric: str) -> str:
    """A path of a metric as `numbers` gives it, to the metric and not to its value."""
    return metric.removesuffix(".value") if "quality.also." in metric else metric


def _cells(records: Sequence[Record], path: str) -> list[Record]:
    """Each cell once. Raises UserError for one that was measured twice and did not give the same number."""
    found: dict[str, Record] = {}
    for one in records:
        if look_up(found.setdefault(one.key, one), path) != look_up(one, path):
            raise UserError(
                f"{one.entrant} with seed {one.seed} was measured twice ({one.key[:8]}), with another {path}; name the "
                "folder that counts with --results"
            )
    return list(found.values())


def _names(name: str, path: str) -> set[str]:
    """What a number may be asked for by: its path, its name in a signature, that without a count of images, and the end
    of its path where that is not the end of many.
    """
    short = set() if "*" in glossary.of(path).path else {path.rpartition(".")[2]}
    return {path, name, re.sub(r"_\d+k?$", "", name), *short}


def numbers(one: Record) -> Iterator[str]:
    """Paths of all numbers of a record that the glossary knows: what was measured, spent or counted."""
    return (path for path in _numbers(one, "") if glossary.known(path))


def write(citations: Sequence[Citation], form: str) -> str:
    """In one of FORMATS."""
    if form == "json":
        return json.dumps([asdict(one) for one in citations], indent=1)  # ASCII survives every encoding and terminal
    return "\n\n".join({"text": _text, "latex": _latex, "bibtex": _bibtex}[form](one) for one in citations)


def _numbers(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, SampleMetric):
        if value.value is not None:
            yield path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _numbers(getattr(value, name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{path}.{name}")
    elif isinstance(value, list):
        members = [item for item in value if isinstance(item, BaseModel)]
        for name, item in zip(member_names(members), members, strict=True):
            yield from _numbers(item, f"{path}.{name}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def of_row(row: Sequence[Record], path: str) -> Citation | None:
    """The number at `path` of one row; None where no record has it. Raises UserError where they do not measure one
    thing.
    """
    text = signature(row, path)
    if text is None:
        return None
    parsed = parse(text)
    has = [one for one in row if one.seed in parsed.seeds and look_up(one, path) is not None]
    values = Stat(tuple(value for one in has if (value := look_up(one, path)) is not None))
    fields = parsed.fields
    return Citation(
        metric=parsed.name,
        entrant=has[0].entrant,
        path=path,
        value=values.mean,
        shown=text.partition("|")[0].rpartition("=")[2],
        spread=ERRORS.get(fields.get("pm", ""), ""),
        seeds=parsed.seeds,
        n=int(fields["n"]) if "n" in fields else None,
        kind=fields.get("kind"),
        data=f"{has[0].data.name} (sha256 {has[0].data.sha256[:8]})",
        budget=budget_words(has[0].budget),
        signature=text,
        records=[one.key for one in has],
        commits=list(dict.fromkeys(_commit(one) for one in has)),
        machines=list(dict.fromkeys(f"{one.machine.processor}, {one.machine.device}" for one in has)),
        created=max(one.created for one in has),
        version=has[0].code.version,
        protocol=has[0].protocol,
        notes=notes_on(has),
    )


def _commit(one: Record) -> str:
    return (one.code.commit or "unknown") + (" with uncommitted changes" if one.code.dirty else "")


def _text(one: Citation) -> str:
    lines = {
        one.metric: f"{one.shown}" + (f"  (±: {one.spread})" if one.spread else ""),
        "entrant": f"{one.entrant}, seed{'s' * (len(one.seeds) > 1)} {join(map(str, one.seeds))}",
        "kind": one.kind,
        "measured on": f"{one.n:,} images" if one.n else None,
        "data": one.data,
        "budget": one.budget,
        "machine": join(one.machines),
        "code": f"equibench {one.version}, commit {join(one.commits)}, protocol {one.protocol}",
        "records": join(one.records),
        "note": " ".join(one.notes),
        "signature": one.signature,
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _latex(one: Citation) -> str:
    """The number alone, and in comments what it is, so that it can stand in a sentence or a table."""
    value = one.shown.replace("±", r" \pm ").replace("e+", "e")
    value = re.sub(r"e(-?)0*(\d+)", r" \\times 10^{\1\2}", value)
    said = visible(f"{one.metric} of {one.entrant}; equibench verify {shlex.quote(one.signature)}")
    return "\n".join([f"% {said}", *(f"% {visible(note)}" for note in one.notes), f"${value}$"])


def _bibtex(one: Citation) -> str:
    def braced(text: str) -> str:
        """BibTeX counts braces, whatever stands before them."""
        return tex(text).replace(r"\{", r"\textbraceleft{}").replace(r"\}", r"\textbraceright{}")

    fields = {
        "title": braced(f"{one.metric} of {one.entrant} on {one.data}: {one.shown}"),
        "author": "{equibench}",
        "howpublished": braced(f"equibench {one.version}, protocol {one.protocol}, commit {join(one.commits)}"),
        "year": one.created[:4],
        "note": braced(one.signature),
    }
    named = re.sub("[^0-9A-Za-z]+", "-", f"{slug(one.entrant)}-{slug(one.metric)}").strip("-")
    key = f"equibench-{named}-{one.records[0][:8]}"
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])
