"""Who may import whom: the table of rooms, the two wings, and the names that mean one thing.

The measuring wing works with torch; the reading wing starts without it; docs/index.md lists the rooms of both. They
share `record` and the helpers. Two rooms cross, and are named here: `judge`, whose `verify --rerun` and
`check --confirm` run cells, and `cli`, which may call everything; both import torch inside functions only.
"""

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {
    "atomic",
    "cache",
    "errors",
    "protocol",
    "hashing",
    "usercode",
    "stats",
    "terminal",
    "outputs",
    "validation",
    "record",
}
MEASURING = {"data", "hub", "machine", "models", "measuring", "entrant", "suite", "intervals", "updates"}
READING = {"intervals", "quantities", "summary", "cite", "models"}
MAY_IMPORT = {
    "atomic": set(),
    "cache": set(),
    "errors": set(),
    "protocol": set(),
    "terminal": set(),
    "outputs": {"atomic", "errors"},
    "hashing": set(),
    "usercode": {"errors"},
    "validation": {"errors"},
    "stats": {"protocol"},
    "record": {"atomic", "errors", "protocol", "hashing", "terminal"},
    "intervals": GROUND,
    "data": GROUND | {"hub"},
    "machine": GROUND,
    "updates": GROUND | {"machine", "models"},
    "quantities": GROUND,
    "measuring": GROUND,
    "entrant": GROUND | {"models", "measuring"},
    "extending": {"errors"},
    "hub": {"errors"},
    "toml_text": set(),
    "suite": GROUND | {"models", "measuring", "entrant", "hub", "extending", "toml_text"},
    "measure": GROUND | MEASURING,
    "outside": GROUND | MEASURING | {"measure"},
    "run": GROUND | MEASURING | {"measure", "outside"},
    "conformance": GROUND | MEASURING | {"outside", "run"},
    "selftest": GROUND | MEASURING | {"measure"},
    "summary": GROUND | {"intervals", "quantities", "models"},
    "cite": GROUND | {"intervals", "quantities", "summary"},
    "report": GROUND | READING,
    "history": GROUND | READING | {"report"},
    "archive": GROUND | READING | {"report", "suite"},
    "trackers": GROUND | READING | {"report"},
    "tune": GROUND | MEASURING | {"measure", "run"},
    "engine": GROUND | MEASURING | {"run"},
    "judge": GROUND | READING | MEASURING | {"measure", "outside", "run"},
    "cli": GROUND
    | READING
    | MEASURING
    | {
        "measure",
        "outside",
        "conformance",
        "selftest",
        "run",
        "engine",
        "tune",
        "report",
        "history",
        "archive",
        "trackers",
        "judge",
    },
    "__main__": {"cli"},
    "__init__": {"errors", "protocol", "summary", "report"},
}
# inside the rooms that have rooms of their own
MAY_IMPORT_INSIDE = {
    "measure": {
        "features": set(),
        "quality": {"features"},
        "labels": {"quality"},
        "likelihood": set(),
        "cost": set(),
        "samples": {"*"},
    },
    "report": {
        "tables": set(),
        "sprites": set(),
        "figures": {"sprites"},
        "diagrams": {"sprites"},
        "pages": {"tables"},
        "parts": {"figures", "tables", "diagrams", "sprites"},
        "exports": {"tables", "pages"},
        "write": {"*"},
    },
}
WITHOUT_TORCH = [
    "equibench",
    "equibench.cli.main",
    "equibench.suite",
    "equibench.data.sets",
    "equibench.measure.features.names",
    "equibench.record.files",
    "equibench.run.status",
    "equibench.quantities.identity, equibench.quantities.glossary, equibench.quantities.metric",
    "equibench.summary.sort, equibench.summary.pairs, equibench.summary.changes, equibench.summary.noise",
    "equibench.cite.citation, equibench.cite.methods, equibench.cite.recorded",
    "equibench.report.write",
    "equibench.archive.pack",
    "equibench.trackers.to_mlflow, equibench.trackers.to_wandb, equibench.trackers.to_card",
    "equibench.history.history, equibench.history.output, equibench.history.page",
    "equibench.judge.check, equibench.judge.output, equibench.judge.baseline, equibench.judge.verify",
    "equibench.judge.confirm, equibench.judge.fresh, equibench.judge.turns, equibench.judge.markdown",
    "equibench_models",
]
SOURCES = sorted((ROOT / "bench").rglob("*.py"))


