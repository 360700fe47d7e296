"""Tables with a line an entrant or a column a family. Units are converted here.

The headline, the settings of the samplers, and what the families can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from equibench.quantities.metric import Metric, bits_kind, metric_names, metric_of
from equibench.quantities.text import join, number, settings, slug
from equibench.record.schema import Record, Scalar
from equibench.report.tables.table import (
    Column,
    Entry,
    Line,
    Notes,
    Source,
    Table,
    fill_table,
    read_entry,
    stat_entry,
    value_entry,
)
from equibench.stats import Stat
from equibench.summary import pairs
from equibench.summary.sections import Cell, Row, Section, Setting, flops_per_image, sec_per_image, value_at

MIB = 2**20
BITS, ENTROPY = "likelihood.bits_per_dim", "data.entropy_bits_per_dim"


def entrants(section: Section) -> list[str]:
    """Entrants by name, each with what its family is called."""
    titles: dict[str, str] = {}
    for row in section.entrants:
        title = row.first.portrait.title if row.first.portrait else ""
        titles[row.label] = titles.get(row.label) or title
    return [f"{label} ({title})" if title else label for label, title in titles.items()]


def headline(section: Section) -> Table:
    """The main table: a line an entrant, then the floors, then what failed."""
    notes = Notes()

    def measured(name: str, label: str, path: str, missing: str, unit: float = 1, digits: int = 3) -> Column[Row]:
        return name, label, lambda row: _over_seeds(row, row.stat(path), path, missing, notes, unit=unit, digits=digits)

    def quality(metric: Metric, name: str) -> Column[Row]:
        best = pairs.best(section, "quality.value", [row for row in section.rankable if row.quality(metric)])
        return slug(name), f"{name} ↓", lambda row: _quality(row, metric, best, notes)

    def peak(part: str, quantity: str) -> Column[Row]:
        label = f"{part.capitalize()} memory, MiB ({quantity}) ↓"
        return f"{part}_peak_bytes_{slug(quantity)}", label, lambda row: _peak(row, part, quantity, notes)

    bits_best = pairs.best(section, BITS, [row for row in section.rankable if row.stat(BITS)])
    columns: list[Column[Row]] = [
        ("entrant", "Entrant", _name),
        ("n_seeds", "Seeds", _n_seeds),
        *(quality(metric, name) for metric, name in metric_names(section.metrics).items()),
        ("bits_per_dim", "Bits/dim ↓", lambda row: _bits(row, section, bits_best, notes)),
        measured("images_per_sec", "Sampling, images/s ↑", "speed.images_per_sec", "Speed was not measured."),
        measured("latency_p50_sec", "Latency p50, ms ↓", "speed.latency_p50_sec", "Speed was not measured.", 1e-3),
        measured("network_evaluations", "NFE ↓", "speed.network_evaluations", "Speed was not measured.", digits=1),
        *(peak(part, quantity) for part in ("train", "sample") for quantity in section.quantities or ["not measured"]),
        measured("params", "Parameters, M", "spent.params", "Not trained here.", 1e6),
        measured("train_flops", "Train FLOPs", "spent.flops", "Not trained here."),
        measured("train_sec", "Train time, s", "spent.train_sec", "Not trained here."),
    ]
    table = fill_table("headline", columns, [*section.ran, *section.references], lambda row: row.first)
    lines = list(table.lines)
    entropy = section.data.entropy_bits_per_dim
    if entropy is not None and not any(row.first.entrant == "oracle" for row in section.references):
        known = {"entrant": Entry("oracle (entropy of the data)", "oracle", more={"role": "floor", "status": "ok"})}
        known["bits_per_dim"] = Entry(
            number(entropy, 4), entropy, "exact", {"_kind": "exact"}, source=Source((_any(section),), ENTROPY)
        )
        lines.append(Line(tuple(known.get(name, Entry()) for name in table.names), "floor"))
    for row in section.failures:
        seeds = join(map(str, row.seeds))
        why = f"{row.first.status} (seed {seeds}): {row.first.reason or 'no reason was recorded'}"
        blank = [Entry()] * (len(columns) - 2)
        lines.append(Line((_name(row), _n_seeds(row), *blank), "failed", row.first.family, why))
    return Table("headline", table.names, table.labels, tuple(lines), tuple(notes))


def samplers(section: Section) -> Table:
    """Every setting of every sampler that was measured."""
    notes = Notes()

    def speed(name: str, label: str) -> Column[tuple[Row, Setting]]:
        def entry(item: tuple[Row, Setting]) -> Entry:
            stat: Stat | None = getattr(item[1], name)
            if stat is None:
                return notes.missing("Speed was not measured with these options.")
            digits = 1 if name == "network_evaluations" else 3
            return stat_entry(stat, _source(item[0], item[1].path(name)), digits=digits)

        return name, label, entry

    def front(name: str, label: str, cost: Callable[[Setting], float | None]) -> Column[tuple[Row, Setting]]:
        swept = section.sweep_metrics
        best = [found for metric in swept for found in section.front(metric, cost)]

        def entry(item: tuple[Row, Setting]) -> Entry:
            if item[1].metric not in swept or cost(item[1]) is None:
                return value_entry(None)
            return Entry("yes" if item in best else "no", item in best)

        return name, label, entry

    names = metric_names(section.knob_metrics)
    columns: list[Column[tuple[Row, Setting]]] = [
        ("entrant", "Entrant", lambda item: _name(item[0])),
        ("setting", "Setting", lambda item: value_entry(item[1].label)),
        ("options", "Options", lambda item: value_entry(settings(item[1].options))),
        ("metric", "Metric", lambda item: value_entry(names[item[1].metric])),
        ("distance", "Distance ↓", _setting_distance),
        speed("images_per_sec", "Sampling, images/s ↑"),
        speed("network_evaluations", "NFE ↓"),
        speed("flops_per_image", "FLOPs per image ↓"),
        front("front_by_time", "On the front by time", sec_per_image),
        front("front_by_flops", "by FLOPs", flops_per_image),
    ]
    items = [(row, setting) for row in section.ran for setting in row.settings()]
    return fill_table("samplers", columns, items, lambda item: item[0].first, notes)


def abilities(cells: list[Cell]) -> Table:
    """What the families can do, as declared: a line an ability, a column a family."""
    return _by_family("abilities", "Ability", cells, "abilities")


def numbers(cells: list[Cell]) -> Table:
    """What was measured of each family: a line a number, a column a family."""
    return _by_family("numbers", "Number", cells, "numbers")


def _source(row: Row, path: str) -> Source:
    records = row.having(path)
    return Source(records, path, "mean" if len(records) > 1 else "value")


def _n_seeds(row: Row) -> Entry:
    return value_entry(len(row.seeds), source=Source(tuple(cell.record for cell in row.cells), "seed", "count"))


def _any(section: Section) -> Record:
    """A record of the section, for what all of them say alike."""
    return (*section.entrants, *section.floors)[0].first


def _setting_distance(item: tuple[Row, Setting]) -> Entry:
    row, setting = item
    return stat_entry(setting.distance, _source(row, setting.path("distance")), digits=4)


def _over_seeds(row: Row, stat: Stat | None, path: str, missing: str, notes: Notes, **show: Any) -> Entry:
    """A number over seeds; without one, a floor's entry is empty and an entrant's says why."""
    if stat is None:
        return Entry() if row.first.role == "floor" else notes.missing(missing)
    details = [show.pop("detail", ""), f"{stat.n} seeds" if stat.n < len(row.seeds) else ""]
    return stat_entry(stat, _source(row, path), detail="; ".join(filter(None, details)), **show)


def _why(row: Row, part: str, default: str) -> str:
    """The reason that the records give for a missing number in `part`."""
    reasons = [value_at(cell.record, f"{part}.reason") for cell in row.cells]
    return next((str(reason) for reason in reasons if reason), default)


def _name(row: Row) -> Entry:
    record = row.first
    more: dict[str, Scalar] = {"role": record.role, "family": record.family, "status": record.status}
    more |= {"reason": record.reason, "data": record.data.name, "machine": record.machine.key}
    more |= {f"budget_{k}": value_at(record, f"budget.{k}") for k in ("params", "unit", "amount")}
    return Entry(row.label, row.label, record.status if record.status == "budget missed" else "", more)


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


def _peak(row: Row, part: str, quantity: str, notes: Notes) -> Entry:
    memories = [cell.record.memory for cell in row.cells if cell.record.memory]
    if memories and quantity not in {memory.quantity for memory in memories}:
        return notes.missing("Measured as another quantity of memory.")
    batch = sorted({value_at(memory, f"{part}_batch_size") for memory in memories})
    why = _why(row, "memory", "Memory was not measured.")
    detail = f"batch {join(map(str, batch))}" if batch else ""
    path = f"memory.{part}_peak_bytes"
    return _over_seeds(row, row.memory(part, quantity), path, why, notes, unit=MIB, detail=detail)


def _by_family(name: str, label: str, cells: list[Cell], part: str) -> Table:
    """A table with a line for each key of a portrait's dictionary and a column for each family."""
    found = [(cell.record, cell.record.portrait) for cell in cells]
    keys = dict.fromkeys(key for _, portrait in found for key in getattr(portrait, part))

    def of(record: Record) -> Callable[[str], Entry]:
        return lambda key: read_entry(record, f"portrait.{part}.{key}")

    columns: list[Column[str]] = [(label.lower(), label, lambda key: Entry(key.replace("_", " "), key))]
    columns += [(r.family or r.entrant, p.title, of(r)) for r, p in found if p]
    return fill_table(name, columns, list(keys), lambda _: None)
