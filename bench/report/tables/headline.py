"""The headline table: a line an entrant and way to sample, in the units that people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from equibench.quantities.glossary import BITS, RECALL, heading, of
from equibench.quantities.metric import Metric, bits_kind, metric_names, metric_of
from equibench.quantities.text import MISSING, join, number, settings, slug
from equibench.record.base import Scalar
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.report.tables.cells import marked_if_busy
from equibench.report.tables.table import Column, Entry, Line, Notes, Origin, Table, fill_table, stat_entry, value_entry
from equibench.stats import Stat
from equibench.summary.beside import unknown_words
from equibench.summary.pairs import told_best
from equibench.summary.sections import Row, Section
from equibench.summary.standing import usual_way

ENTROPY = "data.entropy_bits_per_dim"
NOT_TRAINED = "Not trained here."
NOT_MEASURED = "not measured"  # in place of a number of what was loaded


def headline(section: Section) -> Table:
    """The main table: a line an entrant, then the floors, then what failed."""
    notes, of_all = Notes(), told_best(section)

    def measured(path: str, missing: str, name: str = "", digits: int = 3) -> Column[Row]:
        best = of_all(path, [row for row in section.rankable if row.stat(path)])

        def entry(row: Row) -> Entry:
            why = _why(row, path.partition(".")[0], missing)
            show = {"unit": of(path).scale, "digits": digits, "strong": row is best}
            shown = _over_seeds(row, row.stat(path), path, why, notes, **show)
            return marked_if_busy(shown, row.having(path), of(path).block, notes)

        return name or path.rpartition(".")[2], heading(path), entry

    def quality(metric: Metric, name: str) -> Column[Row]:
        best = of_all("quality.value", [row for row in section.rankable if row.quality(metric)])
        return slug(name), heading("quality.value", name), lambda row: _quality(row, metric, best, notes)

    def peak(part: str, quantity: str) -> Column[Row]:
        path = f"memory.{part}_peak_bytes"
        best = of_all(path, [row for row in section.rankable if row.memory(part, quantity)])
        head = of(path).heading(f"{of(path).label} ({quantity})")
        return f"{part}_peak_bytes_{slug(quantity)}", head, lambda row: _peak(row, part, quantity, best, notes)

    bits_best = of_all(BITS, [row for row in section.rankable if row.stat(BITS)])
    columns: list[Column[Row]] = [
        ("entrant", "Entrant", lambda row: _named(row, notes)),
        ("n_seeds", "Seeds", _n_seeds),
        *(quality(metric, name) for metric, name in metric_names(section.metrics).items()),
        *([measured(RECALL, "Recall was not measured.", "recall")] if _has_recall(section) else []),
        ("bits_per_dim", heading(BITS), lambda row: _bits(row, section, bits_best, notes)),
        measured("speed.images_per_sec", "Speed was not measured."),
        measured("speed.latency_p50_sec", "Speed was not measured."),
        measured("speed.network_evaluations", "Speed was not measured.", digits=1),
        *(peak(part, quantity) for part in ("train", "sample") for quantity in section.quantities or ["not measured"]),
        measured("spent.params", NOT_TRAINED),
        measured("spent.flops", NOT_TRAINED, "train_flops"),
        measured("spent.train_sec", NOT_TRAINED),
    ]
    table = fill_table("headline", columns, [*section.ran, *section.references], lambda row: row.first)
    groups = tuple(_group(name) for name in table.names)
    lines = [
        one
        for row, line in zip(section.ran, table.lines, strict=False)
        for one in (line, *_ways(row, section, table.names))
    ]
    lines += table.lines[len(section.ran) :]
    lines += [*_entropy(section, table.names), *(_failed(row, len(columns)) for row in section.failures)]
    return Table("headline", table.names, table.labels, tuple(lines), tuple(notes), groups)


def _entropy(section: Section, names: tuple[str, ...]) -> list[Line]:
    """The line of the data's own entropy, where it is known and no floor says it."""
    entropy = section.data.entropy_bits_per_dim
    if entropy is None or any(row.first.entrant == "oracle" for row in section.references):
        return []
    known = {"entrant": Entry("oracle (entropy of the data)", "oracle", more={"role": "floor", "status": "ok"})}
    known["bits_per_dim"] = Entry(
        number(entropy, 4), entropy, "exact", {"_kind": "exact"}, source=Origin((_any(section),), ENTROPY)
    )
    return [Line(tuple(known.get(name, Entry()) for name in names), "floor")]


