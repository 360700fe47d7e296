"""The README: its numbers are the committed report's, its links lead somewhere, its commands run as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from equibench.cli.main import cli
from equibench.summary.sort import load_cells, summarise
from equibench.summary.verdict import verdict
from studies import readme

ROOT = Path(__file__).parent.parent


def test_the_table_is_the_report_s():
    readme = (ROOT / "README.md").read_text()
    table = readme.split("<!-- headline -->")[1].split("<!-- /headline -->")[0].strip()
    assert table.startswith("|")
    assert table in (ROOT / "reports" / "published" / "quick" / "report.md").read_text()


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]


def test_the_sentence_is_the_published_records():
    """After a change `python -m studies.readme` writes it anew."""
    (section, *_) = summarise(load_cells([readme.PUBLISHED]))
    said = readme.README.read_text().split("<!-- result -->")[1].split("<!-- /result -->")[0].strip()
    assert said == verdict(section).sentence


def test_a_table_and_a_sentence_go_between_their_marks():
    text = "a\n<!-- result -->\nold\n<!-- /result -->\nb"
    assert readme.renewed(text, {"result": r"new \1"}) == "a\n<!-- result -->\nnew \\1\n<!-- /result -->\nb"
    with pytest.raises(ValueError, match="no marks for headline"):
        readme.renewed(text, {"headline": ""})


def test_it_is_short():
    text = re.sub(r"^\|.*$|^<!--.*$", "", readme.README.read_text(), flags=re.MULTILINE)
    assert len(text.split()) <= 1000


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", readme.README.read_text(), re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]


EQUIBENCH = [shlex.split(command)[1:] for command in commands() if command.startswith("equibench ")]


def test_commands_are_of_three_kinds():
    others = [command for command in commands() if not command.startswith("equibench ")]
    assert others == ["make report", "make test", "source .venv/bin/activate"]
    for target in ("report", "test"):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", EQUIBENCH, ids=" ".join)
def test_every_command_is_understood(words):
    with cli.make_context("equibench", list(words)) as context:
        verb, command, rest = cli.resolve_command(context, list(words))
        command.make_context(verb, rest, parent=context)


@pytest.mark.slow
def test_every_command_runs_as_written(tmp_path):
    env = {**os.environ, "EQUIBENCH_NO_REPORT": ""}
    for words in EQUIBENCH:
        said = [word.replace("quick", "smoke") for word in words]
        if said[0] == "baseline":
            said.append("--allow-dirty")  # where this is tested before it is committed
        command = [sys.executable, "-m", "equibench", *said]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (said, done.stderr)
    for made in ("reports/smoke/index.html", "results/baseline", "history.html", "paper.zip"):
        assert (tmp_path / made).exists(), made
