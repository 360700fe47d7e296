"""The two pages of a report, Markdown and HTML, from the same words and tables."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import escape

from equibench.quantities.text import MISSING, POWERS, budget_words, join, number, superscript
from equibench.report.pages.facts import attributes
from equibench.report.pages.headline import headline_view, short
from equibench.report.pages.view import pick, view
from equibench.report.tables.families import entrants
from equibench.report.tables.seeds import DIFFERS, constants, means
from equibench.report.tables.table import Entry, Table
from equibench.terminal import visible

POLICY = "POLICY"  # its place in the head of the page, before anything from a record
# spaces that no line breaks at: before a percent sign, around a plus-minus, and in "p = 0.05"
KEPT_TOGETHER = re.compile(r"(?<=\d) (?=%)|(?<=\d) (?=± )|(?<=±) (?=\d)|(?<=\bp) (?=[=<] )|(?<=\bp [=<]) (?=\d)")
LINES = 200  # of a table in a page: all of them are in CSV and JSON


def fill(template: str, context: Mapping[str, Any]) -> bytes:
    """Fill one template. HTML is escaped by the engine, Markdown by the filters `text` and `table`."""
    html = template.endswith(".html.j2")
    ends: dict[str, int] = {}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=html,
        finalize=_in_a_line if html else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "text": str if html else markdown,
        "table": markdown_table,
        "listed": join,
        "entrants": entrants,
        "attributes": lambda entry: attributes(entry, ends),
        "number": number,
        "budget": budget_words,
        "view": lambda table: view(table, LINES),
        "headline_view": headline_view,
        "short": short,
    }
    environment.globals["numbered"] = Numbering().next
    page = environment.get_template(template).render({**context, "most_lines": LINES})
    page = re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"
    return (_with_policy(_with_ends(page, ends)) if html else page).encode(errors="backslashreplace")


class Numbering:
    """Numbers of the tables of a page in their order, and anchors that no two share."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def next(self, name: str) -> tuple[int, str]:
        """The number of the next table, and its anchor."""
        self._taken[name] = self._taken.get(name, 0) + 1
        again = f"-{self._taken[name]}" if self._taken[name] > 1 else ""
        return sum(self._taken.values()), f"table-{name.replace('_', '-')}{again}"


def _in_a_line(value: object) -> object:
    """What is no markup, without control characters; numbers stay in one line with their signs."""
    return KEPT_TOGETHER.sub("\N{NO-BREAK SPACE}", visible(value)) if type(value) is str else value


def _with_ends(page: str, ends: Iterable[str]) -> str:
    """The page with the ends of its signatures, in order, before its script."""
    listed = "".join(f"<li>{escape(end)}</li>" for end in ends)
    return page.replace("<script>", f'<ol id="ends" hidden>{listed}</ol>\n<script>', 1) if listed else page


def _with_policy(page: str) -> str:
    """The page with the hashes of its own style and script, beside which a browser runs and loads nothing."""

    def hashed(tag: str) -> str:
        found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert found is not None
        return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"

    policy = (
        f"default-src 'none'; img-src data:; style-src {hashed('style')}; script-src {hashed('script')}; "
        "base-uri 'none'; form-action 'none'"
    )
    return page.replace(POLICY, policy, 1)


def markdown(text: object) -> str:
    """Text from a record as plain Markdown on one line: nothing in it is read as markup, a formula or a link."""
    plain = visible(" ".join(str(text).split())).replace("&", "&amp;")
    plain = re.sub(r"([\\`*\[\]<>|~#$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[-+](?=\s)|^\d+(?=[.)]\s))", r"\\\1", plain)
    return re.sub(r"^\\(\d+)", r"\1\\", plain)  # a number of a list is escaped behind its digits


def markdown_table(table: Table) -> str:
    """A table in GitHub's Markdown, means over seeds, with its footnotes under it; floors in italics. Where seeds have
    no mean, as records have none, each has its line.
    """

    def shown(entry: Entry, kind: str) -> str:
        text = markdown(entry.text) + (f" ({markdown(entry.detail)})" if entry.detail else "")
        mark = "**" if entry.strong else "*" if kind == "floor" and text else ""
        return f"{mark}{text}{mark}"

    found = means(table).table
    if any(entry.text == DIFFERS for line in found.lines for entry in line.entries):
        found = table
    cut = constants(found)
    said = [
        f"{markdown(found.labels[i])}: {shown(found.lines[0].entries[i], '')}"
        for i in cut
        if found.lines[0].entries[i].text not in ("", MISSING)
    ]
    shorter = pick(found, [i for i in range(len(found.names)) if i not in cut])
    rows = [
        [markdown(label) for label in shorter.labels],
        ["---:" if numeric else ":---" for numeric in shorter.numeric],
    ]
    for line in shorter.lines[:LINES]:
        row = [shown(entry, line.kind) for entry in line.entries]
        rows.append([*row[:2], markdown(line.span), *row[3:]] if line.span else row)
    shown_text = " ".join([*said, *(cell for row in rows for cell in row)])
    there = set(re.findall(f"[{''.join(map(chr, POWERS.values()))}]+", shown_text))
    numbered = [(superscript(i), note) for i, note in enumerate(table.notes, 1)]
    notes = [f"{mark} {markdown(note)}  " for mark, note in numbered if mark in there]  # of seeds' lines, some are not
    if said:
        notes.append(f"In all rows: {'; '.join(said)}.")
    if len(shorter.lines) > LINES:
        notes.append(f"The first {LINES} of {len(shorter.lines):,} rows; all are in the CSV.")
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *notes])
