"""A check as a table for people, JUnit XML, GitHub annotations and JSON. The exit code is the command line's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table
from rich.text import Text

from equibench import outputs
from equibench.judge.check import Check, Comparison
from equibench.quantities.text import MISSING, number, spread
from equibench.terminal import visible

WAY_OUT = "give another file with --junit"
STYLES = {"regression": "bold red", "passed": "green", "reproduced": "green", "skipped": "yellow", "new": "cyan"}


def print_check(check: Check, console: Console) -> None:
    """All lines as a table, the notes, and the verdict in one sentence."""
    table = Table("entrant", "number", "baseline", "run", "worse by", "limit", "p", "verdict", "why")
    for line in check.lines:
        table.add_row(
            line.row,
            line.number,
            spread(line.baseline, digits=4) if line.baseline else MISSING,
            spread(line.run, digits=4) if line.run else MISSING,
            MISSING if line.worse_by is None else f"{line.worse_by:+.1%}",
            MISSING if line.tolerance is None else f"{line.tolerance:.1%}",
            MISSING if line.p is None else number(line.p, 2),
            Text(line.verdict, STYLES[line.verdict], overflow="fold"),
            line.sentence,
        )
    console.print(table)
    for note in check.notes:
        console.print(f"Note: {note}.")
    console.print(verdict(check))


def verdict(check: Check) -> str:
    """The outcome in one sentence, with what stands behind it."""
    counts = {kind: sum(line.verdict == kind for line in check.lines) for kind in STYLES}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    if check.regressions:
        worst = ", ".join(dict.fromkeys(f"{line.row} {line.number}" for line in check.regressions))
        return f"Regression: {worst} ({told})."
    return f"No regression ({told}). Worse means beyond the limit and p <= 0.05 after Holm's correction."


def as_json(check: Check) -> dict[str, Any]:
    """All lines with raw values: shares as shares, numbers in the record's units; null for a share of nothing."""
    return {
        "verdict": "regression" if check.regressions else "passed",
        "sentence": verdict(check),
        "notes": list(check.notes),
        "lines": [
            {
                "entrant": line.row,
                "number": line.number,
                "verdict": line.verdict,
                "why": line.sentence,
                "baseline": list(line.baseline.values) if line.baseline else None,
                "run": list(line.run.values) if line.run else None,
                "worse_by": line.worse_by if line.worse_by is None or math.isfinite(line.worse_by) else None,
                "tolerance": line.tolerance,
                "p": line.p,
            }
            for line in check.lines
        ],
    }


def write_junit(check: Check, path: Path) -> None:
    """One test case a line, as CI servers read them; what was skipped, or is new, is skipped there.

    Raises UserError for a file that cannot be written, or that is there and no such file.
    """
    suite = ElementTree.Element(
        "testsuite",
        name="equibench check",
        tests=str(len(check.lines)),
        failures=str(len(check.regressions)),
        errors="0",
        skipped=str(sum(line.verdict in ("skipped", "new") for line in check.lines)),
    )
    for line in check.lines:
        names = {"classname": _xml(f"equibench.{line.row}"), "name": _xml(line.number)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if line.verdict == "regression":
            ElementTree.SubElement(case, "failure", message=_xml(told(line))).text = _xml(told(line))
        elif line.verdict in ("skipped", "new"):
            ElementTree.SubElement(case, "skipped", message=_xml(line.sentence))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    refuse_junit(path)
    outputs.put(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True), WAY_OUT)


def refuse_junit(path: Path) -> None:
    """Raises UserError for a place where `write_junit` may not write, before anything is compared."""
    outputs.refuse_foreign(path, _is_junit, "JUnit XML", WAY_OUT)


def _is_junit(path: Path) -> bool:
    try:
        return b'<testsuite name="equibench check"' in path.read_bytes()[:1000]
    except OSError:
        return False


def github_commands(check: Check) -> list[str]:
    """Workflow commands that GitHub shows beside a run: errors, warnings for what was skipped, and a notice."""
    kinds = {"regression": "error", "skipped": "warning"}
    found = [
        f"::{kinds[line.verdict]} title={_property(f'equibench: {line.row}, {line.number}')}::{_message(told(line))}"
        for line in check.lines
        if line.verdict in kinds
    ]
    return [*found, f"::notice title=equibench check::{_message(verdict(check))}"]


def told(line: Comparison) -> str:
    """A line in one sentence."""
    parts = [f"{line.row}, {line.number}: "]
    if line.baseline and line.run:
        parts.append(f"{spread(line.run, digits=4)} after {spread(line.baseline, digits=4)}, ")
    if line.worse_by is not None:
        parts.append(f"{line.worse_by:+.1%} where {line.tolerance or 0:.1%} is allowed, ")
    if line.p is not None:
        parts.append(f"p = {number(line.p, 2)}, ")
    return "".join([*parts, line.sentence])


def _xml(text: str) -> str:
    """What XML may hold: ElementTree escapes its markup, but writes characters that are none in XML as they are."""
    return visible(text).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


def _message(text: str) -> str:
    return visible(text).replace("%", "%25")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
