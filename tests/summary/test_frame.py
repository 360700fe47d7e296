"""The frame of `load_results` against its page, and against what a report prints."""

import json
import re
from pathlib import Path

import pytest
from fixtures import everything, save

from equibench import load_results
from equibench.quantities import glossary
from equibench.report import write
from equibench.report.figures import draw
from studies.frame_page import parts
from studies.readme import renewed

PAGE = (Path(__file__).parents[2] / "docs" / "frame.md").read_text()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(everything(), tmp_path_factory.mktemp("results"), with_arrays=False)


def documented(heading):
    """Rows of the table under a heading, without its head."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in part.splitlines() if row.startswith("| `")]
    assert rows
    return rows


def test_every_column_is_documented_and_every_documented_one_is_there(results):
    found = load_results(results)
    said = [name for row in documented("What a cell is") for name in re.findall(r"`([^`]+)`", row[0])]
    said += [row[0].strip("`") for row in documented("Numbers of every record")]
    assert list(found.columns)[: len(said)] == said
    patterns = [
        re.sub(r"\W+", "_", row[0].strip("`").replace("*", "0ANY0")) for row in documented("Numbers of members")
    ]
    patterns = [re.compile(pattern.strip("_").replace("0ANY0", r"\w+")) for pattern in patterns]
    others = list(found.columns)[len(said) :]
    assert others
    assert not [name for name in others if not any(pattern.fullmatch(name) for pattern in patterns)]


def test_the_page_says_what_the_glossary_does():
    """After a change `python -m studies.frame_page` writes its tables anew."""
    assert renewed(PAGE, parts()) == PAGE
    assert "| `speed_latency_p50_sec` | Latency p50 | s | lower |" in PAGE


def test_every_number_of_a_report_that_a_record_holds_is_in_the_frame(results, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "FIGURES", {})
    write.write([results], tmp_path / "report")
    columns = set(load_results(results).columns)
    tables = json.loads((tmp_path / "report" / "tables.json").read_text())["tables"]
    sources = {
        source["path"]
        for of_sections in tables.values()
        for table in of_sections
        for line in table["lines"]
        for source in line["from"].values()
        if source["how"] in ("value", "mean")
    }
    known = {path.removesuffix(".value") if "also." in path else path for path in sources if glossary.known(path)}
    assert len(known) > 40
    numbers = {path for path in known if not glossary.of(path).derived}
    assert not {path for path in numbers if re.sub(r"\W+", "_", path).strip("_") not in columns}
