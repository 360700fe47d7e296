"""docs/protocol.md is held against the tests and the code: its tests exist, and what cites a rule cites one of its."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from equibench.protocol import PROTOCOL

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "protocol.md").read_text()
RULES = 18
CODE = ("bench", "models", "studies")
OLD_SOURCE = "design".upper()  # where the rules stood before; spelt so that this file does not cite it
RULE = re.compile(r"^(\d+)\. \*\*[^*]+\.\*\* ((?:.*\n)+?)(?=\d+\. |\n|\Z)", re.MULTILINE)
CITED = re.compile(r"\brules? (\d+(?:(?:, | and | to )\d+)*)")


def rules(page):
    """The text of each rule by its number, in the order of the page."""
    return [(int(number), text) for number, text in RULE.findall(page)]


def named_tests(text):
    """The pytest ids of a rule, which are the last that it says."""
    _, _, ids = text.partition("Held by: ")
    return re.findall(r"`([^`]+)`", ids) if re.fullmatch(r"(`[^`]+`,\s+)*`[^`]+`\s*", ids) else []


def functions(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def faults(page):
    """What is wrong with a page of rules, in words."""
    found = rules(page)
    numbers = [number for number, _ in found]
    wrong = [] if numbers == list(range(1, RULES + 1)) else [f"rules are numbered {numbers}"]
    for number, text in found:
        ids = named_tests(text)
        if not ids:
            wrong.append(f"rule {number} names no test")
        for name in ids:
            file, _, function = name.partition("::")
            if not (ROOT / file).is_file() or function.partition("[")[0] not in functions(ROOT / file):
                wrong.append(f"rule {number}: there is no {name}")
    return wrong


def cited(source):
    """Numbers of the rules that a file cites, in comments and docstrings that may break anywhere."""
    text = re.sub(r"\s*\n\s*#?\s*", " ", source)
    return {int(number) for found in CITED.findall(text) for number in re.findall(r"\d+", found)}


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_rule_names_tests_that_exist():
    assert faults(PAGE) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            ("test_every_family_meets_the_cap", "test_every_family_meets_the_cup"),
            "rule 1: there is no tests/run/test_plan.py::",
        ),
        (("tests/run/test_plan.py::", "tests/run/test_plans.py::"), "rule 1: there is no tests/run/test_plans.py::"),
        (("\n7. **", "\n8. **"), "rules are numbered [1, 2, 3, 4, 5, 6, 8, 8,"),
        (("\n15. **Records", "\n**Records"), "rules are numbered [1, 2,"),
        (("Held by: `tests/record/", "Held: `tests/record/"), "rule 15 names no test"),
    ],
)
def test_a_planted_mistake_is_found(change, fault):
    assert change[0] in PAGE
    found = faults(PAGE.replace(*change))
    assert found
    assert found[0].startswith(fault)


def test_the_page_knows_every_protocol():
    assert re.findall(r"^- Protocol (\d+): ", PAGE, re.MULTILINE) == [str(n) for n in range(1, int(PROTOCOL) + 1)]


def test_what_cites_a_rule_cites_one_of_the_page():
    there = {number for number, _ in rules(PAGE)}
    of_files = {str(path.relative_to(ROOT)): cited(path.read_text()) for path in sources(*CODE)}
    assert {file: numbers - there for file, numbers in of_files.items() if numbers - there} == {}
    assert len(set().union(*of_files.values())) > 3  # some are cited at all


def test_citations_are_read_across_lines():
    assert cited("# see (protocol, rules 3, 4\n    # and 16)\n") == {3, 4, 16}
    assert cited('"""Kept (protocol,\n    rule 17).\n    """') == {17}
    assert cited("# Laplace's rule: no level is impossible") == set()


def test_nothing_cites_where_the_rules_stood_before():
    texts = [path for folder in (*CODE, "tests") for path in (ROOT / folder).rglob("*") if path.is_file()]
    readable = [path for path in texts if path.suffix in (".py", ".toml", ".md", ".j2", ".js", ".css")]
    assert len(readable) > 100
    assert [str(path.relative_to(ROOT)) for path in readable if OLD_SOURCE in path.read_text(encoding="utf-8")] == []
