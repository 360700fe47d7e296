"""Tables with a column a family: what each can do, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from equibench.quantities.glossary import BITS, COVERAGE, RECALL, heading, of
from equibench.quantities.metric import Metric, bits_kind, metric_names
from equibench.quantities.text import MISSING, slug, spoken_key
from equibench.record.schema import Record
from equibench.report.tables.cells import marked_if_busy
from equibench.report.tables.table import Column, Entry, Line, Notes, Origin, Table, fill_table, read_entry, stat_entry
from equibench.summary.sections import FiledRecord, Row, Section, row_of

# what is set side by side beneath the abilities; other metrics of quality follow the distance
MEASURED = (
    BITS,
    RECALL,
    COVERAGE,
    "quality.also.precision.value",
    "speed.images_per_sec",
    "speed.latency_p50_sec",
    "speed.network_evaluations",
    "speed.flops_per_image",
    "memory.train_peak_bytes",
    "memory.sample_peak_bytes",
    "spent.train_sec",
    "spent.images",
    "spent.params",
    "spent.sampling_params",
)


def entrants(section: Section) -> list[str]:
    """Entrants by name, each with what its family is called."""
    titles: dict[str, str] = {}
    for row in section.entrants:
        title = row.first.portrait.title if row.first.portrait else ""
        titles[row.name] = titles.get(row.name) or title
    return [f"{label} ({title})" if title else label for label, title in titles.items()]


def abilities(cells: list[FiledRecord]) -> Table:
    """What the families can do, as declared: a line an ability, a column a family."""

    def of(record: Record) -> Callable[[str], Entry]:
        return lambda key: read_entry(record, f"portrait.abilities.{key}")

    declared = [(cell.record, portrait) for cell in cells if (portrait := cell.record.portrait)]
    columns: list[Column[str]] = [("ability", "Ability", _key)]
    columns += [(record.family or record.entrant, portrait.title, of(record)) for record, portrait in declared]
    return fill_table("abilities", columns, _keys(portrait.abilities for _, portrait in declared), lambda _: None)


def numbers(cells: list[FiledRecord], sections: list[Section]) -> Table:
    """What was measured of each family alone, over seeds: a line a number, a column a family."""

    def of(row: Row) -> Callable[[str], Entry]:
        return lambda key: _mean(row, f"portrait.numbers.{key}")

    measured = [(row_of(cell, sections), portrait) for cell in cells if (portrait := cell.record.portrait)]
    columns: list[Column[str]] = [("number", "Number", _key)]
    columns += [(row.first.family or row.label, portrait.title, of(row)) for row, portrait in measured]
    return fill_table("numbers", columns, _keys(portrait.numbers for _, portrait in measured), lambda _: None)


def _key(key: str) -> Entry:
    return Entry(spoken_key(key), key)


def _keys(found: Iterable[Mapping[str, object]]) -> list[str]:
    """All keys, each once, in the order in which they come."""
    return list(dict.fromkeys(key for one in found for key in one))


def side_by_side(cells: list[FiledRecord], sections: list[Section]) -> Table:
    """The families beside each other: what each declares it can do, then what was measured of it, over seeds. A line
    without a value in any column is left out.
    """
    rows = [row_of(cell, sections) for cell in cells]
    names = tuple(row.first.family or row.label for row in rows)
    titles = [row.first.portrait.title if row.first.portrait else row.name for row in rows]
    labels = tuple(
        title if titles.count(title) == 1 else f"{title} ({row.name})" for title, row in zip(titles, rows, strict=True)
    )
    declared = dict.fromkeys(key for row in rows if (p := row.first.portrait) for key in p.abilities)
    lines = [
        _line(key.replace("_", " "), key, [read_entry(row.first, f"portrait.abilities.{key}") for row in rows])
        for key in declared
    ]
    metrics = sorted({metric for section in sections for metric in section.metrics})
    for metric, name in metric_names(metrics).items():
        entries = [_distance(row, metric) for row in rows]
        lines.append(_line(heading("quality.value", name), slug(name), entries))
    notes = Notes()
    for path in MEASURED:
        lines.append(_line(heading(path), path, [_measured(row, path, notes) for row in rows]))
    kept = [line for line in lines if any(entry.raw is not None for entry in line.entries[1:])]
    return Table("side_by_side", ("what", *names), ("", *labels), tuple(kept), tuple(notes))


def _line(label: str, name: str, entries: list[Entry]) -> Line:
    return Line((Entry(label, name), *entries))


def _mean(row: Row, path: str) -> Entry:
    found = row.stat(path)
    return stat_entry(found, Origin(row.having(path), path, "mean")) if found else Entry(MISSING)


def _distance(row: Row, metric: Metric) -> Entry:
    found = row.quality(metric)
    return stat_entry(found, Origin(row.having("quality.value"), "quality.value", "mean")) if found else Entry(MISSING)


def _measured(row: Row, path: str, notes: Notes) -> Entry:
    found, records = row.stat(path), row.having(path)
    if found is None:
        return Entry(MISSING)
    kind = bits_kind(row.first.likelihood) if path == BITS and row.first.likelihood else ""
    digits = 1 if path == "speed.network_evaluations" else 3
    entry = stat_entry(found, Origin(records, path, "mean"), of(path).scale, digits, kind)
    return marked_if_busy(entry, records, of(path).block, notes)
