"""Installed names are equibench and equibench_models alone: a project's own `models` and `bench` stay its own."""

import shutil
import subprocess
import sys

import pytest
from fixtures import ROOT, equibench

from equibench import suite
from equibench.record import find


@pytest.fixture
def project(tmp_path):
    for name in ("models", "bench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f'MINE = "my own {name}"\n')
    (tmp_path / "mine.py").write_text(
        "import bench, models, torch\n"
        "def features(images):\n"
        "    assert models.MINE == 'my own models' and bench.MINE == 'my own bench'\n"
        "    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)\n"
    )
    return tmp_path


def test_a_run_with_an_own_extractor_measures_memory(project):
    text = suite.shipped()["smoke"].read_text().replace("sampler_points = true", "sampler_points = false")
    (project / "smoke.toml").write_text(text)
    arguments = ("--extractor", "mine:features", "--only", "vae", "--device", "cpu", "--out", "out")
    done = equibench("run", "smoke.toml", *arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    (record,) = [one for _, one in find.read_all([project / "out"]) if one.entrant == "vae"]
    assert record.status == "ok"
    assert record.quality.features.name == "mine:features"
    assert record.memory.reason is None
    assert record.memory.train_peak_bytes > 0
    assert record.memory.sample_peak_bytes > 0


def test_tests_of_a_project_import_its_own(project):
    (project / "test_own.py").write_text(
        "import bench, models\n"
        "def test_own(pytestconfig):\n"
        "    assert models.MINE == 'my own models' and bench.MINE == 'my own bench'\n"
        "    assert pytestconfig.pluginmanager.has_plugin('equibench.judge.pytest_plugin')\n"
    )
    # by name, as the checkout that is tested may not be the installed one
    plugin = ("-p", "equibench.judge.pytest_plugin", "-p", "no:equibench", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_wheel_holds_equibench_and_nothing_else(tmp_path):
    copy = tmp_path / "source"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "results", "reports", "scratch", "build")
    )
    build = [sys.executable, "-m", "pip", "wheel", str(copy), "--no-deps", "--quiet", "-w", str(tmp_path / "wheel")]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1:]
    tops = {line.split("/")[0].split()[0] for line in names}
    assert {top for top in tops if not top.startswith("equibench-")} == {"equibench", "equibench_models"}
    inside = " ".join(names)
    for file in ("equibench/py.typed", "equibench_models/py.typed", "equibench/suites/quick.toml",
                 "equibench/report/pages/templates/page.js", "equibench/data/files/SHA256SUMS"):  # fmt: skip
        assert file in inside
