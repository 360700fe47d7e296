"""The headline for a paper: one table that fits a column of 3.3 inches, and one that fits a page of 7.

Numbers are as the page shows them, their decimals aligned by one count for each column; entrants in the order of the
report. A floor is left out, and so is what was not measured at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from equibench.quantities.tex import tex
from equibench.report.pages.headline import headline_view
from equibench.report.pages.view import ShownCell
from equibench.report.tables.table import Table
from equibench.terminal import visible

Width = Literal["column", "page"]
WIDTHS: tuple[Width, ...] = ("column", "page")
MARK = r"\textsuperscript{*}"  # of a timing that is not to be trusted
IN_A_COLUMN = ("Quality", "Likelihood", "Sampling")  # of each group the first column, without its spread


def headline_tabular(table: Table, about: str, width: Width) -> str:
    """The headline's entrants as a `tabular` of booktabs, set in `\\footnotesize`."""
    found = headline_view(table)
    view, groups = found.view, found.view.table.groups
    keep = list(range(len(view.heads)))
    if width == "column":
        keep = [i for i in keep if i == 0 or (groups[i] in IN_A_COLUMN and groups[i] != groups[i - 1])]
    heads = [view.heads[i] for i in keep]
    name = rf"p{{{'0.95in' if width == 'column' else '1.15in'}}}"
    lines = [
        f"% {visible(about)}; fits {'3.3 in' if width == 'column' else '7 in'}; needs \\usepackage{{booktabs}}",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{2.5pt}\raggedright",
        rf"\begin{{tabular}}{{@{{}}{name}{'r' * (len(keep) - 1)}@{{}}}}",
        r"\toprule",
        *(_groups([groups[i] for i in keep]) if width == "page" else []),
        _row([tex(head.label) for head in heads]),
        _row([rf"\scriptsize {tex(head.unit)}" if head.unit else "" for head in heads]),
        r"\midrule",
    ]
    for body in view.bodies:
        for shown in body.lines:
            cells = [shown.cells[i] for i in keep]
            first = rf"\quad {tex(shown.line.way)}" if shown.line.way else tex(shown.line.entries[0].text)
            lines.append(_row([first, *(_value(cell, width) for cell in cells[1:])]))
    for line in found.failed:
        why = rf"\multicolumn{{{len(keep) - 1}}}{{l@{{}}}}{{{tex(line.span.partition(' (')[0])}}}"
        lines.append(_row([tex(line.entries[0].text), why]))
    end = r"\end{tabular}\endgroup"
    if any(MARK in line for line in lines):
        end = rf"\end{{tabular}}\par\smallskip\scriptsize {MARK} The machine was not steady at the time.\endgroup"
    return "\n".join([*lines, r"\bottomrule", end, ""])


def _groups(names: Sequence[str]) -> list[str]:
    """The row of the groups' names, each over a rule as wide as its columns."""
    cells, rules, at = [], [], 1
    for name, found in groupby(names):
        n = len(list(found))
        cells.append(rf"\multicolumn{{{n}}}{{c}}{{\scriptsize {tex(name)}}}" if name else "")
        rules += [rf"\cmidrule(l){{{at}-{at + n - 1}}}"] if name else []
        at += n
    return [_row(cells), "".join(rules)]


def _value(cell: ShownCell | None, width: Width) -> str:
    if cell is None:
        return ""
    value = tex(cell.value.rstrip("¹²³⁴⁵⁶⁷⁸⁹⁰"))
    value = rf"\textbf{{{value}}}" if cell.entry.strong else value
    value += MARK if cell.entry.more.get("_busy") else ""
    return value if width == "column" or not cell.spread else rf"{value} {{\tiny {tex(cell.spread)}}}"


def _row(entries: Sequence[str]) -> str:
    return f"{' & '.join(entries)} \\\\"
