"""--json: one document on standard output and nothing else there; completion; how a run ends."""

import json
import os

import pytest
from fixtures import equibench, everything, make, save

from equibench import suite
from equibench.cli import completion
from equibench.cli.main import cli
from equibench.cli.run import report_of
from equibench.cli.workload import CellWork, Workload


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(everything(), tmp_path_factory.mktemp("results") / "quick", with_arrays=False)


def document(*words, code=0, **options):
    done = equibench(*words, **options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_looking_around():
    found = document("ls", "--json")
    assert {one["kind"] for one in found} == {"suite", "family", "extractor", "data set"}
    assert {"kind": "suite", "name": "smoke"} in [{key: one[key] for key in ("kind", "name")} for one in found]
    assert set(document("doctor", "--json")) == {"machine", "versions", "inception_v3", "data"}


def test_a_plan_and_what_a_check_takes():
    found = document("plan", "smoke", "--json", "--only", "gan,vae")
    assert [(cell["entrant"], cell["updates"]) for cell in found["cells"]] == [("gan", 4), ("vae", 4)]
    assert found["train_sec"] == pytest.approx(sum(cell["train_sec"] for cell in found["cells"]))
    needs = document("plan", "smoke", "--json", "--detect", "10%", "--only", "vae")
    assert {"entrant", "number", "seeds", "samples", "noise", "why"} <= set(needs[0])


def test_a_verdict_on_a_signature_and_a_baseline(results, tmp_path):
    text = json.loads(equibench("cite", "FD", "vae", "--results", results, "--format", "json").stdout)[0]["signature"]
    (one,) = document("verify", text, "--results", results, "--json")
    assert one["signature"] is None
    assert one["findings"][0]["holds"] is True
    wrong = text.replace("n:5000", "n:1")
    assert document("verify", wrong, "--results", results, "--json", code=1)[0]["findings"][0]["holds"] is False
    place = save([make("vae", seed) for seed in range(3)], tmp_path / "fine", with_arrays=False)
    found = document("baseline", place, "--out", tmp_path / "base", "--json", "--allow-dirty")
    assert found["baseline"] == str(tmp_path / "base")
    assert "new (seeds 0, 1 and 2)" in found["changes"][0]


def test_a_run_ends_with_its_table_its_page_and_the_next_step(tmp_path):
    env = {**os.environ, "EQUIBENCH_NO_REPORT": "", "COLUMNS": "60"}
    words = ("run", "smoke", "--device", "cpu", "--only", "vae")
    done = equibench(*words, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "smoke" / "index.html").exists()
    assert "Entrant" in done.stdout
    assert "…" not in done.stdout
    *_, page, step = done.stdout.splitlines()
    assert page == "The report: reports/smoke/index.html"
    assert step.startswith("Next: `equibench run smoke --only vae --device cpu --seeds 0,1,2` trains three seeds")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "index.html").write_text("mine")
    done = equibench(*words, "--report", "taken", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0  # the run stands, whatever became of its report
    assert "no report was written" in done.stderr
    found = json.loads(done.stdout)
    assert found["report"] is None
    assert {cell["status"] for cell in found["cells"]} == {"ok"}
    assert all(cell["found"] for cell in found["cells"])


def test_where_a_report_goes(tmp_path):
    assert str(report_of(tmp_path / "results" / "quick")) == str(tmp_path / "reports" / "quick")
    assert report_of(tmp_path / "mine").name == "mine-report"


def test_the_bar_counts_work_and_never_goes_back():
    cell, other = (make_cell(name) for name in ("a", "b"))
    work = Workload({cell.which: CellWork(60.0, 20.0), other.which: CellWork(0.0, 20.0)}, ("quality", "speed"))
    assert work.total_sec == 100
    done = [work.done_sec(cell, *at) for at in (("start", 0.0), ("train", 0.5), ("quality", 0.0), ("speed", 0.0))]
    assert done == [0, 30, 60, 70]
    assert work.done_sec(cell, "features", 0.1) == 70
    assert work.finish(cell) == 80
    assert work.done_sec(other, "speed", 0.0) == 90
    assert work.finish(other) == 100


def test_cells_of_two_budgets_are_two():
    budgets = [{"params": 90_000, "unit": "updates", "amount": amount} for amount in (2, 3)]
    chosen = suite.changed(suite.load("smoke"), budget=budgets)
    small, large = (cell for cell in suite.cells(chosen) if cell.name == "vae")
    work = Workload({small.which: CellWork(10.0, 0.0), large.which: CellWork(20.0, 0.0)})
    assert work.total_sec == 30
    assert work.finish(small) == 10
    assert work.done_sec(large, "train", 0.5) == 20


def make_cell(name):
    return suite.Cell(suite.load("smoke"), name, 0)


def offered(ask, begun, **params):
    context = cli.make_context("equibench", ["ls"])
    context.params = params
    return [one.value for one in ask(context, None, begun)]


def test_a_shell_is_offered_suites_entrants_and_numbers(results):
    assert offered(completion.suites, "s") == ["scaling", "smoke", "standard"]
    assert offered(completion.entrants_of_suite, "gan,", suite_name="smoke") == ["gan,vae", "gan,flow", "gan,diffusion"]
    assert offered(completion.entrants_of_suite, "", suite_name="nowhere") == []
    assert offered(completion.metrics, "rec") == ["recall"]
    assert "NFE" in offered(completion.metrics, "")
    assert offered(completion.entrants_of_records, "v", results=(results,)) == ["vae"]


def test_a_shell_asks_and_is_answered():
    words = {"_EQUIBENCH_COMPLETE": "bash_complete", "COMP_WORDS": "equibench run smok", "COMP_CWORD": "2"}
    assert equibench(env={**os.environ, **words}).stdout.split() == ["plain,smoke"]
