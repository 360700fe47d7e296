"""Renew the README's result from published records: `python -m studies.readme`, with --check to see whether it holds.

Between its marks stand the report's verdict (result) and its main table (headline).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from equibench import atomic
from equibench.summary.sort import load_cells, summarise
from equibench.summary.verdict import verdict

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PUBLISHED = ROOT / "results" / "published" / "quick"
REPORT = ROOT / "reports" / "published" / "quick" / "report.md"


def main_table(report: str) -> str:
    """The first table of a report in Markdown whose rows are entrants."""
    found = re.search(r"^\| Entrant .*\n(?:\|.*\n?)+", report, re.MULTILINE)
    if found is None:
        raise ValueError("the report has no table of entrants")
    return found[0].strip()


def renewed(text: str, parts: dict[str, str]) -> str:
    """A text with each part put between its marks. Raises ValueError where a mark is missing."""
    for name, part in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if not marks.search(text):
            raise ValueError(f"the README has no marks for {name}")
        text = marks.sub(lambda found, part=part: f"{found[1]}{part}{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where it would")
    check = parser.parse_args().check
    (section, *_) = summarise(load_cells([PUBLISHED]))
    before = README.read_text(encoding="utf-8")
    after = renewed(
        before, {"result": verdict(section).sentence, "headline": main_table(REPORT.read_text(encoding="utf-8"))}
    )
    if after != before and not check:
        atomic.write(README, after.encode())
    return int(check and after != before)


if __name__ == "__main__":
    sys.exit(main())