def _failed(row: Row, columns: int) -> Line:
    seeds = join(map(str, row.seeds))
    why = f"{row.first.status} (seed {seeds}): {row.first.reason or 'no reason was recorded'}"
    return Line((name_entry(row), _n_seeds(row), *[Entry()] * (columns - 2)), "failed", row.first.family, why)


def _has_recall(section: Section) -> bool:
    return any(row.stat(RECALL) for row in section.ran)


def _group(name: str) -> str:
    """What a column is about."""
    if name in ("entrant", "n_seeds"):
        return ""
    if name == "bits_per_dim":
        return "Likelihood"
    if name in ("images_per_sec", "latency_p50_sec", "network_evaluations"):
        return "Sampling"
    if "_peak_bytes" in name:
        return "Memory"
    return "Training" if name in ("params", "train_flops", "train_sec") else "Quality"


def _ways(row: Row, section: Section, names: tuple[str, ...]) -> list[Line]:
    """A line for each other way to sample that the family is known by: what differs from the entrant's own line."""
    lines = []
    for setting in row.settings():
        if not setting.point.startswith("ways."):
            continue
        named = f"{row.name}, {setting.label}", f"{row.label}, {setting.label}"
        known = {"entrant": Entry(*named, more={"sampler": settings(setting.options)}), "n_seeds": _n_seeds(row)}
        for metric, name in metric_names(section.metrics).items():
            if metric == setting.metric:
                known[slug(name)] = stat_entry(setting.distance, origin_of(row, setting.path("distance")), digits=4)
        for number_of, digits in (("images_per_sec", 3), ("network_evaluations", 1)):
            stat = getattr(setting, number_of)
            if stat is not None:
                known[number_of] = stat_entry(stat, origin_of(row, setting.path(number_of)), digits=digits)
        recall = f"{setting.point}.{RECALL}"
        if (found := row.stat(recall)) is not None:
            known["recall"] = stat_entry(found, origin_of(row, recall))
        entries = tuple(known.get(name, Entry()) for name in names)
        lines.append(Line(entries, family=row.first.family, way=setting.label))
    return lines


def origin_of(row: Row, path: str) -> Origin:
    records = row.having(path)
    return Origin(records, path, "mean" if len(records) > 1 else "value")


def _n_seeds(row: Row) -> Entry:
    return value_entry(len(row.seeds), source=Origin(tuple(cell.record for cell in row.cells), "seed", "count"))


def _any(section: Section) -> Record:
    """A record of the section, for what all of them say alike."""
    return (*section.entrants, *section.floors)[0].first


def _over_seeds(row: Row, stat: Stat | None, path: str, missing: str, notes: Notes, **show: Any) -> Entry:
    """A number over seeds; without one, a floor's entry is empty and an entrant's says why."""
    if stat is None:
        text = NOT_MEASURED if row.loaded and not path.startswith("spent.") else MISSING
        return Entry() if row.first.role == "floor" else notes.missing(missing, text)
    details = [show.pop("detail", ""), f"{stat.n} seeds" if stat.n < len(row.seeds) else ""]
    return stat_entry(stat, origin_of(row, path), detail="; ".join(filter(None, details)), **show)


