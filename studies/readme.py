"""Renew the README's result from published records: `python -m studies.readme`, with --check to see whether it holds.

Between its marks stand one sentence (result) and the main table (headline), as the committed report has it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from equibench import atomic
from equibench.quantities.text import join, number
from equibench.summary.pairs import criteria, lowest
from equibench.summary.sections import Row, Section
from equibench.summary.sort import load_cells, summarise

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PUBLISHED = ROOT / "results" / "published" / "quick"
REPORT = ROOT / "reports" / "published" / "quick" / "report.md"
SPEED = "speed.images_per_sec"


def sentence(section: Section) -> str:
    """Who is ahead in quality and likelihood, where training seeds tell it from all others, and who samples fastest."""
    clauses = [_ahead(section, measure.name, measure.path, list(measure.rows)) for measure in criteria(section)]
    clauses.append(_fastest([row for row in section.rankable if row.stat(SPEED)]))
    seeds = sorted({seed for row in section.ran for seed in row.seeds})
    many = f"{len(seeds)} training seeds" if len(seeds) > 1 else "one training seed, which ranks nothing"
    said = "; ".join(filter(None, clauses)) or "nothing was measured"
    return f"With equal training budgets and {many}: {said}."


def _ahead(section: Section, name: str, path: str, rows: list[Row]) -> str:
    if len(rows) < 2:
        return ""
    (mean, label), *others = sorted((_mean(row, path), row.label) for row in rows)
    name = name[:1].lower() + name[1:] if name.startswith("Bits") else name
    found = f"**{label}** has the lowest {name}, {number(mean, 4)}"
    if lowest(section, path, rows) is None:
        return f"{found}, which the seeds do not tell from every other's"
    return f"{found} ({join(f'{other} {number(least, 4)}' for least, other in others)})"


def _fastest(rows: list[Row]) -> str:
    if len(rows) < 2:
        return ""
    *_, second, first = sorted((_mean(row, SPEED), row.label) for row in rows)
    if second[0] == first[0]:
        return ""
    return f"**{first[1]}** samples fastest, {number(first[0] / second[0], 2)} times as fast as {second[1]}"


def _mean(row: Row, path: str) -> float:
    stat = row.stat(path)
    assert stat is not None
    return stat.mean


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
    after = renewed(before, {"result": sentence(section), "headline": main_table(REPORT.read_text(encoding="utf-8"))})
    if after != before and not check:
        atomic.write(README, after.encode())
    return int(check and after != before)


if __name__ == "__main__":
    sys.exit(main())
