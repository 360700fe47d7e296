"""Which code makes numbers: digests of sources that change with what can change a number, and with nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_imports import MAY_IMPORT

from equibench.machine import code
from equibench.machine.code import changed_since, code_digest, own_digests, package_versions
from equibench.record.schema import Code

ROOT = Path(__file__).parents[2]
VERSIONS = package_versions()


@pytest.fixture
def installed(tmp_path):
    """The packages copied to a folder, as a wheel installs them, and the digest that they have there."""
    for package, folder in (("equibench", "bench"), ("equibench_models", "models")):
        ignored = shutil.ignore_patterns("__pycache__", "files")
        shutil.copytree(ROOT / folder, tmp_path / package, ignore=ignored)

    def digest():
        here = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", "from equibench.machine.code import code_digest; print(code_digest())"]
        done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return tmp_path, digest


def test_a_copy_has_the_digest_of_the_checkout(installed):
    folder, digest = installed
    assert digest() == digest() == code_digest()  # the first call has written bytecode
    assert list(folder.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("equibench/measure/quality/frechet.py", True),
        ("equibench/run/train.py", True),
        ("equibench_models/vae/model.py", True),
        ("equibench_models/new.py", True),
        ("equibench/new_room/one.py", True),
        ("equibench/report/write.py", False),
        ("equibench/cli/run.py", False),
        ("equibench/suites/smoke.toml", False),  # in the key of each cell
        ("equibench/measure/notes.md", False),
    ],
)
def test_a_change_counts_where_it_can_change_a_number(installed, file, counts):
    folder, digest = installed
    (folder / file).parent.mkdir(exist_ok=True)
    with (folder / file).open("a") as stream:
        stream.write("\n# changed\n")
    assert (digest() != code_digest()) == counts


def test_rooms_that_do_not_count_are_never_imported_by_what_runs_a_cell():
    reached, todo = set(), ["run"]
    while todo:
        room = todo.pop()
        if room not in reached:
            reached.add(room)
            todo += [name for name in MAY_IMPORT[room] if name != "models"]
    assert not reached & code.READING
    assert MAY_IMPORT.keys() >= code.READING


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's own module in the working folder, with what it imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import numpy\nfrom parts import blocks\nimport helper_of_mine\nraise SystemExit\n"
    )
    (tmp_path / "helper_of_mine.py").write_text("x = 1\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "blocks.py").write_text("from . import deep\n")
    (tmp_path / "parts" / "deep.py").write_text("y = 1\n")
    (tmp_path / "unused.py").write_text("z = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("mine.py", True),
        ("helper_of_mine.py", True),
        ("parts/__init__.py", True),
        ("parts/blocks.py", True),
        ("parts/deep.py", True),
        ("unused.py", False),
    ],
)
def test_a_user_s_own_code_is_what_its_module_imports_beside_it(own, file, counts):
    before = own_digests(["mine:Family"])
    (own / file).write_text((own / file).read_text() + "# changed\n")
    after = own_digests(["mine:Family"])
    assert before.keys() == after.keys() == {"mine:Family"}
    assert (before != after) == counts
    assert "mine" not in sys.modules  # which would have ended this process


def test_own_code_that_is_not_there_has_no_digest(own):
    odd = [
        "nowhere:Family",
        "mine.x:Family",
        ":",
        "",
        "..:f",
        "/etc/x:f",
        "a\0b:f",
        "é\udce9:f",
        "os:path",
        "asyncio:x",
    ]
    assert own_digests([*odd, "parts.deep:f"]).keys() == {"parts.deep:f"}
    (own / "mine.py").write_text("no python at all (")
    assert own_digests(["mine:Family"]).keys() == {"mine:Family"}


def made(**changes):
    same = {"commit": "abcdef0123", "dirty": False, "version": "1", "sources_sha256": code_digest()}
    return Code(**{**same, **changes})


def test_why_something_was_made_otherwise(own, monkeypatch):
    assert changed_since(made(), VERSIONS) is None
    assert changed_since(made(commit="another", dirty=True), VERSIONS) is None  # a commit is only recorded
    assert changed_since(made(sources_sha256="0" * 64), VERSIONS) == "was made by other code (commit abcdef01)"
    assert changed_since(made(sources_sha256=None), VERSIONS) == "does not say which code made it"
    assert changed_since(None, VERSIONS) == "does not say which code made it"
    older = {**VERSIONS, "torch": "1.0"}
    assert changed_since(made(), older) == f"was made with torch 1.0, now {VERSIONS['torch']}"
    with_own = made(own_sha256=own_digests(["mine:Family"]))
    assert changed_since(with_own, VERSIONS, ["mine:Family"]) is None
    (own / "helper_of_mine.py").write_text("x = 2\n")
    assert changed_since(with_own, VERSIONS, ["mine:Family"]) == "was made before mine:Family changed"
    assert changed_since(with_own, VERSIONS) == "was made before mine:Family changed"
    monkeypatch.chdir(own / "parts")  # from where `status` does not find it
    assert changed_since(with_own, VERSIONS) is None
    assert changed_since(with_own, VERSIONS, ["mine:Family"]) == "was made before mine:Family changed"