def _why(row: Row, part: str, default: str) -> str:
    """The reason that the records give for a missing number in `part`, its stage having failed or not applied."""
    records = [cell.record for cell in row.cells]
    reasons = [getattr(getattr(one, part), "reason", None) or one.failures.get(part) for one in records]
    return next((str(reason) for reason in reasons if reason), default)


def name_entry(row: Row) -> Entry:
    record = row.first
    more: dict[str, Scalar] = {"role": record.role, "family": record.family, "status": record.status}
    more |= {"reason": record.reason, "data": record.data.name, "machine": record.machine.key}
    more |= {f"budget_{k}": value_at(record, f"budget.{k}") for k in ("params", "unit", "amount")}
    return Entry(row.name, row.label, _marks(row), more)


def _named(row: Row, notes: Notes) -> Entry:
    """Its name; of what was loaded with a footnote on what nobody knows of its budget."""
    entry = name_entry(row)
    if not row.loaded:
        known = any(setting.point.startswith("ways.") for setting in row.settings())
        return replace(entry, detail="; ".join(filter(None, [usual_way(row) if known else "", entry.detail])))
    mark = f"budget unknown{notes.mark(unknown_words(row))}"
    return replace(entry, detail="; ".join(filter(None, [entry.detail, mark])))


def _marks(row: Row) -> str:
    """What a reader must know of the row's cells: a missed budget, a stage that failed."""
    marked = dict.fromkeys(c.record.status for c in row.cells if c.record.status in ("budget missed", "incomplete"))
    return ", ".join(marked)


def _quality(row: Row, metric: Metric, best: Row | None, notes: Notes) -> Entry:
    other = [found for cell in row.cells if (q := cell.record.quality) and (found := metric_of(q))]
    default = "Sample quality was not measured."
    if other and metric not in other:
        default = "Measured with another metric, sample count or feature space."
    if metric in other and row.quality(metric) is None:  # tried without success: a floor says why, too
        return notes.missing(_why(row, "quality", default))
    strong = best is row
    alone = row.first.quality.interval if row.first.quality and len(row.seeds) == 1 else None
    detail = f"{number(alone.low, 4)} to {number(alone.high, 4)}" if alone else ""
    why = _why(row, "quality", default)
    entry = _over_seeds(row, row.quality(metric), "quality.value", why, notes, digits=4, strong=strong, detail=detail)
    return replace(entry, more={**entry.more, "_low": alone.low, "_high": alone.high}) if alone else entry


def _bits(row: Row, section: Section, best: Row | None, notes: Notes) -> Entry:
    found = [cell.record.likelihood for cell in row.cells]
    if any(x and x.kind == "none" for x in found):
        return notes.missing(_why(row, "likelihood", "The model defines no likelihood."), "n/a")
    first = row.first.likelihood  # those of the other seeds are of its kind
    kind = bits_kind(first) if first else ""
    detail = f"{kind}, {first.n_images:,} images" if first and len(section.bits_images) > 1 else kind
    why = _why(row, "likelihood", "Likelihood was not measured.")
    stat, show = row.stat(BITS), {"digits": 4, "detail": detail, "strong": best is row}
    entry = _over_seeds(row, stat, BITS, why, notes, **show)
    return replace(entry, more={**entry.more, "_kind": kind or None})


def _peak(row: Row, part: str, quantity: str, best: Row | None, notes: Notes) -> Entry:
    memories = [cell.record.memory for cell in row.cells if cell.record.memory]
    if memories and quantity not in {memory.quantity for memory in memories}:
        return notes.missing("Measured as another quantity of memory.")
    batch = sorted({value_at(memory, f"{part}_batch_size") for memory in memories})
    why = _why(row, "memory", "Memory was not measured.")
    detail = f"batch {join(map(str, batch))}" if batch else ""
    path = f"memory.{part}_peak_bytes"
    return _over_seeds(
        row, row.memory(part, quantity), path, why, notes, unit=of(path).scale, detail=detail, strong=row is best
    )
