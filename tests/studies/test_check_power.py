"""The study of the check's power, in small; its page is what it writes."""

import itertools
from pathlib import Path

import pytest
from click.testing import CliRunner

from studies import check_power

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def page(tmp_path):
    records, out = str(ROOT / "results" / "published" / "quick"), str(tmp_path / "page.md")
    options = ["--records", records, "--checks", "400", "--out", out]
    done = CliRunner().invoke(check_power.main, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return (tmp_path / "page.md").read_text()


def cells(page, section, row):
    """Of a line of a table in a section, without its name."""
    _, _, rest = page.partition(f"## {section}")
    (line,) = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith(f"| {row} |")][:1]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_alarms_are_few_and_power_grows_with_seeds(page):
    assert all(float(cell) < 5 for cell in cells(page, "False alarms", "1 invocation in the baseline"))
    found = {sides: [int(x) for x in cell.split(" / ")] for sides, cell in
             zip(check_power.SIDES, cells(page, "Found", "gan"), strict=True)}  # fmt: skip
    assert found[1, 1][2] < found[2, 2][2] < found[3, 3][2] + 1
    assert found[3, 3][3] > 95  # +30 %
    assert all(before <= after + 5 for cell in found.values() for before, after in itertools.pairwise(cell))


@pytest.mark.parametrize("name", ["check_power.md", "check_power_ci.md"])
def test_the_committed_pages_are_of_this_study(page, name):
    committed = (ROOT / "docs" / name).read_text()
    headings = [line for line in page.splitlines() if line.startswith(("#", "| :", "|  |"))]
    assert headings == [line for line in committed.splitlines() if line.startswith(("#", "| :", "|  |"))]
