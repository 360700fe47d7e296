"""Summary to tables. The only place that rounds and converts units.

Each entry of a table keeps its raw SI value beside its text: pages show the text, CSV holds the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import pandas as pd

from bench import summary
from bench.record import Budget, Record, Scalar
from bench.summary import Cell, Metric, Row, Section, Setting, Stat, Verdict, bits_kind

T = TypeVar("T")
MIB = 2**20
MISSING, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UNITS = {"flops": "training FLOPs", "images": "training images", "sec": "seconds of training", "updates": "updates"}
SPENT = {"params": "Parameters", "flops": "FLOPs", "images": "Images", "updates": "Updates", "train_sec": "Time, s"}


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str = ""
    raw: Scalar = None
    detail: str = ""  # small print: a kind, a share
    more: Mapping[str, Scalar] = field(
        default_factory=dict
    )  # further CSV columns; "_sd" stands for this one's name + "_sd"
    strong: bool = False


@dataclass(frozen=True)
class Line:
    """One row of a table. `span`, where given, stands in place of all but the first two entries."""

    entries: tuple[Entry, ...]
    kind: Literal["entrant", "floor", "failed"] = "entrant"
    family: str | None = None
    span: str = ""


@dataclass(frozen=True)
class Table:
    """`names` are the CSV columns, with their unit; `labels` are for people, with the unit shown."""

    name: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()  # footnotes, from 1

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and are set flush right."""
        raws = zip(*([entry.raw for entry in line.entries] for line in self.lines), strict=True)
        return [any(isinstance(raw, int | float) for raw in column) for column in raws] or [False] * len(self.names)


# A column: its CSV name, its label, and how it is filled from an item of the table.
Column = tuple[str, str, Callable[[T], Entry]]
Run = tuple[Row, Record]


class Notes(list[str]):
    """Footnotes of one table; equal ones share a number."""

    def missing(self, why: str, text: str = MISSING) -> Entry:
        if why not in self:
            self.append(why)
        return Entry(text + superscript(self.index(why) + 1))


def superscript(value: int) -> str:
    return str(value).translate(POWERS)


