"""A check as JUnit XML, GitHub annotations and JSON."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from fixtures import floor, make
from hostile import HOSTILE
from judging import OTHERS, SEEDS, changed

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.judge.output import as_json, github_commands, write_junit
from equibench.terminal import visible


@pytest.fixture
def worse():
    after = [changed(one, weights_sha256=None, quality={"value": 300.0}) for one in (make("vae", s) for s in OTHERS)]
    return compare([make("vae", s) for s in SEEDS], [*after, floor("uniform", bits=8.0)])


def test_junit_is_well_formed_and_counts(worse, tmp_path):
    write_junit(worse, tmp_path / "new" / "check.xml")
    suite = ElementTree.parse(tmp_path / "new" / "check.xml").getroot().find("testsuite")
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == len(cases) == len(worse.lines)
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == len(worse.regressions) == 1
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped")) == 1  # the new floor
    assert suite.find("testcase/failure/..").get("name") == "FD_5k"


def test_github_commands_are_one_line_each_and_escaped(worse):
    lines = github_commands(worse)
    assert sum(line.startswith("::error title=equibench%3A vae%2C FD_5k::vae, FD_5k: ") for line in lines) == 1
    assert all("\n" not in line for line in lines)
    assert "%25 where 5.0%25 is allowed" in lines[0]


def test_json_holds_raw_values(worse):
    found = json.loads(json.dumps(as_json(worse)))
    assert found["verdict"] == "regression"
    line = next(line for line in found["lines"] if line["number"] == "FD_5k")
    assert line["run"] == [300.0] * 3
    assert line["baseline"] == [make("vae", s).quality.value for s in SEEDS]


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
