"""What was installed, as a requirements file: names, versions, and hashes where those are known to be true.

pip's hashes are of the file that it downloads, which an installed package does not keep. They are taken from where such
a file was hashed by someone who had it: lock files, wheels at hand, and pip's own note beside a package that was
installed from a file. None is made up, and no address of an index or a file is written.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equibench.errors import UserError, first_line
from equibench.hashing import file_sha256
from equibench.quantities.text import join
from equibench.terminal import visible

ROOT = "equibench"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NEEDED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)['\"]")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)(.*)$", re.DOTALL)
_BOOKKEEPING = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # of an installer, not of the package


@dataclass(frozen=True)
class Package:
    """One package. `files_sha256` is over the names and hashes of its installed files, as its wheel lists them too."""

    name: str
    version: str
    recorded: bool  # in the records, so that it was there when the numbers were made
    files_sha256: str | None = None
    hashes: tuple[str, ...] = ()  # sha256 of files that pip may download
    hashes_from: str = ""


Hashes = dict[tuple[str, str], tuple[set[str], str]]  # name and version -> sha256 of files, and where they were found


def packages(recorded: Mapping[str, str], locks: Sequence[Path] = (), wheels: Sequence[Path] = ()) -> list[Package]:
    """equibench's packages by name: those of the records in the versions that these name, all others as installed here.

    `locks` are lock files (requirements with hashes, pylock.toml, uv.lock, poetry.lock), `wheels` folders of wheels and
    source archives. Raises UserError where one of them cannot be read.
    """
    known: Hashes = {}
    for lock in locks:
        for name, version, sha256 in _locked(lock):
            known.setdefault((name, version), (set(), lock.name))[0].add(sha256)
    here = _installed([ROOT, *filter(_NAME.fullmatch, recorded)])
    versions = {name: (one.version, False) for name, one in here.items()}
    versions |= {normal(name): (version, True) for name, version in recorded.items()}
    files = [file for folder in wheels for file in _files_in(folder)]
    found = []
    for name, (version, is_recorded) in sorted(versions.items()):
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version) or name == ROOT:
            continue
        same = here[name] if name in here and here[name].version == version else None
        hashes, whence = known.get((name, version), (set(), ""))
        if not hashes and (mine := [file for file in files if _is_of(file.name, name, version)]):
            hashes, whence = {file_sha256(file) for file in mine}, "the files at hand"
        if not hashes and same and (noted := _noted(same)):
            hashes, whence = {noted}, "pip's note of what it installed"
        digest = _files_sha256(same) if same else None
        found.append(Package(name, version, is_recorded, digest, tuple(sorted(hashes)), whence))
    return found


def text_of(found: Sequence[Package], about: Sequence[str]) -> str:
    """A requirements file of names, versions and hashes under comments that begin with `about`. Where a hash is missing
    they stand in comments, as pip takes hashes for all packages or for none.
    """
    bare = [one.name for one in found if not one.hashes]
    recorded = [one.name for one in found if one.recorded]
    head = [
        *about,
        f"In the records: {join(recorded)}." if recorded else "The records name no versions.",
        "The other versions are those of the place where the archive was packed.",
    ]
    if not bare and found:
        head.append("All hashes are known: pip checks them.")
    else:
        known = len(found) - len(bare)
        head.append(
            f"Hashes of {known} of {len(found)} packages are known, and stand as comments, as pip takes hashes for all "
            "packages or for none. None is known of:"
        )
        head.append(", ".join(bare) + ".")
        head.append("`equibench archive --lock FILE` or `--wheels FOLDER` says where to find them.")
    lines = [f"# {visible(line)}" for line in head]
    for one in found:
        if one.hashes and not bare:
            lines.append(" \\\n    ".join([f"{one.name}=={one.version}", *(f"--hash=sha256:{x}" for x in one.hashes)]))
        else:
            lines.append(f"{one.name}=={one.version}")
            lines += [f"    # sha256:{sha256}" for sha256 in one.hashes]
    return "\n".join(lines) + "\n"


def normal(name: str) -> str:
    """A package's name as all its spellings compare (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(roots: Sequence[str]) -> dict[str, importlib.metadata.Distribution]:
    """Packages that are installed here, those that they need among them, by their normal names."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting, seen = [(normal(name), "") for name in roots], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for needed in found[name].requires or ():
            match, only = _NEEDED.match(needed), _EXTRA.search(needed)
            if match and (only is None or normal(only[1]) == extra):
                extras = (match[2] or "").split(",")
                waiting += [(normal(match[1]), "" if not one.strip() else normal(one.strip())) for one in ("", *extras)]
    return found


def _files_sha256(one: importlib.metadata.Distribution) -> str | None:
    """Over the files whose hash the package's RECORD knows, scripts and an installer's own notes apart: equal for a
    wheel and for what was installed from it, wherever that is.
    """
    listed = csv.reader((one.read_text("RECORD") or "").splitlines())
    lines = [
        f"{line[0]},{line[1]}"
        for line in listed
        if len(line) == 3
        and line[1]
        and not line[0].startswith(("..", "/"))
        and line[0].rpartition("/")[2] not in _BOOKKEEPING
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() if lines else None


def _noted(one: importlib.metadata.Distribution) -> str | None:
    """The hash that pip wrote down of a file that a package was installed from (PEP 610)."""
    try:
        info = json.loads(one.read_text("direct_url.json") or "{}").get("archive_info", {})
        sha256 = info.get("hashes", {}).get("sha256") or str(info.get("hash", "")).removeprefix("sha256=")
    except (ValueError, AttributeError):
        return None
    return sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.name.endswith((".whl", ".tar.gz", ".zip")))
    except OSError as error:
        raise UserError(f"cannot look for wheels in {folder} ({error.strerror}); name a folder of them") from None


def _is_of(file: str, name: str, version: str) -> bool:
    """Whether a wheel or source archive is called as that version of a package is."""
    stem = file.removesuffix(".tar.gz").removesuffix(".zip").removesuffix(".whl")
    if file.endswith(".whl"):
        parts = stem.split("-")
        return len(parts) >= 5 and (normal(parts[0]), parts[1].replace("_", "+")) == (name, version.replace("_", "+"))
    head, _, tail = stem.rpartition("-")
    return (normal(head), tail) == (name, version)


def _locked(lock: Path) -> Iterator[tuple[str, str, str]]:
    """Name, version and sha256 of every file of every package in a lock file."""
    try:
        text = lock.read_text()
        if lock.name.endswith(".txt"):
            yield from _of_requirements(text)
        else:
            yield from _of_toml(tomllib.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        said = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"cannot read {lock} as a lock file ({said}); give requirements with hashes, pylock.toml, uv.lock or "
            "poetry.lock"
        ) from None


def _of_requirements(text: str) -> Iterator[tuple[str, str, str]]:
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if match := _PINNED.match(line.strip()):
            for sha256 in re.findall(r"--hash[= ]sha256:([0-9a-f]{64})\b", match[3]):
                yield normal(match[1]), match[2], sha256


def _of_toml(content: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """pylock.toml has `packages`, uv.lock and poetry.lock have `package`, each with files in keys of its own."""
    listed = content.get("packages") or content.get("package") or []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or not isinstance(one.get("version"), str):
            continue
        files = [one.get("sdist"), one.get("archive")]
        for key in ("wheels", "files"):
            files += one[key] if isinstance(one.get(key), list) else []
        for file in files:
            if isinstance(file, dict):
                hashes = file.get("hashes")
                found = hashes.get("sha256") if isinstance(hashes, dict) else file.get("hash")
                sha256 = str(found).removeprefix("sha256:")
                if _SHA256.fullmatch(sha256):
                    yield normal(one["name"]), one["version"], sha256
