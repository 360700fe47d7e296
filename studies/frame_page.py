"""Renew the tables of docs/frame.md from the glossary: `python -m studies.frame_page`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from equibench import atomic
from equibench.quantities.glossary import GLOSSARY, Quantity
from equibench.summary.frame import ABOUT, NUMBERS
from studies.readme import renewed

PAGE = Path(__file__).parent.parent / "docs" / "frame.md"


def parts() -> dict[str, str]:
    """The tables by their marks: what a cell is, numbers of every record, numbers of members."""
    about = ["| column | in the record |", "| :--- | :--- |"]
    about += ["| `path`, `file`, `run` | none: the record's path, its name, its folder where several are compared |"]
    about += [f"| `{path.replace('.', '_')}` | `{path}` |" for path in ABOUT]
    members = [quantity for quantity in GLOSSARY if "*" in quantity.path and not quantity.derived]
    return {
        "about": "\n".join(about),
        "numbers": _table("column", ((quantity.column, quantity) for quantity in NUMBERS)),
        "members": _table("path", ((quantity.path, quantity) for quantity in members)),
    }


def _table(head: str, rows: Iterable[tuple[str, Quantity]]) -> str:
    lines = [f"| {head} | what it is | unit | better |", "| :--- | :--- | :--- | :--- |"]
    lines += [f"| `{name}` | {one.label} | {one.unit} | {one.better} |" for name, one in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    atomic.write(PAGE, renewed(PAGE.read_text(encoding="utf-8"), parts()).encode())
