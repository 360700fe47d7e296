"""One number of a run to cite: its value, error, signature and where it came from, as text, LaTeX, BibTeX or JSON."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from equibench.cite.names import entrant_called, names, path_called, plain, why_missing
from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities.identity import look_up
from equibench.quantities.tex import tex
from equibench.quantities.text import budget_words, join, slug
from equibench.record import archive, find
from equibench.record.schema import Record
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

    `metric` is any name that the report prints ("FD_5k", "NFE", "Latency p50"), one in a signature, or a dotted path;
    `entrant` is its name, or the label of a way to sample ("vae, mean decoding"); `results` and `without` are as in
    `gather`. Raises UserError with the nearest name for one that is not there, and with the recorded reason where no
    record has the number.
    """
    named, part = entrant_called(entrant, gather(results, without))
    path = path_called(metric, named, entrant, part)
    found = []
    cells = _cells(named, path)
    find.refuse_edited(cells, "no signature of it would hold")
    for protocol in sorted({one.protocol for one in cells}):
        of_protocol = rows([one for one in cells if one.protocol == protocol], "the results")
        for row in of_protocol.values():
            measured = [one for one in row.values() if not failed(one)]
            found += [of_row(measured, path)] if measured else []
    bare = metric.partition(" (")[0]
    counted = re.search(r"_\d+k?$", bare)  # of so many images, and no others
    own = part or path.startswith(("sampler_points.", "along."))  # which was found by its count
    cited = [one for one in found if one and (not counted or own or plain(bare) in names(one.metric, path))]
    if not cited:
        raise UserError(f"{entrant} has no {metric}: {why_missing(path, named)}")
    return cited


def _cells(records: Sequence[Record], path: str) -> list[Record]:
    """Each cell once. Raises UserError for one that was measured twice and did not give the same number."""
    found: dict[str, Record] = {}
    for one in records:
        if found.setdefault(one.key, one).seed != one.seed:
            raise UserError(
                f"records of {one.entrant} with seeds {found[one.key].seed} and {one.seed} have the same key, "
                f"{one.key[:8]}, so that one of them was changed; keep the other"
            )
        if look_up(found[one.key], path) != look_up(one, path):
            raise UserError(
                f"{one.entrant} with seed {one.seed} was measured twice ({one.key[:8]}), with another {path}; name the "
                "folder that counts with --results"
            )
    return list(found.values())


def write(citations: Sequence[Citation], form: str) -> str:
    """In one of FORMATS."""
    if form == "json":
        return json.dumps([asdict(one) for one in citations], indent=1)  # ASCII survives every encoding and terminal
    return "\n\n".join({"text": _text, "latex": _latex, "bibtex": _bibtex}[form](one) for one in citations)


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

    fields = {  # a second pair of braces keeps the title's capitals
        "title": f"{{{braced(f'{one.metric} of {one.entrant} on {one.data}: {one.shown}')}}}",
        "author": "{equibench}",
        "howpublished": braced(f"equibench {one.version}, protocol {one.protocol}, commit {join(one.commits)}"),
        "year": one.created[:4],
        "note": "\\allowbreak ".join(braced(piece) for piece in _pieces(one.signature)),
    }
    named = re.sub("[^0-9A-Za-z]+", "-", f"{slug(one.entrant)}-{slug(one.metric)}").strip("-")
    key = f"equibench-{named}-{one.records[0][:8]}"
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])


def _pieces(text: str) -> list[str]:
    """A signature in pieces between which a line may break. Where there is no space BibTeX breaks a long line all the
    same, in the middle of a command, which TeX then does not know.
    """
    return re.findall(r"[^|,+]{0,19}[|,+]|[^|,+]{1,20}", text)
