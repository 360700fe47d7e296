"""One file with all that a paper's numbers rest on: the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import tempfile
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from equibench import outputs, suite
from equibench.archive import checklist, requirements
from equibench.archive.environment import code_words, environment, python_words, usual_versions
from equibench.errors import UserError
from equibench.hashing import file_sha256
from equibench.protocol import __version__
from equibench.quantities.text import join
from equibench.record import files as record_files
from equibench.record import find
from equibench.record.archive import MANIFEST, MARK, RESULTS, is_archive
from equibench.record.schema import FeatureInfo, Record
from equibench.report import write as report
from equibench.suite import Suite
from equibench.summary.sort import load_cells, summarise

STUDIES = "studies"  # folder beside a suite
_STORED = (".npz", ".png")  # compressed as they are
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold
_RIGHTS = 0o100644 << 16


@dataclass(frozen=True)
class Packed:
    """What went into an archive, and in words what did not."""

    records: int
    arrays: int
    size_bytes: int
    notes: tuple[str, ...]


def refuse(out: Path) -> None:
    """Raises UserError where something lies at `out` that is no archive of ours."""
    if out.suffix.lower() != ".zip":
        raise UserError(f"{out} does not end in .zip; call the archive so, as `verify` knows it by that")
    outputs.refuse_foreign(out, is_archive, "an archive", "choose another --out")


def pack(
    results: Sequence[Path],
    out: Path,
    *,
    suites: Sequence[Path] = (),
    locks: Sequence[Path] = (),
    wheels: Sequence[Path] = (),
) -> Packed:
    """Pack the records at `results` with all that belongs to them into the file `out`.

    `suites` are the TOML files of suites of one's own; `locks` and `wheels` as in `requirements.packages`. Raises
    UserError where there are no records, records of two protocols or some that were changed by hand, where arrays are
    not those of their record, for a suite of another name than the records', and where `out` cannot be written or is
    something else.
    """
    refuse(out)
    cells = load_cells(list(results))
    found = [(cell.path, cell.record) for cell in cells]
    records = [one for _, one in found]
    find.refuse_edited(records, "an archive holds records as they were written")
    notes: list[str] = []
    members = _results(found, notes)
    members |= _suites(records, suites, notes)
    with tempfile.TemporaryDirectory(prefix="equibench-report-") as folder:
        for file in report.write(list(results), Path(folder)):
            members[f"report/{file.relative_to(folder).as_posix()}"] = file.read_bytes()
    versions, disagreements = usual_versions(records)
    packages = requirements.packages(versions, locks, wheels)
    about = [f"What the results were made with: {code_words(records)}; {python_words(records)}.", *disagreements]
    members["requirements.txt"] = requirements.text_of(packages, about).encode(errors="backslashreplace")
    members["environment.json"] = _json(environment(records, packages))
    members["checklist.md"] = checklist.answers(summarise(cells)).encode(errors="backslashreplace")
    members["README.md"] = _readme(records, notes).encode(errors="backslashreplace")
    listed = [
        {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(members.items())
    ]
    members[MANIFEST] = _json({"equibench": __version__, "protocol": records[0].protocol, "files": listed})
    content = _zipped(members)
    outputs.put(out, content, "choose another --out")
    arrays = sum(name.endswith(".npz") for name in members)
    return Packed(len(records), arrays, len(content), tuple(notes))


def _results(found: Sequence[tuple[Path, Record]], notes: list[str]) -> dict[str, bytes]:
    """Records as they are, with their arrays; a name that is there twice goes into a folder with a number."""
    members: dict[str, bytes] = {}
    missing = []
    for path, one in found:
        name = _free(members, RESULTS, f"{_plain(path.stem)}.json")
        members[name] = record_files.content_of(path)
        file = path.with_suffix(".npz")
        if one.arrays_sha256 is None:
            continue
        if not file.is_file():
            missing.append(file.name)
            continue
        if file_sha256(file) != one.arrays_sha256:
            record_files.read_arrays(path, one)  # says what it is instead
        members[f"{name.removesuffix('.json')}.npz"] = file.read_bytes()
    if missing:
        notes.append(f"The arrays of {len(missing)} records are not here and were not packed: {join(missing[:3])}.")
    return members


def _free(members: Collection[str], folder: str, name: str) -> str:
    """The name in the folder, or, where it is taken, in one of the numbered folders within."""
    places = (f"{folder}/{number}/{name}" if number else f"{folder}/{name}" for number in itertools.count())
    return next(place for place in places if place not in members)


def _plain(stem: str) -> str:
    """A name that every system can hold; the end, with seed and key, stays."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem)[-150:].lstrip(".") or "record"


