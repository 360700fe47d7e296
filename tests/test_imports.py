"""The import rules of the design: models know nothing of the harness, the report side knows nothing of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=lambda path: path.name)
def test_models_import_nothing_from_the_harness(path):
    assert not [name for name in imported(path) if name.split(".")[0] == "equibench"]


@pytest.mark.parametrize("metric", ["fidelity", "likelihood"])
def test_metrics_import_no_runner_or_report(metric):
    banned = {f"equibench.{name}" for name in ("run", "report", "summary", "sections", "tables", "plots", "layout")}
    assert not banned & set(imported(ROOT / "bench" / f"{metric}.py"))


@pytest.mark.parametrize(
    "module",
    [
        "equibench.__main__",
        "equibench.suite",
        "equibench.data",
        "equibench.record",
        "equibench.report",
        "equibench.check_output, equibench.baseline",
        "equibench.cite, equibench.methods, equibench.recorded, equibench.verify",
    ],
)
def test_the_report_side_and_the_command_line_start_without_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
