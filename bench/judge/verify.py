"""Whether signatures still hold: records found, numbers computed again, files hashed, cells run again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from equibench.cite.printed import Signature, as_read, document, folded, parse, same
from equibench.cite.signature import FORM, earlier_signatures, signature
from equibench.errors import A_POINTER, UserError
from equibench.judge.rerun import Rerun, again
from equibench.quantities.identity import KEY_DIGITS, look_up, name_of
from equibench.quantities.numbers import numbers
from equibench.record import archive, find
from equibench.record import files as record_files
from equibench.record.reading import NoRecordError, as_written
from equibench.record.schema import SCHEMA_VERSION, Record

Filed = tuple[Path, Record]


class Finding(NamedTuple):
    """One thing that was looked at; `holds` is None where it could not be."""

    holds: bool | None
    sentence: str


class Verified(NamedTuple):
    """A signature of a document, and what became of it; no findings where its records are not there, but the reason.
    Without a signature the findings are on the archives that the records are in.
    """

    signature: Signature | None
    findings: list[Finding]
    missing: str = ""


def verify(
    text: str, results: Sequence[Path], *, rerun: Rerun | None = None, without: Sequence[str] = ()
) -> list[Finding]:
    """What still holds of the signature in `text`, as it stands in print or was printed by an earlier version. With
    `rerun` its cells are trained and measured again.

    `results` are records, folders, and archives of `equibench archive`. Raises UserError if there is no signature in
    the text, or several, or if a record of it is not there or in subfolders, but for those called as in `without`.
    """
    parsed = parse(text)
    with archive.unpacked(results) as places:
        looked = _Results(find.record_files(places, deep=True, without=without), results)
        return [*looked.verified(parsed, rerun), *_archives(results)]


def verify_all(
    text: str, results: Sequence[Path], *, rerun: Rerun | None = None, without: Sequence[str] = ()
) -> list[Verified]:
    """The same of every signature in a text, such as a paper's, each once; one without its records, or that is not
    whole, is `missing`.

    Raises UserError if there is none.
    """
    there = document(text)
    if not there.signatures:
        raise UserError("there is no signature in the text; `equibench cite METRIC ENTRANT` prints one, NAME=VALUE|...")
    once = {(one.path, one.value, one.spread, *sorted(one.fields.items())): one for one in there.signatures}
    found: list[Verified] = []
    with archive.unpacked(results) as places:
        looked = _Results(find.record_files(places, deep=True, without=without), results)
        for one in once.values():
            try:
                found.append(Verified(one, looked.verified(one, rerun)))
            except UserError as error:
                found.append(Verified(one, [], str(error)))
    found += [
        Verified(None, [], f"{one!r} begins no whole signature: a part is lost or changed") for one in there.broken
    ]
    packed = list(_archives(results))
    return [*found, *([Verified(None, packed)] if packed else [])]


def text_of(given: str) -> tuple[str, bool]:
    """What `verify` is given, and whether it is a document, which may hold many signatures: a file's text, that of
    stdin for "-", or else a signature itself. Raises UserError for a file that cannot be read, or is no text, and for
    what is neither a file nor may be a signature.
    """
    if given == "-":
        content = sys.stdin.buffer.read()
    elif not _is(Path.is_file, given):
        if "=" not in given:  # no signature, but a name
            there = "is a folder" if _is(Path.is_dir, given) else "is neither a file nor a signature"
            raise UserError(f"{given!r} {there}; name a text file that holds signatures, or give one, NAME=VALUE|...")
        return given, False
    else:
        try:
            content = Path(given).read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {given} ({error.strerror}); name a text file that holds signatures") from None
    if content.startswith(b"%PDF") or b"\0" in content:
        raise UserError(f"{given} is no text; give its text, of a PDF that of `pdftotext`, or paste the signature")
    return content.decode("utf-8-sig", errors="replace"), True


def _is(kind: Callable[[Path], bool], given: str) -> bool:
    try:
        return kind(Path(given))
    except (OSError, ValueError):  # far too long for a name, or a null byte
        return False


class _Results:
    """Records among `files`, for many signatures: each file is read, and looked at, once. `named` are the places that
    a user knows them by.
    """

    def __init__(self, files: Sequence[Path], named: Sequence[Path]) -> None:
        self.files, self.named = files, named
        self._read: dict[Path, Record | None] = {}
        self._seen: dict[Path, list[Finding]] = {}

    def verified(self, parsed: Signature, rerun: Rerun | None) -> list[Finding]:
        """What holds of a signature. Raises UserError for a newer form, and where a record of it is not there."""
        if parsed.form > FORM:
            raise UserError(f"the signature {parsed.shown} is of a newer form, {parsed.form}; update equibench")
        several = _sets([self._find(key, parsed) for key in parsed.keys])
        path = _path(parsed, several[0][0][1])
        values = [_value(parsed, path, [one for _, one in found]) for found in several]
        value, found = next(((v, f) for v, f in zip(values, several, strict=True) if v.holds), (values[0], several[0]))
        findings = [value, *(finding for place, one in found for finding in self._of_files(place, one))]
        if rerun:
            findings += [Finding(*again(one, place, path, rerun)) for place, one in found]
        return findings

    def _find(self, key: str, parsed: Signature) -> list[Filed]:
        """The records of a key: several where the cell was measured in several folders. Files may have been renamed."""
        by_name = [file for file in self.files if file.stem.endswith(f"-{key[:KEY_DIGITS]}")]
        others = [file for file in self.files if not find.NAME.fullmatch(file.name)]
        for some in (by_name, others, self.files):
            read = [(file, self._record(file)) for file in some]
            if there := [(file, one) for file, one in read if one and one.key.startswith(key)]:
                return there
        places = ", ".join(map(str, self.named))
        raise UserError(
            f"no record {key} of {parsed.fields.get('entrant', 'the entrant')} in {places}; give its folder with "
            "--results"
        )

    def _record(self, file: Path) -> Record | None:
        if file not in self._read:
            self._read[file] = find.read_if_record(file, self.named)
        return self._read[file]

    def _of_files(self, place: Path, one: Record) -> list[Finding]:
        if place not in self._seen:
            self._seen[place] = [*_form(place, one), _content(place), _arrays(place, one), *_checkpoint(place, one)]
        return self._seen[place]


def _path(parsed: Signature, one: Record) -> str:
    """The number's path; where print has changed its name, that of the number of the record that may be called so."""
    with contextlib.suppress(UserError):  # no record has such a number
        if look_up(one, parsed.path) is not None:
            return parsed.path
    named = {folded(name_of(one, path)): path for path in numbers(one)}
    return named.get(folded(parsed.name), parsed.path)


