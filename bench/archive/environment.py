"""What the results were made on and with, out of the records: machines, versions, libraries, arithmetic, code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from equibench.archive.requirements import Package
from equibench.quantities.text import join
from equibench.record.base import Strict
from equibench.record.schema import Record


def environment(records: Sequence[Record], found: Sequence[Package]) -> dict[str, Any]:
    """All that differs is there once, with the keys of the records that it is of."""
    return {
        "machines": _distinct((one.key, one.machine) for one in records),
        "numerics": _distinct((one.key, one.numerics) for one in records),
        "libraries": _distinct((one.key, one.libraries) for one in records),
        "code": _distinct((one.key, one.code) for one in records),
        "versions": [
            {**dict(versions), "records": keys}
            for versions, keys in _grouped((one.key, tuple(sorted(one.versions.items()))) for one in records)
        ],
        "packages": [
            {
                "name": one.name,
                "version": one.version,
                "in_the_records": one.recorded,
                "sha256_of_the_list_of_installed_files": one.files_sha256,
                "sha256_of_downloads": list(one.hashes),
                "hashes_from": one.hashes_from or None,
            }
            for one in found
        ],
    }


def usual_versions(records: Sequence[Record]) -> tuple[dict[str, str], list[str]]:
    """The version of each package that most records name, and in words where others name another."""
    found: dict[str, Counter[str]] = {}
    for one in records:
        for name, version in one.versions.items():
            found.setdefault(name, Counter())[version] += 1
    usual = {name: max(sorted(counts), key=lambda version: counts[version]) for name, counts in found.items()}
    notes = [
        f"Records do not agree on {name}: "
        + join(f"{version} in {many}" for version, many in sorted(counts.items()))
        + "."
        for name, counts in sorted(found.items())
        if len(counts) > 1
    ]
    return usual, notes


def code_words(records: Sequence[Record]) -> str:
    """Versions and commits of equibench."""
    return join(dict.fromkeys(_code(one) for one in records))


def python_words(records: Sequence[Record]) -> str:
    """The versions of Python, where records know them."""
    found = dict.fromkeys(
        one.libraries.python if one.libraries and one.libraries.python else one.machine.system for one in records
    )
    return join(found)


def _code(one: Record) -> str:
    changed = " with uncommitted changes" if one.code.dirty else ""
    return f"equibench {one.code.version}, commit {one.code.commit or 'not recorded'}{changed}"


def _distinct(parts: Iterable[tuple[str, Strict | None]]) -> list[dict[str, Any]]:
    there = ((key, part.model_dump_json()) for key, part in parts if part is not None)
    return [{**json.loads(text), "records": keys} for text, keys in _grouped(there)]


def _grouped(parts: Iterable[tuple[str, Any]]) -> list[tuple[Any, list[str]]]:
    found: dict[Any, list[str]] = {}
    for key, part in parts:
        found.setdefault(part, []).append(key)
    return list(found.items())
