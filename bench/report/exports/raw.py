"""Tables as CSV and JSON: every number raw and in SI units, as it lies in the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from equibench.quantities.text import budget_words
from equibench.record.base import Scalar
from equibench.report.tables.table import Entry, Table
from equibench.summary.sections import Section
from equibench.terminal import visible

# at the start of a cell, spreadsheets compute what follows; the wide forms are those of East Asian keyboards
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

BEGIN = b'{"sections":'  # of the JSON of every report


def as_csv(tables: Sequence[Table]) -> str:
    """Tables of one kind, one a section of the report, as one CSV of raw values."""
    rows: list[dict[str, Scalar]] = []
    order: dict[str, dict[str, None]] = {"section": {}}  # each column, and those that stand behind it
    for section, table in enumerate(tables, 1):
        order |= {name: {} for name in table.names if name not in order}
        for line in table.lines:
            row: dict[str, Scalar] = {"section": section}
            for name, entry in zip(table.names, line.entries, strict=True):
                more = _more(name, entry)
                order[name] |= dict.fromkeys(more)
                row |= {name: entry.raw, **more}
            rows.append(row)
    columns = [column for name, more in order.items() for column in (name, *more)]
    return csv_of(pd.DataFrame(rows, columns=columns, dtype=object))


def csv_of(frame: pd.DataFrame) -> str:
    """A frame as CSV. Numbers are as they are; a text that a spreadsheet would compute stands behind an apostrophe."""
    frame = frame.rename(columns=_plain)
    texts = [name for name, dtype in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    for name in texts:
        frame[name] = frame[name].map(_plain, na_action="ignore")
    return frame.to_csv(index=False, lineterminator="\n")


def _plain(value: Any) -> Any:
    """A text without control characters that is no formula; anything else as it is."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if value[:1] in FORMULA else shown


def as_json(found: Mapping[str, Sequence[Table]], sections: Sequence[Section]) -> bytes:
    """All tables of a report as one JSON object in UTF-8:

    {"sections": [{"letter", "data", "budget", "machine", "run"}],
     "tables": {name: [{"columns": {name: label}, "lines": [{"kind", "values", "text", "from", "span"}], "notes"}]}}

    `values` holds the raw values of a line by column, as the CSV does; `text` what the pages show; `from`, by column,
    the path in the records, what was made of the values there, and the records' keys.
    """
    about = [
        {
            "letter": section.letter,
            "data": section.data.name,
            "budget": budget_words(section.budget),
            "machine": section.machine.key,
            "run": section.run.label,
        }
        for section in sections
    ]
    # table by table: as objects, those of ten thousand records would take a gigabyte more
    tables = (
        _dump(name) + b":[" + b",".join(_dump(_table(table)) for table in of_sections) + b"]"
        for name, of_sections in found.items()
    )
    return BEGIN + _dump(about) + b',"tables":{' + b",".join(tables) + b"}}\n"


def _dump(content: Any) -> bytes:
    # halves of characters, as in a path that is no UTF-8, become JSON's own escapes
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def _table(table: Table) -> dict[str, Any]:
    lines = []
    for line in table.lines:
        entries = list(zip(table.names, line.entries, strict=True))
        values: dict[str, Scalar] = {}
        for name, entry in entries:
            values |= {name: entry.raw, **_more(name, entry)}
        shown = {name: f"{entry.text} ({entry.detail})" if entry.detail else entry.text for name, entry in entries}
        whence = {name: _source(entry) for name, entry in entries if entry.source}
        lines.append({"kind": line.kind, "values": values, "text": shown, "from": whence, "span": line.span})
    return {"columns": dict(zip(table.names, table.labels, strict=True)), "lines": lines, "notes": list(table.notes)}


def _source(entry: Entry) -> dict[str, Any]:
    assert entry.source is not None
    records, path, how, against, over = entry.source
    found: dict[str, Any] = {"path": path, "how": how, "records": [record.key for record in records]}
    found |= {"over": over} if over else {}
    return found | ({"against": [record.key for record in against]} if against else {})


def _more(name: str, entry: Entry) -> dict[str, Scalar]:
    return {name + key if key.startswith("_") else key: value for key, value in entry.more.items()}