def number(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits (whole digits are kept); with a power of ten if very long or small."""
    if value == 0 or (isinstance(value, int) and abs(value) < 10**7):
        return f"{value:,.0f}"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 7:
        mantissa, power = f"{value:.2e}".split("e")  # rounds 9.999 up to the next power
        return f"{mantissa}{TIMES}10{superscript(int(power))}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def spread(stat: Stat, unit: float = 1, digits: int = 3) -> str:
    """Mean ± standard deviation over seeds, to two significant digits of the latter; of one seed the value alone."""
    if not stat.sd:
        return number(stat.mean / unit, digits)
    decimals = 1 - math.floor(math.log10(stat.sd / unit))
    if stat.mean:  # a spread far below the value's own digits says no more than that it is small
        decimals = min(decimals, digits + 1 - math.floor(math.log10(abs(stat.mean / unit))))
    decimals = max(0, decimals)
    if stat.mean / unit >= 1e7:  # counts such as FLOPs
        return f"{number(stat.mean / unit)} ± {number(stat.sd / unit)}"
    return f"{stat.mean / unit:,.{decimals}f} ± {stat.sd / unit:,.{decimals}f}"


def settings(options: Mapping[str, Scalar]) -> str:
    """Options in words."""
    return ", ".join(f"{key} {value}" for key, value in sorted(options.items())) or "default"


def budget_words(budget: Budget | None) -> str:
    """A budget in one phrase."""
    if budget is None:
        return "no training budget"
    return f"at most {budget.params / 1e6:g} M parameters and {_amount(budget.amount)} {UNITS[budget.unit]}"


def join(words: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def csv(tables: Sequence[Table]) -> str:
    """Tables of one kind, one a section of the report, as one CSV of raw values."""
    rows: list[dict[str, Scalar]] = []
    order: dict[str, dict[str, None]] = {"section": {}}  # each column, and those that stand behind it
    for section, table in enumerate(tables, 1):
        order |= {name: {} for name in table.names if name not in order}
        for line in table.lines:
            row: dict[str, Scalar] = {"section": section}
            for name, entry in zip(table.names, line.entries, strict=True):
                more = {name + key if key.startswith("_") else key: value for key, value in entry.more.items()}
                order[name] |= dict.fromkeys(more)
                row |= {name: entry.raw, **more}
            rows.append(row)
    columns = [column for name, more in order.items() for column in (name, *more)]
    return pd.DataFrame(rows, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")


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
        return name, label, lambda row: _over_seeds(row, row.stat(path), missing, notes, unit=unit, digits=digits)

    def quality(metric: Metric, name: str) -> Column[Row]:
        best = section.best_quality(metric)
        return _slug(name), f"{name} ↓", lambda row: _quality(row, metric, best, notes)

    def peak(part: str, quantity: str) -> Column[Row]:
        label = f"{part.capitalize()} memory, MiB ({quantity}) ↓"
        return f"{part}_peak_bytes_{_slug(quantity)}", label, lambda row: _peak(row, part, quantity, notes)

    columns: list[Column[Row]] = [
        ("entrant", "Entrant", _name),
        ("n_seeds", "Seeds", lambda row: _value(len(row.seeds))),
        *(quality(metric, name) for metric, name in summary.metric_names(section.metrics).items()),
        ("bits_per_dim", "Bits/dim ↓", lambda row: _bits(row, section, notes)),
        measured("images_per_sec", "Sampling, images/s ↑", "speed.images_per_sec", "Speed was not measured."),
        measured("latency_p50_sec", "Latency p50, ms ↓", "speed.latency_p50_sec", "Speed was not measured.", 1e-3),
        measured("network_evaluations", "NFE ↓", "speed.network_evaluations", "Speed was not measured.", digits=1),
        *(peak(part, quantity) for part in ("train", "sample") for quantity in section.quantities or ["not measured"]),
        measured("params", "Parameters, M", "spent.params", "Not trained here.", 1e6),
        measured("train_flops", "Train FLOPs", "spent.flops", "Not trained here."),
        measured("train_sec", "Train time, s", "spent.train_sec", "Not trained here."),
    ]
    table = _table("headline", columns, [*section.ran, *section.references], lambda row: row.first)
    lines = list(table.lines)
    entropy = section.data.entropy_bits_per_dim
    if entropy is not None and not any(row.first.entrant == "oracle" for row in section.references):
        known = {"entrant": Entry("oracle (entropy of the data)", "oracle", more={"role": "floor", "status": "ok"})}
        known["bits_per_dim"] = Entry(number(entropy, 4), entropy, "exact", {"_kind": "exact"})
        lines.append(Line(tuple(known.get(name, Entry()) for name in table.names), "floor"))
    for row in section.failures:
        seeds = join(map(str, row.seeds))
        why = f"{row.first.status} (seed {seeds}): {row.first.reason or 'no reason was recorded'}"
        blank = [Entry()] * (len(columns) - 2)
        lines.append(Line((_name(row), _value(len(row.seeds)), *blank), "failed", row.first.family, why))
    return Table("headline", table.names, table.labels, tuple(lines), tuple(notes))


def ranking(section: Section) -> list[str]:
    """Sentences on what the headline table decides."""
    rows = section.rankable
    seeds = {len(row.seeds) for row in rows}
    if len(rows) < 2:
        return ["Fewer than two entrants have a result within their budget, so there is nothing to rank."]
    if seeds == {1}:
        return ["One seed ran, so no spread is shown; no ranking is claimed, because fewer than three seeds ran."]
    if min(seeds) < summary.RANKING_SEEDS:
        few = join(row.label for row in rows if len(row.seeds) < summary.RANKING_SEEDS)
        return [f"No ranking is claimed, because fewer than three seeds ran for {few}."]
    verdicts = {name: section.best_quality(metric) for metric, name in summary.metric_names(section.metrics).items()}
    found = []
    for name, verdict in (verdicts | {"Bits/dim": section.best_bits()}).items():
        if verdict is None:
            found.append(
                f"{name}: not ranked, as kinds or test images differ, or fewer than two entrants have three values."
            )
        elif verdict.undecided:
            found.append(f"{name}: not decided between {join(r.label for r in [verdict.best, *verdict.undecided])}.")
        else:
            found.append(f"{name}: {verdict.best.label} is lowest (bold).")
    return [*found, "Test: Welch's t-test over seeds with Holm's correction at 5 %."]


def likelihood(section: Section) -> Table:
    """Bits per dimension, a line a cell, with what makes each number mean what it does."""
    everyone = _runs([*section.ran, *section.references])
    runs = [run for run in everyone if summary.value_at(run[1], "likelihood.bits_per_dim") is not None]
    columns: list[Column[Run]] = [
        *RUN,
        _at("bits_per_dim", "Bits/dim ↓", "likelihood.bits_per_dim", digits=4),
        _at("stderr_bits_per_dim", "Standard error over images", "likelihood.stderr_bits_per_dim", digits=2),
        ("kind", "Kind", lambda run: _value(bits_kind(run[1].likelihood) if run[1].likelihood else None)),
        _at("n_images", "Test images", "likelihood.n_images"),
        _at("passes", "Passes", "likelihood.passes"),
        ("detail", "Detail", lambda run: _likelihood_detail(run[1])),
    ]
    return _table("likelihood", columns, runs, lambda run: run[1])


def samplers(section: Section) -> Table:
    """Every setting of every sampler that was measured."""
    notes = Notes()

    def speed(name: str, label: str) -> Column[tuple[Row, Setting]]:
        def entry(item: tuple[Row, Setting]) -> Entry:
            stat: Stat | None = getattr(item[1], name)
            why = "Speed was not measured with these options."
            return _stat(stat, digits=1 if name == "network_evaluations" else 3) if stat else notes.missing(why)

        return name, label, entry

    names = summary.metric_names(section.knob_metrics)
    columns: list[Column[tuple[Row, Setting]]] = [
        ("entrant", "Entrant", lambda item: _name(item[0])),
        ("setting", "Setting", lambda item: _value(item[1].label)),
        ("options", "Options", lambda item: _value(settings(item[1].options))),
        ("metric", "Metric", lambda item: _value(names[item[1].metric])),
        ("distance", "Distance ↓", lambda item: _stat(item[1].distance, digits=4)),
        speed("images_per_sec", "Sampling, images/s ↑"),
        speed("network_evaluations", "NFE ↓"),
        speed("flops_per_image", "FLOPs per image ↓"),
    ]
    items = [(row, setting) for row in section.ran for setting in row.settings()]
    return _table("samplers", columns, items, lambda item: item[0].first, notes)


def audit(section: Section) -> Table:
    """What the budget allowed and what was spent, in every unit, a line a cell."""
    columns: list[Column[Run]] = [*RUN, *(_spent(name, label) for name, label in SPENT.items())]
    columns += [_at("compile_sec", "of it compiling, s", "spent.compile_sec"), ("verdict", "Budget", _verdict)]
    return _table("audit", columns, _runs(section.entrants), lambda run: run[1])


def abilities(cells: list[Cell]) -> Table:
    """What the families can do, as declared: a line an ability, a column a family."""
    return _by_family("abilities", "Ability", cells, "abilities")


def numbers(cells: list[Cell]) -> Table:
    """What was measured of each family: a line a number, a column a family."""
    return _by_family("numbers", "Number", cells, "numbers")


def clock(section: Section) -> Table:
    """Where the time went, a line a cell: seconds of each part, then their sum and the wall time."""
    runs = [run for run in _runs([*section.entrants, *section.floors]) if run[1].clock]
    parts = sorted({part for _, record in runs for part in record.clock} - {"wall"})

    def seconds(part: str) -> Column[Run]:
        return f"{_slug(part)}_sec", f"{part.replace('_', ' ')}, s", lambda run: _value(run[1].clock.get(part))

    return _table("clock", [*RUN, *(seconds(part) for part in (*parts, "wall"))], runs, lambda run: run[1])


def provenance(sections: list[Section]) -> Table:
    """Which record each number came from, and what that record was made with."""
    runs = {run[1].key: run for s in sections for run in _runs([*s.entrants, *s.floors])}
    columns: list[Column[Run]] = [
        *RUN,
        _at("status", "Status", "status"),
        _at("suite", "Suite", "suite"),
        _hash("key", "Record", "key"),
        _hash("machine", "Machine", "machine.key"),
        ("commit", "Code", _commit),
        _hash("data_sha256", "Data", "data.sha256"),
        _hash("weights_sha256", "Weights", "weights_sha256"),
        _at("created", "Made (UTC)", "created"),
    ]
    return _table("provenance", columns, list(runs.values()), lambda run: run[1])


def commit(record: Record) -> str:
    """The code's commit in short, with uncommitted changes flagged."""
    if record.code.commit is None:
        return f"version {record.code.version}, commit unknown"
    return record.code.commit[:8] + (" (dirty)" if record.code.dirty else "")


def _table(
    name: str, columns: list[Column[T]], items: Sequence[T], of: Callable[[T], Record | None], notes: Sequence[str] = ()
) -> Table:
    """Fill `columns` from `items`; `of` gives the record that says what kind of line an item makes."""
    lines = []
    for item in items:
        record, entries = of(item), tuple(fill(item) for _, _, fill in columns)
        kind = "entrant" if record is None else "failed" if summary.failed(record) else record.role
        lines.append(Line(entries, kind, record.family if record else None))
    return Table(name, tuple(c[0] for c in columns), tuple(c[1] for c in columns), tuple(lines), tuple(notes))


def _runs(rows: Sequence[Row]) -> list[Run]:
    return [(row, cell.record) for row in rows for cell in row.cells]


def _at(name: str, label: str, path: str, digits: int = 3) -> Column[Run]:
    """A column of values as they lie in the record."""
    return name, label, lambda run: _value(summary.value_at(run[1], path), digits)


def _hash(name: str, label: str, path: str) -> Column[Run]:
    """A column of hashes: cut short for people, whole in CSV."""

    def entry(run: Run) -> Entry:
        value = summary.value_at(run[1], path)
        return Entry(value[:8], value) if value else Entry(MISSING)

    return name, label, entry


def _value(value: Any, digits: int = 3) -> Entry:
    if value is None:
        return Entry(MISSING)
    plain = isinstance(value, str | bool)
    return Entry(str(value) if plain else number(value, digits), value)


def _stat(stat: Stat, unit: float = 1, digits: int = 3, detail: str = "", strong: bool = False) -> Entry:
    return Entry(spread(stat, unit, digits), stat.mean, detail, {"_sd": stat.sd}, strong)


def _over_seeds(row: Row, stat: Stat | None, missing: str, notes: Notes, **show: Any) -> Entry:
    """A number over seeds; without one, a floor's entry is empty and an entrant's says why."""
    if stat is None:
        return Entry() if row.first.role == "floor" else notes.missing(missing)
    details = [show.pop("detail", ""), f"{stat.n} seeds" if stat.n < len(row.seeds) else ""]
    return _stat(stat, detail="; ".join(filter(None, details)), **show)


def _why(row: Row, part: str, default: str) -> str:
    """The reason that the records give for a missing number in `part`."""
    reasons = [summary.value_at(cell.record, f"{part}.reason") for cell in row.cells]
    return next((str(reason) for reason in reasons if reason), default)


def _name(row: Row) -> Entry:
    record = row.first
    more: dict[str, Scalar] = {"role": record.role, "family": record.family, "status": record.status}
    more |= {"reason": record.reason, "data": record.data.name, "machine": record.machine.key}
    more |= {f"budget_{k}": summary.value_at(record, f"budget.{k}") for k in ("params", "unit", "amount")}
    return Entry(row.label, row.label, record.status if record.status == "budget missed" else "", more)


def _quality(row: Row, metric: Metric, best: Verdict | None, notes: Notes) -> Entry:
    other = [metric_of for cell in row.cells if (q := cell.record.quality) and (metric_of := summary.metric_of(q))]
    default = "Sample quality was not measured."
    if other and metric not in other:
        default = "Measured with another metric, sample count or feature space."
    if metric in other and row.quality(metric) is None:  # tried without success: a floor says why, too
        return notes.missing(_why(row, "quality", default))
    strong = best is not None and best.best is row and not best.undecided
    return _over_seeds(row, row.quality(metric), _why(row, "quality", default), notes, digits=4, strong=strong)


def _bits(row: Row, section: Section, notes: Notes) -> Entry:
    found = [cell.record.likelihood for cell in row.cells]
    if any(x and x.kind == "none" for x in found):
        return notes.missing(_why(row, "likelihood", "The model defines no likelihood."), "n/a")
    first = row.first.likelihood  # those of the other seeds are of its kind
    kind = bits_kind(first) if first else ""
    detail = f"{kind}, {first.n_images:,} images" if first and len(section.bits_images) > 1 else kind
    best = section.best_bits()
    strong = best is not None and best.best is row and not best.undecided
    why = _why(row, "likelihood", "Likelihood was not measured.")
    entry = _over_seeds(row, row.stat("likelihood.bits_per_dim"), why, notes, digits=4, detail=detail, strong=strong)
    return replace(entry, more={**entry.more, "_kind": kind or None})


def _peak(row: Row, part: str, quantity: str, notes: Notes) -> Entry:
    memories = [cell.record.memory for cell in row.cells if cell.record.memory]
    if memories and quantity not in {memory.quantity for memory in memories}:
        return notes.missing("Measured as another quantity of memory.")
    batch = sorted({summary.value_at(memory, f"{part}_batch_size") for memory in memories})
    why = _why(row, "memory", "Memory was not measured.")
    detail = f"batch {join(map(str, batch))}" if batch else ""
    return _over_seeds(row, row.memory(part, quantity), why, notes, unit=MIB, detail=detail)


def _commit(run: Run) -> Entry:
    return Entry(commit(run[1]), run[1].code.commit, more={"dirty": run[1].code.dirty})


def _spent(name: str, label: str) -> Column[Run]:
    def entry(run: Run) -> Entry:
        spent, cap, used = summary.value_at(run[1], f"spent.{name}"), summary.allowed(run[1]), None
        if spent is None:
            return Entry(MISSING, more={"_allowed": cap.get(name), "_percent": None})
        used = summary.used_percent(run[1], name)
        detail = "" if used is None else f"{used:.1f} % of {_amount(cap[name])}"
        return Entry(number(spent), spent, detail, {"_allowed": cap.get(name), "_percent": used})

    return name, label, entry


def _verdict(run: Run) -> Entry:
    if summary.failed(run[1]) or run[1].spent is None or run[1].budget is None:
        return _value(run[1].status if summary.failed(run[1]) else None)
    missed = summary.missed_budget(run[1])
    return Entry("missed" if missed else "OK", "missed" if missed else "OK", missed)


def _by_family(name: str, label: str, cells: list[Cell], part: str) -> Table:
    """A table with a line for each key of a portrait's dictionary and a column for each family."""
    found = [(cell.record, cell.record.portrait) for cell in cells]
    keys = dict.fromkeys(key for _, portrait in found for key in getattr(portrait, part))

    def of(values: Mapping[str, Scalar]) -> Callable[[str], Entry]:
        return lambda key: _value(values.get(key))

    columns: list[Column[str]] = [(label.lower(), label, lambda key: Entry(key.replace("_", " "), key))]
    columns += [(r.family or r.entrant, p.title, of(getattr(p, part))) for r, p in found if p]
    return _table(name, columns, list(keys), lambda _: None)


def _likelihood_detail(record: Record) -> Entry:
    detail = record.likelihood.detail if record.likelihood else {}
    shown = {
        k: number(v, 4) if isinstance(v, int | float) and not isinstance(v, bool) else v for k, v in detail.items()
    }
    return _value(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(shown.items())))


def _amount(value: float) -> str:
    return number(int(value) if value == int(value) else value)


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower()


RUN: list[Column[Run]] = [
    ("entrant", "Entrant", lambda run: Entry(run[0].label, run[0].label)),
    ("seed", "Seed", lambda run: _value(run[1].seed)),
]
