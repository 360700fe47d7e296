"""A check as JUnit XML, GitHub annotations and JSON."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from fixtures import floor, make
from hostile import HOSTILE
from judging import SEEDS, changed

from equibench.cli.options import console
from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.judge.output import as_json, github_commands, print_check, write_junit
from equibench.terminal import visible


@pytest.fixture
def worse():
    before = [make("vae", s, weights_sha256=None) for s in SEEDS]
    after = [changed(one, seed=one.seed + 3, quality={"value": 300.0}) for one in before]
    return compare(before, [*after, floor("uniform", bits=8.0)])


def test_junit_is_well_formed_and_counts(worse, tmp_path):
    write_junit(worse, tmp_path / "new" / "check.xml")
    suite = ElementTree.parse(tmp_path / "new" / "check.xml").getroot().find("testsuite")
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == len(cases) == len(worse.lines)
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == len(worse.regressions) == 1
    skipped = {case.get("name") for case in suite.findall("testcase/skipped/..")}
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    assert {"row", "KD_5k", "speed.flops_per_image"} <= skipped  # the new floor, and what is reported alone
    assert not {"FD_5k", "bits_per_dim"} & skipped
    assert suite.find("testcase/failure/..").get("name") == "FD_5k"


def test_github_commands_are_one_line_each_and_escaped(worse):
    lines = github_commands(worse)
    assert sum(line.startswith("::error title=equibench%3A vae%2C FD_5k::vae, FD_5k: ") for line in lines) == 1
    assert all("\n" not in line for line in lines)
    assert " %25 where +6.6 %25 fails, p = " in lines[0]


def test_json_holds_raw_values(worse):
    found = json.loads(json.dumps(as_json(worse)))
    assert found["verdict"] == "regression"
    line = next(line for line in found["lines"] if line["number"] == "FD_5k")
    assert line["run"] == [300.0] * 3
    assert line["baseline"] == [make("vae", s).quality.value for s in SEEDS]
    assert line["p"] <= line["alpha"]
    assert line["worse_by"] > line["fails_from"] > line["tolerance"] == pytest.approx(0.03)
    assert line["detectable"] > line["fails_from"]
    assert line["df"] == 8
    assert [source["what"] for source in line["sources"]] == ["assumed", "baseline", "run"]
    assert found["failed"] is True


def test_failures_come_first_and_passes_when_asked_for(worse, capsys):
    print_check(worse, console())
    short = capsys.readouterr().out
    assert short.index("Failed") < short.index("FD_5k") < short.index("Not judged") < short.index("Left out: ")
    assert "-v shows all" in short
    assert "Train memory" not in short
    print_check(worse, console(), everything=True)
    whole = capsys.readouterr().out
    assert whole.index("Failed") < whole.index("Not judged") < whole.index("Passed") < whole.index("Reported, not")
    row = next(line for line in whole.splitlines() if "Train memory, MiB" in line)
    train_bytes = make("vae", 0).memory.train_peak_bytes
    assert f"{train_bytes / 2**20:.0f}" in row
    assert f"{train_bytes:,}" not in whole


def test_a_share_of_nothing_is_null():
    none = changed(
        make("vae", 0, weights_sha256=None), memory={"train_peak_bytes": 0}, likelihood={"bits_per_dim": 0.0}
    )
    some = changed(make("vae", 0, weights_sha256=None), seed=1)
    found = json.loads(json.dumps(as_json(compare([none], [some])), allow_nan=False))
    line = next(line for line in found["lines"] if line["number"] == "bits_per_dim")
    assert (line["verdict"], line["worse_by"]) == ("regression", None)


def test_junit_replaces_nothing_but_its_own(worse, tmp_path):
    path = tmp_path / "check.xml"
    for content in (b"", None):
        path.write_bytes(content) if content is not None else None
        write_junit(worse, path)
        assert ElementTree.parse(path).getroot().find("testsuite").get("name") == "equibench check"
    for content in (b"my notes", b'<testsuites><testsuite name="pytest" tests="1"/></testsuites>'):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is there already and is not JUnit XML of equibench"):
            write_junit(worse, path)
        assert path.read_bytes() == content
    with pytest.raises(UserError, match="is a folder"):
        write_junit(worse, tmp_path)
    with pytest.raises(UserError, match=r"cannot write .*; give another file with --junit"):
        write_junit(worse, path / "below.xml")
    assert [file.name for file in tmp_path.iterdir()] == ["check.xml"]


def test_no_text_becomes_xml_or_a_command_of_github(worse, tmp_path):
    for text in HOSTILE:
        lines = tuple(replace(line, row=text, sentence=text) for line in worse.lines)
        check = replace(worse, lines=lines)
        write_junit(check, tmp_path / "check.xml")
        cases = ElementTree.parse(tmp_path / "check.xml").getroot().findall("testsuite/testcase")
        assert len(cases) == len(lines)
        assert {case.get("classname") for case in cases} == {f"equibench.{visible_xml(text)}"}
        for line in github_commands(check):
            assert line.startswith("::")
            assert not re.search("[\x00-\x1f\x7f-\x9f]", line)
            assert re.fullmatch(r"::(error|warning|notice) title=[^:,]*::.*", line)


def visible_xml(text):
    return visible(text).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
