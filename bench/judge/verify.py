"""Whether a signature still holds: its records found, the number computed again, files hashed, cells run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from equibench.cite.signature import Signature, parse, signature
from equibench.errors import UserError
from equibench.judge.rerun import Rerun, again
from equibench.record import archive, find
from equibench.record import files as record_files
from equibench.record.schema import SCHEMA_VERSION, Record


class Finding(NamedTuple):
    """One thing that was looked at; `holds` is None where it could not be."""

    holds: bool | None
    sentence: str


def verify(
    text: str, results: Sequence[Path], *, rerun: Rerun | None = None, without: Sequence[str] = ()
) -> list[Finding]:
    """What still holds of the signature `text`. With `rerun` its cells are trained and measured again.

    `results` are records, folders, and archives of `equibench archive`. Raises UserError if the text is no signature,
    or if a record of it is not there or in subfolders, but for those called as in `without`.
    """
    parsed = parse(text)
    with archive.unpacked(results) as places:
        files = find.record_files(places, deep=True, without=without)
        found = [_find(key, parsed, files, results) for key in parsed.keys]
        findings = [_value(text, parsed, [one for _, one in found])]
        for path, one in found:
            findings += [*_form(path, one), _arrays(path, one), *_checkpoint(path, one)]
        if rerun:
            findings += [Finding(*again(one, path, parsed.path, rerun)) for path, one in found]
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
