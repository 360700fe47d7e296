"""Verbs that only read start without torch."""

import subprocess
import sys

import pytest
from fixtures import everything, save

RUN = """
import sys
from equibench.cli.main import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
else:
    code = 0
print("torch" in sys.modules, code, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(everything(), tmp_path_factory.mktemp("results"), with_arrays=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("run --help", 0),
        ("ls", 0),
        ("cite FD_5k vae --results RESULTS", 0),
        ("cite --methods --results RESULTS", 0),
        ("check RESULTS --baseline RESULTS", 0),
        ("report RESULTS --out OUT", 0),
        ("history RESULTS", 0),
        ("export hub-card RESULTS --entrant vae --out OUT", 0),
        ("baseline RESULTS --out BASELINE", 2),
    ],
)
def test_it_starts_without_torch(words, code, results, tmp_path):
    places = {"RESULTS": str(results), "OUT": str(tmp_path / "report"), "BASELINE": str(tmp_path / "baseline")}
    arguments = [places.get(word, word) for word in words.split()]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"False {code}", done.stderr
