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
from equibench.judge.comparison import FAILING, Check, Comparison
from equibench.quantities import glossary
from equibench.quantities.identity import path_of
from equibench.quantities.text import MISSING, join, number, spread
from equibench.stats import Stat
from equibench.terminal import visible

WAY_OUT = "give another file with --junit"
STYLES = {
    "measurement error": "bold red", "regression": "bold red", "within": "green", "passed": "green",
    "reproduced": "green", "not judged": "yellow", "skipped": "yellow", "reported": "dim", "new": "cyan",
}  # fmt: skip
NOT_JUDGED = ("skipped", "new", "not judged", "reported")
HIDDEN = {"Passed": "number{s} that passed", "Reported, not gated": "reported alone"}


def print_check(check: Check, console: Console, everything: bool = False) -> None:
    """What failed as a table, then what could not be judged, the notes, and the verdict in one sentence; what passed
    and what is reported alone are counted, and shown between the two if `everything` is asked for.
    """
    failed = [line for line in check.lines if fails(line)]
    others = [line for line in check.lines if not fails(line)]
    parts = {
        "Failed": failed,
        "Not judged": [line for line in others if line.verdict in ("skipped", "new", "not judged")],
        "Passed": [line for line in others if line.verdict not in NOT_JUDGED],
        "Reported, not gated": [line for line in others if line.verdict == "reported"],
    }
    shown = list(parts) if everything else list(parts)[:2]
    for title in shown:
        if parts[title]:
            console.print(_table(title, parts[title]))
    hidden = {title: len(parts[title]) for title in parts if title not in shown and parts[title]}
    if hidden:
        counted = join(f"{many} {HIDDEN[title].format(s='s' * (many > 1))}" for title, many in hidden.items())
        console.print(f"Left out: {counted}; -v shows all.")
    for note in check.notes:
        console.print(f"Note: {note}.")
    console.print(verdict(check))


def _table(title: str, lines: list[Comparison]) -> Table:
    """Lines with what was compared, and why it ended so, where that is known of any of them."""
    table = Table(title=title, title_justify="left")
    columns: list[tuple[str, list[str | Text]]] = [
        ("entrant", [line.row for line in lines]),
        ("number", [label(line) for line in lines]),
        ("baseline", [amount(line, line.baseline) for line in lines]),
        ("run", [amount(line, line.run) for line in lines]),
        ("worse by", [MISSING if line.worse_by is None else percent(line.worse_by) for line in lines]),
        ("fails from", [MISSING if line.fails_from is None else percent(line.fails_from) for line in lines]),
        ("p", [MISSING if line.p is None else number(line.p, 2) for line in lines]),
        ("verdict", [Text(line.verdict, STYLES[line.verdict], overflow="fold") for line in lines]),
        ("why", [line.sentence for line in lines]),
    ]
    needed = ("entrant", "number", "verdict")
    known = [(name, cells) for name, cells in columns if name in needed or set(map(str, cells)) - {MISSING, ""}]
    for name, _ in known:
        table.add_column(name)
    for row in zip(*(cells for _, cells in known), strict=True):
        table.add_row(*row)
    return table


def label(line: Comparison) -> str:
    """What a person calls the number, with the unit that it is shown in: "Train memory, MiB"; metrics of samples and
    what the glossary does not know go by their own names.
    """
    found = _quantity(line)
    return line.number if found is None else found.heading().removesuffix(" ↓").removesuffix(" ↑")


def amount(line: Comparison, stat: Stat | None) -> str:
    """A side of the comparison in the unit of the label."""
    found = _quantity(line)
    return MISSING if stat is None else spread(stat, found.scale if found else 1, digits=4)


def _quantity(line: Comparison) -> glossary.Quantity | None:
    path = path_of(line.number)
    return None if path.startswith("quality.") or line.number == "row" else glossary.known(path)


def percent(share: float) -> str:
    """A change as people read it."""
    return f"{share:+.1%}".replace("%", " %").replace("inf", "∞") if abs(share) < 100 else f"{number(share)} times"


def verdict(check: Check) -> str:
    """The outcome in one sentence, with what stands behind it."""
    counts = {kind: sum(line.verdict == kind for line in check.lines) for kind in STYLES}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    kinds = (
        ("Measurement error", check.errors),
        ("Regression", check.regressions),
        ("Not shown to be within the margin", check.not_shown),
    )
    found = [f"{kind}: {_places(lines)}" for kind, lines in kinds if lines]
    if found:
        return f"{'; '.join(found)} ({told})."
    return f"No regression ({told}). Worse means beyond the tolerance, and p at most the category's error rate."


def _places(lines: list[Comparison]) -> str:
    return ", ".join(dict.fromkeys(f"{line.row} {line.number}" for line in lines))


def as_json(check: Check) -> dict[str, Any]:
    """All lines with raw values: shares as shares, numbers in the record's units; null for a share of nothing."""
    return {
        "verdict": check.verdict,
        "failed": check.failed,
        "sentence": verdict(check),
        "notes": list(check.notes),
        "lines": [
            {
                "entrant": line.row,
                "number": line.number,
                "category": line.category,
                "verdict": line.verdict,
                "why": line.sentence,
                "baseline": list(line.baseline.values) if line.baseline else None,
                "run": list(line.run.values) if line.run else None,
                **{name: _finite(getattr(line, name)) for name in _NUMBERS},
                "sources": [
                    {"what": source.what, "sd": _finite(float(source.sd)), "df": source.df} for source in line.sources
                ],
            }
            for line in check.lines
        ],
    }


_NUMBERS = ("worse_by", "tolerance", "p", "alpha", "fails_from", "detectable", "df", "margin", "at_most")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def write_junit(check: Check, path: Path) -> None:
    """One test case a line, as CI servers read them; what was not judged is skipped there.

    Raises UserError for a file that cannot be written, or that is there and no such file.
    """
    suite = ElementTree.Element(
        "testsuite",
        name="equibench check",
        tests=str(len(check.lines)),
        failures=str(sum(fails(line) for line in check.lines)),
        errors="0",
        skipped=str(sum(line.verdict in NOT_JUDGED and not fails(line) for line in check.lines)),
    )
    for line in check.lines:
        names = {"classname": _xml(f"equibench.{line.row}"), "name": _xml(line.number)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if fails(line):
            ElementTree.SubElement(case, "failure", message=_xml(told(line))).text = _xml(told(line))
        elif line.verdict in NOT_JUDGED:
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
    found = [
        f"::{'error' if fails(line) else 'warning'} title="
        f"{_property(f'equibench: {line.row}, {line.number}')}::{_message(told(line))}"
        for line in check.lines
        if fails(line) or line.verdict in ("skipped", "not judged")
    ]
    return [*found, f"::notice title=equibench check::{_message(verdict(check))}"]


def fails(line: Comparison) -> bool:
    """Whether a line makes the check fail."""
    return line.verdict in FAILING or (line.margin is not None and line.verdict not in ("reproduced", "within"))


def told(line: Comparison) -> str:
    """A line in one sentence."""
    parts = [f"{line.row}, {line.number}: "]
    if line.baseline and line.run:
        unit = found.unit_shown if (found := _quantity(line)) else ""
        after = f"{amount(line, line.run)} after {amount(line, line.baseline)}"
        parts.append(f"{after}{' ' * bool(unit)}{unit}, ")
    if line.worse_by is not None:
        limit = line.tolerance if line.fails_from is None else line.fails_from
        parts.append(f"{percent(line.worse_by)}" + (f" where {percent(limit)} fails, " if limit is not None else ", "))
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