def _suites(records: Sequence[Record], given: Sequence[Path], notes: list[str]) -> dict[str, bytes]:
    """The TOML files of the suites that the records name."""
    shipped = suite.shipped()
    members: dict[str, bytes] = {}
    own = {suite.load(str(path)).name: path for path in given}
    named = dict.fromkeys(one.suite for one in records)
    if unknown := [name for name in own if name not in named]:
        raise UserError(f"no record is of the suite {unknown[0]!r}; these are of {join(named)}")
    for name in named:
        path = own.get(name) or shipped.get(name)
        if path is None:
            notes.append(f"The suite {name} is none that comes with equibench; give its file with --suite.")
            continue
        at = _free(members, "suites", f"{_plain(path.stem)}.toml")
        members[at], studies = _suite(path, at.rpartition("/")[0])
        members |= studies
        mine = [one for one in records if one.suite == name]
        spaces = {_spaces(one) for one in mine if one.quality and one.quality.features}
        proved = sum(_is_of(one, suite.load(str(path)), spaces) for one in mine)
        if proved < len(mine):
            notes.append(
                f"The suite {name} as packed accounts for {proved} of the {len(mine)} records that name it; the others "
                "were run with other settings, protocols or checkpoints, and their records say with which."
            )
    return members


def _suite(path: Path, folder: str) -> tuple[bytes, dict[str, bytes]]:
    """A suite's file and, by their places in its `folder`, the studies that it names. The file is as it is where it
    stands alone and its studies lie in the folder that those of shipped suites do; otherwise all that it comes to.
    """
    found = suite.read(str(path))
    named = {one.name: Path(one.tuned) for one in found.entrant if isinstance(one.tuned, str)}
    places: dict[str, str] = {}
    for name in named:
        places[name] = _free(places.values(), f"{STUDIES}/{_plain(found.name)}", f"{_plain(name)}.json")
    studies = {f"{folder}/{places[name]}": file.read_bytes() for name, file in named.items()}
    there = all(file == (path.parent / places[name]).absolute() for name, file in named.items())
    if there and not suite.extends_another(path):
        return path.read_bytes(), studies
    moved = [one.model_copy(update={"tuned": places.get(one.name)}) for one in found.entrant]
    return suite.written(found.model_copy(update={"entrant": moved})).encode(), studies


def _is_of(one: Record, asked: Suite, spaces: Collection[tuple[FeatureInfo, ...]]) -> bool:
    """Whether a record has the key of one of the suite's cells, so that this suite is what it was run with."""
    entrants = [entrant.as_run(one.config, one.family or "") for entrant in asked.entrant]
    loads = any(entrant.name == one.entrant and entrant.load is not None for entrant in entrants)
    weights = one.weights_sha256 if loads else None
    return any(
        cell.name == one.entrant and cell.key(one.data.sha256, first, one.machine.key, weights, more) == one.key
        for cell in suite.cells(asked.model_copy(update={"seeds": [one.seed], "entrant": entrants}))
        for first, *more in spaces
    )


def _spaces(one: Record) -> tuple[FeatureInfo, ...]:
    """The feature spaces of a record, the headline's first."""
    found = [one.quality, *(there.quality for there in one.spaces)]
    return tuple(quality.features for quality in found if quality and quality.features)


def _readme(records: Sequence[Record], notes: Sequence[str]) -> str:
    lines = [
        "# Results of equibench",
        "",
        f"{len(records)} records of protocol {records[0].protocol}, made with {code_words(records)}.",
        "",
        "- `results/`: the records, JSON, each with its arrays (`.npz`) beside it",
        "- `report/`: tables, figures and a page, `report/index.html`, made of these records alone",
        "- `suites/`: what was asked, and the studies that chose settings",
        "- `environment.json`: machines, versions, libraries, arithmetic and code, by record",
        "- `requirements.txt`: packages with versions, and hashes where they are known",
        "- `checklist.md`: answers for a reproducibility checklist, out of the records",
        "- `manifest.json`: the sha256 of every file",
        "",
        "A signature is verified against this file as it is: `equibench verify 'SIGNATURE' --results ARCHIVE.zip`.",
        "Weights are not packed; a record names their hash, and `equibench verify --rerun` trains them again.",
        *(["", "What is missing:", "", *(f"- {checklist.plain(note)}" for note in notes)] if notes else []),
    ]
    return "\n".join(lines) + "\n"


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = MARK
        for name in sorted(members, key=lambda name: (name != "README.md", name)):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, _RIGHTS  # the same on every system
            info.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name], compresslevel=9)
    return buffer.getvalue()
