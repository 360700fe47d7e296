"""Whether a signature still holds: its records found, the number computed again, files hashed, cells run again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from equibench.cite.signature import Signature, parse, signature
from equibench.errors import UserError
from equibench.quantities.identity import look_up
from equibench.record import files as record_files
from equibench.record import find
from equibench.record.schema import SCHEMA_VERSION, Record
from equibench.usercode import require_consent


class Finding(NamedTuple):
    """One thing that was looked at; `holds` is None where it could not be."""

    holds: bool | None
    sentence: str


def verify(
    text: str,
    results: Sequence[Path],
    *,
    rerun: bool = False,
    suite: str | None = None,
    allow_code: bool = False,
    without: Sequence[str] = (),
) -> list[Finding]:
    """What still holds of the signature `text`. `rerun` trains and measures its cells again, by the suite that their
    records name, or by `suite`, whose own code runs only with `allow_code`.

    Raises UserError if the text is no signature, or if a record of it is not in `results` or their subfolders, but for
    those called as in `without`.
    """
    parsed = parse(text)
    files = find.record_files(results, deep=True, without=without)
    found = [_find(key, parsed, files, results) for key in parsed.keys]
    findings = [_value(text, parsed, [one for _, one in found])]
    for path, one in found:
        findings += [*_form(path, one), _arrays(path, one), *_checkpoint(path, one)]
    if rerun:
        findings += [_again(one, parsed.path, suite or one.suite, allow_code) for _, one in found]
    return findings


def _find(key: str, parsed: Signature, files: Sequence[Path], results: Sequence[Path]) -> tuple[Path, Record]:
    for file in sorted(files, key=lambda file: not file.stem.endswith(f"-{key}")):
        if file.stem.endswith(f"-{key}") or not find.NAME.fullmatch(file.name):  # a name may be another than it was
            one = find.read_if_record(file, results)
            if one and one.key.startswith(key):
                return file, one
    places = ", ".join(map(str, results))
    raise UserError(
        f"no record {key} of {parsed.fields.get('entrant', 'the entrant')} in {places}; give its folder with --results"
    )


def _value(text: str, parsed: Signature, records: Sequence[Record]) -> Finding:
    now = signature(records, parsed.path)
    if now is None:
        return Finding(False, f"the records do not hold {parsed.name} any more")
    if now == text.strip():
        return Finding(True, f"the records give {now.partition('|')[0]}, as the signature says")
    other = parse(now)
    differing = [key for key in {**parsed.fields, **other.fields} if parsed.fields.get(key) != other.fields.get(key)]
    shown = now.partition("|")[0]
    if shown != text.partition("|")[0].strip():
        return Finding(False, f"the records give {shown}, which is not what the signature says")
    apart = ", ".join(f"{k} ({other.fields.get(k, 'none')}, not {parsed.fields.get(k, 'none')})" for k in differing)
    return Finding(False, f"the value is that of the records, but they differ in {apart}")


def _form(path: Path, one: Record) -> list[Finding]:
    if one.schema_version == SCHEMA_VERSION:
        return []
    age = "an older" if one.schema_version < SCHEMA_VERSION else "a newer"
    what = f"{path.name} is of {age} form ({one.schema_version}; this version of equibench writes {SCHEMA_VERSION})"
    return [Finding(None, f"{what}, and what either does not know was not looked at")]


def _arrays(path: Path, one: Record) -> Finding:
    file = path.with_suffix(".npz")
    if one.arrays_sha256 is None:
        return Finding(None, f"{path.name} has no arrays")
    if not file.is_file():
        return Finding(None, f"{file.name} is not here")
    if record_files.is_lfs_pointer(file):
        return Finding(
            None, f"{file.name} is a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"
        )
    try:
        record_files.read_arrays(path, one)
    except UserError:
        return Finding(False, f"{file.name} is not the file that its record was written with")
    return Finding(True, f"{file.name} is the file that its record was written with")


def _checkpoint(path: Path, one: Record) -> list[Finding]:
    if one.checkpoint is None:
        return []
    file = path.parent / one.checkpoint
    if not file.is_file():
        return [Finding(None, f"the weights {file.name} are not here")]
    if record_files.is_lfs_pointer(file):
        return [Finding(None, f"the weights {file.name} are a pointer of Git LFS; fetch them with `git lfs pull`")]
    from equibench.run import checkpoint  # loads torch

    try:
        same = checkpoint.sha256(file) == one.weights_sha256
    except UserError as error:
        return [Finding(False, str(error))]
    return [Finding(same, f"the weights {file.name} {'have' if same else 'do not have'} the hash in the record")]


def _again(one: Record, path: str, suite_name: str, allow_code: bool) -> Finding:
    """Run the record's cell again, in a folder that goes away, and compare its number to the last bit."""
    import torch

    from equibench import suite
    from equibench.data import sets
    from equibench.measure.features.load import load_extractor
    from equibench.measure.features.names import EXTRACTORS
    from equibench.run.session import Session
    from equibench.run.supervise import run_cell

    chosen = suite.load(suite_name)
    found = sets.load(one.data.name)
    found = found.limited(chosen.train_images or len(found.train), chosen.test_images or len(found.test))
    entrant = next((entrant for entrant in chosen.entrant if entrant.name == one.entrant), None)
    if (entrant is None) != (one.role == "floor") or (entrant and one.budget not in chosen.budget):
        raise UserError(
            f"suite {suite_name} does not have {one.entrant} with the record's budget; give the one it was run with by "
            "--suite"
        )
    device = torch.device("cpu" if one.machine.device == "cpu" or not torch.cuda.is_available() else "cuda")
    cell = suite.Cell(chosen, one.entrant, one.seed, entrant, one.budget)
    named = one.quality.features.name.lower() if one.quality and one.quality.features else ""
    space = named if named in EXTRACTORS else chosen.measure.extractor
    used = chosen.model_copy(update={"entrant": [entrant] if entrant else []})
    for name in suite.code_in(used, extractor=space not in EXTRACTORS):
        require_consent(f"{name}, which the suite {suite_name} names,", allow_code)
    extractor = load_extractor(space, device, allow_code=allow_code)
    with tempfile.TemporaryDirectory() as folder:
        reload = partial(load_extractor, space, device, allow_code=allow_code)
        session = Session(chosen, found, device, extractor, Path(folder), None, allow_code, reload)
        _, again = run_cell(cell, session)
    name = f"{one.entrant} seed {one.seed}"
    if again.status != one.status:
        return Finding(False, f"{name} run again is {again.status}: {again.reason}")
    was, now = look_up(one, path), look_up(again, path)
    if again.key != one.key:
        why = (
            "another machine" if again.machine.key != one.machine.key else "another protocol, suite or feature network"
        )
        return Finding(None, f"{name} run again gives {now!r}, the record {was!r}, but on {why}: not the same cell")
    if was == now:
        return Finding(True, f"{name} run again gives {now!r}, the same to the last bit")
    same = again.weights_sha256 == one.weights_sha256
    weights = "the same weights" if same else "other weights"
    return Finding(False, f"{name} run again gives {now!r}, the record {was!r}, from {weights}")
