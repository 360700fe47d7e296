"""Whether one code and one set of libraries made the records that stand for one row, each by a training of its own."""

from __future__ import annotations

from collections.abc import Sequence

from equibench.hashing import digest
from equibench.quantities.text import join
from equibench.record.schema import Record


def code_of(record: Record) -> str:
    """Digest of the sources that made a record, a user's own among them; "unknown" where none was recorded."""
    code = record.code
    if code.sources_sha256 is None:
        return "unknown"
    return digest([code.sources_sha256, code.own_sha256]) if code.own_sha256 else code.sources_sha256


def notes_on(records: Sequence[Record]) -> list[str]:
    """Notes that seeds of one row were made by several codes, or with several versions of a library, or have the same
    weights, a clause each; empty where they were not, as far as is known. Records without a digest of their sources go
    by their commit.
    """
    known = all(record.code.sources_sha256 for record in records)
    codes = [
        f"sources {code_of(record)[:8]}" if known else f"commit {(record.code.commit or 'unknown')[:8]}"
        for record in records
    ]
    found = [f"not all seeds are of one code: {by}." for by in _apart(records, codes)]
    for library in sorted({name for record in records for name in record.versions}):
        versions = [f"{library} {record.versions[library]}" for record in records if library in record.versions]
        if len(versions) == len(records):
            found += [f"not all seeds are of one version of {library}: {by}." for by in _apart(records, versions)]
    return [*found, *(f"{words}." for words in same_weights(records))]


def same_weights(records: Sequence[Record]) -> list[str]:
    """A clause for each set of trainings that ended in the same weights with several seeds, as a model's do that does
    not heed its seed: they are no repeats.
    """
    found: dict[str, list[str]] = {}
    for record in records:
        if record.weights_sha256 and record.loaded is None:
            found.setdefault(record.weights_sha256, []).append(str(record.seed))
    return [
        f"seeds {join(seeds)} have the same weights, which is one training and not {len(seeds)}"
        for seeds in found.values()
        if len(seeds) > 1
    ]


def _apart(records: Sequence[Record], made_by: Sequence[str]) -> list[str]:
    """Which seeds were made by what, where it was not the same."""
    found: dict[str, list[str]] = {}
    for record, by in zip(records, made_by, strict=True):
        found.setdefault(by, []).append(str(record.seed))
    if len(found) < 2:
        return []
    return [", ".join(f"seed{'s' * (len(seeds) > 1)} {join(seeds)} by {by}" for by, seeds in found.items())]
