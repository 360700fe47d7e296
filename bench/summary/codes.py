"""Which code made records that stand for one row, where it was not the same for all."""

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


def other_code(records: Sequence[Record]) -> str:
    """That seeds of one row were made by several codes, in a clause that names them; empty where one made all, as far
    as is known. Records without a digest of their sources go by their commit.
    """
    known = all(record.code.sources_sha256 for record in records)
    found: dict[str, list[str]] = {}
    for record in records:
        name = f"sources {code_of(record)[:8]}" if known else f"commit {(record.code.commit or 'unknown')[:8]}"
        found.setdefault(name, []).append(str(record.seed))
    if len(found) < 2:
        return ""
    return join(f"seed{'s' * (len(seeds) > 1)} {join(seeds)} by {name}" for name, seeds in found.items())
