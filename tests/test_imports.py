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


@pytest.mark.parametrize("metric", ["quality/pairwise", "likelihood/bits"])
def test_metrics_import_no_runner_or_report(metric):
    banned = ("equibench.run", "equibench.report", "equibench.summary")
    assert not [name for name in imported(ROOT / "bench" / "measure" / f"{metric}.py") if name.startswith(banned)]


@pytest.mark.parametrize(
    "module",
    [
        "equibench.__main__",
        "equibench.suite",
        "equibench.data.sets",
        "equibench.record.schema",
        "equibench.report.write",
        "equibench.judge.output, equibench.judge.baseline, equibench.judge.verify",
        "equibench.cite.citation, equibench.cite.methods, equibench.cite.recorded",
    ],
)
def test_the_report_side_and_the_command_line_start_without_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