def imported(source):
    """Dotted names that a file imports, wherever in it; of a `from` import each name apart."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def rooms_imported(source):
    """The rooms of equibench that a file imports; an old name or the face goes by its own, which no row admits."""
    for name in imported(source):
        top, *rest = name.split(".")
        if top == "equibench_models":
            yield "models"
        elif top == "equibench":
            yield rest[0] if rest else "the face"
        elif top in ("bench", "models", ""):
            yield f"{name}, an old name or a relative one"


def wrong_imports(room, source):
    return set(rooms_imported(source)) - MAY_IMPORT[room] - {room}


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_room_imports_only_from_its_own_and_those_below(path):
    assert not wrong_imports(path.relative_to(ROOT / "bench").parts[0].removesuffix(".py"), path.read_text())


@pytest.mark.parametrize("source", [
    "from equibench.run.cell import run_cell",
    "def late():\n    from equibench.run import cell",
    "import equibench.run.cell",
    "from bench.suite import load",
    "from models import FAMILIES",
    "from . import tables",
    "import equibench",
    "from equibench import UserError",
])  # fmt: skip
def test_a_planted_violation_is_caught(source):
    assert wrong_imports("report", source)


def test_rooms_make_no_circle():
    done = set()
    while rest := MAY_IMPORT.keys() - done:
        free = {name for name in rest if MAY_IMPORT[name] - {"models"} <= done}
        assert free, f"a circle among {sorted(rest)}"
        done |= free


@pytest.mark.parametrize("room", MAY_IMPORT_INSIDE)
def test_rooms_inside_a_room_keep_to_theirs(room):
    table = MAY_IMPORT_INSIDE[room]
    for path in (ROOT / "bench" / room).rglob("*.py"):
        here = path.relative_to(ROOT / "bench" / room).parts[0].removesuffix(".py")
        inside = [name.split(".")[2] for name in imported(path.read_text()) if name.startswith(f"equibench.{room}.")]
        if here != "__init__" and "*" not in table[here]:
            assert set(inside) <= table[here] | {here}, path


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=named)
def test_models_import_nothing_from_the_harness(path):
    assert not [name for name in imported(path.read_text()) if name.split(".")[0] in ("equibench", "bench")]


@pytest.mark.parametrize("modules", WITHOUT_TORCH)
def test_starts_without_torch(modules):
    code = f"import {modules}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_public_class_name_stands_twice():
    trees = [ast.parse(path.read_text()) for path in [*SOURCES, *(ROOT / "models").rglob("*.py")]]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1 and not name.startswith("_")]


def test_the_packages_are_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    roots = {"equibench": ROOT / "bench", "equibench_models": ROOT / "models"}
    folders = {
        ".".join([name, *init.parent.relative_to(root).parts])
        for name, root in roots.items()
        for init in root.rglob("__init__.py")
    }
    assert sorted(listed) == sorted(folders)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"][1:], ids=named)
def test_the_init_of_a_room_is_one_sentence(path):
    (only,) = ast.parse(path.read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value.value, str)


@pytest.mark.parametrize(
    ("folders", "most_lines"), [(("bench", "models", "studies"), 300), (("tests",), 450)], ids=["code", "tests"]
)
def test_files_and_functions_stay_small(folders, most_lines):
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    long = [named(path) for path in paths if len(path.read_text().splitlines()) > most_lines]
    if most_lines == 300:
        long += [
            f"{named(path)}: {node.name}"
            for path in paths
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 60
        ]
    assert not long
