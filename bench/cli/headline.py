"""The main table of a report on a terminal, as it lies in the report's own `tables.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equibench.cli.screen import Screen


def print_headline(folder: Path, screen: Screen) -> None:
    """The headline of each section of the report in `folder`, its columns without a number left out, and its notes."""
    from equibench.report.write import TABLES

    found = json.loads((folder / TABLES).read_bytes())
    sections, tables = found["sections"], found["tables"]["headline"]
    for section, table in zip(sections, tables, strict=True):
        title = f"{section['data']}, {section['budget']}" if len(sections) > 1 else ""
        _print(table, title, screen)


def _print(table: dict[str, Any], title: str, screen: Screen) -> None:
    from rich.table import Table

    names = [name for name in table["columns"] if any(line["text"].get(name) for line in table["lines"])]
    shown = Table(title=title or None, title_justify="left")
    for name in names:
        numeric = any(isinstance(line["values"].get(name), int | float) for line in table["lines"])
        shown.add_column(table["columns"][name], justify="right" if numeric else "left")
    kind = ""
    for line in table["lines"]:
        if kind and line["kind"] != kind:
            shown.add_section()
        kind = line["kind"]
        texts = [line["text"].get(name, "") for name in names]
        if line["span"]:
            texts[1:3] = ["", line["span"]]
        shown.add_row(*texts)
    screen.print(shown)
    for place, note in enumerate(table["notes"], 1):
        screen.print(f"{place}: {note}")