def _sets(candidates: Sequence[Sequence[Filed]]) -> list[list[Filed]]:
    """One record a key: those of each folder that has all of them, else the first of each."""
    folders = dict.fromkeys(file.parent for there in candidates for file, _ in there)
    of_folders = [[one for there in candidates for one in there if one[0].parent == folder] for folder in folders]
    whole = [found for found in of_folders if len(found) == len(candidates)]
    return whole or [[there[0] for there in candidates]]


def _value(parsed: Signature, path: str, records: Sequence[Record]) -> Finding:
    texts = [signature(records, path)] if parsed.form >= FORM else list(earlier_signatures(records, path))
    now = [parse(text) for text in texts if text is not None]
    if not now:
        return Finding(False, f"the records do not hold {parsed.name} any more")
    if any(same(parsed, one) for one in now):
        form = "" if parsed.form >= FORM else ", in the form of earlier versions of equibench"
        return Finding(True, f"the records give {_shown(texts[0])}, as the signature says{form}")
    other = now[0]
    if (parsed.value, parsed.spread) != (other.value, other.spread):
        return Finding(False, f"the records give {_shown(texts[0])}, which is not what the signature says")
    said = {key: as_read(text) for key, text in parsed.fields.items()}
    differing = [key for key in {**said, **other.fields} if said.get(key) != other.fields.get(key)]
    apart = ", ".join(f"{k} ({other.fields.get(k, 'none')}, not {said.get(k, 'none')})" for k in differing)
    named = f"the number is called {other.name} and not {as_read(parsed.name)}"
    return Finding(
        False, f"the value is that of the records, but {f'the records differ in {apart}' if apart else named}"
    )


def _shown(text: str | None) -> str:
    return (text or "").partition("|")[0]


def _archives(results: Sequence[Path]) -> Iterator[Finding]:
    """Whether each archive holds the files that it was packed with."""
    for path in filter(archive.is_named_so, results):
        other = archive.changed(path)
        if other is None:
            yield Finding(None, f"{path.name} has no list of the files that it was packed with")
        elif other:
            more = f" and {len(other) - 3} more" if len(other) > 3 else ""
            yield Finding(False, f"{path.name} has other files than it was packed with: {', '.join(other[:3])}{more}")
        else:
            yield Finding(True, f"{path.name} has the files that it was packed with")


def _content(path: Path) -> Finding:
    """Whether a record is as it was written."""
    try:
        kept = as_written(record_files.content_of(path))
    except NoRecordError as error:
        return Finding(False, f"{path.name} is not the record any more that was written: {error}")
    if kept is None:
        return Finding(None, f"{path.name} holds no hash of its content, as it is of an earlier version of equibench")
    return Finding(
        kept, f"{path.name} {'is as it was written' if kept else 'was changed by hand after it was written'}"
    )


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
        return Finding(None, f"{file.name} is {A_POINTER}")
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
        return [Finding(None, f"{file.name}, the weights, is {A_POINTER}")]
    from equibench.run import checkpoint  # loads torch

    try:
        same = checkpoint.sha256(file) == one.weights_sha256
    except UserError as error:
        return [Finding(False, str(error))]
    return [Finding(same, f"the weights {file.name} {'have' if same else 'do not have'} the hash in the record")]
