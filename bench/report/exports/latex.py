"""Tables and numbers for LaTeX: `tabular`s with booktabs to `\\input`, and a macro for every number of a report.

A paper that uses them never types a number:

    \\usepackage{booktabs}            % in the preamble
    \\input{reports/quick/numbers}
    ... a distance of \\eqbHeadlineGanFdFiveKEfficientnetLiteZero{} ...
    \\input{reports/quick/tables/headline}

A macro's name is `\\eqb`, the table, the section's letter where there are several, what tells the line from the others,
and the column, digits spelt out. With `Raw` at its end it is the raw value, in the unit of the CSV column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from equibench.quantities.identity import KEY_DIGITS
from equibench.quantities.tex import tex
from equibench.report.tables.table import Entry, Table
from equibench.terminal import visible

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
# A line is named by its words: columns that say what was measured. The others hold what was found.
IDENTIFYING = ("entrant", "other", "seed", "measure", "quantity", "from", "to", "setting", "name", "metric", "ability",
               "number", "key", "what", "class", "point", "ended", "mode", "batch_size")  # fmt: skip
ENTRANTS = ("entrant", "other")  # columns of these, whose raw value is the name that commands take


def tabular(table: Table, about: str) -> str:
    """The table as a `tabular` with its footnotes under it. `about` is a comment on what it holds."""
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    lines = [
        f"% {visible(about)}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
    ]
    lines += [r"\toprule", _row([tex(label) for label in table.labels]), r"\midrule"]
    kind = table.lines[0].kind if table.lines else ""
    for line in table.lines:
        if line.kind != kind:
            lines.append(r"\midrule")
            kind = line.kind
        shown = [_entry(entry) for entry in line.entries[: 2 if line.span else None]]
        if line.span:
            shown.append(rf"\multicolumn{{{len(line.entries) - 2}}}{{l@{{}}}}{{{tex(line.span)}}}")
        lines.append(_row(shown))
    lines.append(r"\bottomrule")
    for i, note in enumerate(table.notes, 1):
        lines.append(
            _row([rf"\multicolumn{{{len(columns)}}}{{@{{}}p{{0.9\linewidth}}@{{}}}}{{\footnotesize {i} {tex(note)}}}"])
        )
    return "\n".join([*lines, r"\end{tabular}", ""])


def numbers(tables: Sequence[tuple[Table, str]]) -> str:
    """A macro for every number of the tables, each with the letter of its section or "". Names are made of letters."""
    lines = [
        r"% \input this file: a macro for every number of the report, as its tables show it. With Raw at the end of",
        "% its name it is the raw value. After each: the path in the record, and the start of the records' keys.",
    ]
    taken: set[str] = set()
    for table, letter in tables:
        for name, entry in _named(table, letter):
            while name in taken:  # two lines that their words do not tell apart: in the order of the table
                name += "Again"
            taken.add(name)
            source = entry.source
            keys = " ".join(record.key[:KEY_DIGITS] for record in source.records) if source else ""
            whence = f" % {visible(source.path)} {keys}" if source else ""
            lines.append(rf"\newcommand{{\{name}}}{{{tex(entry.text)}}}{whence}")
            lines.append(rf"\newcommand{{\{name}Raw}}{{{entry.raw}}}")
    return "\n".join([*lines, ""])


def letters(words: str) -> str:
    """Words as part of a macro's name: letters alone, each word with a capital, digits spelt out."""
    spelt = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", words)
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z]+", spelt))


def _named(table: Table, letter: str) -> Iterator[tuple[str, Entry]]:
    for line in table.lines:
        words = zip(table.names, line.entries, strict=True)
        identity = "".join(
            letters(str(entry.raw) if name in ENTRANTS else entry.text) for name, entry in words if name in IDENTIFYING
        )
        for name, entry in zip(table.names, line.entries, strict=True):
            if entry.is_number and name != "seed":
                yield "eqb" + letters(table.name) + letter + identity + letters(name), entry


def _entry(entry: Entry) -> str:
    shown = tex(entry.text)
    if entry.strong:
        shown = rf"\textbf{{{shown}}}"
    return shown + (f" ({tex(entry.detail)})" if entry.detail else "")


def _row(entries: list[str]) -> str:
    return f"{' & '.join(entries)} \\\\"
