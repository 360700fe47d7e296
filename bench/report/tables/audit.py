"""Tables with a line a cell: bits per dimension, what was spent, where the time went, where each number came from."""

from __future__ import annotations

from collections.abc import Sequence

from equibench.quantities.metric import bits_kind
from equibench.quantities.text import MISSING, amount, join, number, slug
from equibench.record.budget import allowed, missed_budget, used_percent
from equibench.record.schema import Record
from equibench.report.tables.table import Column, Entry, Source, Table, fill_table, read_entry, value_entry
from equibench.summary.sections import Row, Section, failed, value_at

SPENT = {"params": "Parameters", "flops": "FLOPs", "images": "Images", "updates": "Updates", "train_sec": "Time, s"}
Run = tuple[Row, Record]


def likelihood(section: Section) -> Table:
    """Bits per dimension, a line a cell, with what makes each number mean what it does."""
    everyone = runs_of([*section.ran, *section.references])
    runs = [run for run in everyone if value_at(run[1], "likelihood.bits_per_dim") is not None]
    columns: list[Column[Run]] = [
        *RUN,
        _at("bits_per_dim", "Bits/dim ↓", "likelihood.bits_per_dim", digits=4),
        _at("stderr_bits_per_dim", "Standard error over images", "likelihood.stderr_bits_per_dim", digits=2),
        ("kind", "Kind", lambda run: value_entry(bits_kind(run[1].likelihood) if run[1].likelihood else None)),
        _at("n_images", "Test images", "likelihood.n_images"),
        _at("passes", "Passes", "likelihood.passes"),
        ("detail", "Detail", lambda run: _likelihood_detail(run[1])),
    ]
    return fill_table("likelihood", columns, runs, lambda run: run[1])


def audit(section: Section) -> Table:
    """What the budget allowed and what was spent, in every unit, a line a cell."""
    columns: list[Column[Run]] = [*RUN, *(_spent(name, label) for name, label in SPENT.items())]
    columns += [_at("compile_sec", "of it compiling, s", "spent.compile_sec"), ("verdict", "Budget", _verdict)]
    return fill_table("audit", columns, runs_of(section.entrants), lambda run: run[1])


def clock(section: Section) -> Table:
    """Where the time went, a line a cell: seconds of each part, then their sum and the wall time."""
    runs = [run for run in runs_of([*section.entrants, *section.floors]) if run[1].clock]
    parts = sorted({part for _, record in runs for part in record.clock} - {"wall"})

    def seconds(part: str) -> Column[Run]:
        return f"{slug(part)}_sec", f"{part.replace('_', ' ')}, s", lambda run: read_entry(run[1], f"clock.{part}")

    return fill_table("clock", [*RUN, *(seconds(part) for part in (*parts, "wall"))], runs, lambda run: run[1])


# Parts of the clock that are the work itself; `speed` is sampling with a stopwatch.
WORK = {"train", "sample", "speed", "features", "likelihood", "more likelihoods", "annealing"}


def overhead(section: Section) -> str:
    """What the harness itself took of all cells' wall time, in a sentence; empty where no clock was kept."""
    clocks = [run[1].clock for run in runs_of([*section.entrants, *section.floors]) if run[1].clock]
    wall = sum(clock["wall"] for clock in clocks)
    if not wall:
        return ""
    parts: dict[str, float] = {}
    for clock in clocks:
        for part in clock.keys() - WORK - {"wall"}:
            parts[part] = parts.get(part, 0.0) + clock[part]
    most = sorted(parts, key=parts.__getitem__, reverse=True)[:3]
    return (
        f"Overhead of the harness, which is everything but updates, sampling (timed or not), features and "
        f"likelihoods: {100 * sum(parts.values()) / wall:.1f} % of {number(wall)} s; most of it "
        f"{join(f'{part} ({parts[part]:.1f} s)' for part in most)}."
    )


def provenance(sections: list[Section]) -> Table:
    """Which record each number came from, and what that record was made with."""
    runs = {run[1].key: run for s in sections for run in runs_of([*s.entrants, *s.floors])}
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
    return fill_table("provenance", columns, list(runs.values()), lambda run: run[1])


def commit(record: Record) -> str:
    """The code's commit in short, with uncommitted changes flagged."""
    if record.code.commit is None:
        return f"version {record.code.version}, commit unknown"
    return record.code.commit[:8] + (" (dirty)" if record.code.dirty else "")


def runs_of(rows: Sequence[Row]) -> list[Run]:
    return [(row, cell.record) for row in rows for cell in row.cells]


def _at(name: str, label: str, path: str, digits: int = 3) -> Column[Run]:
    """A column of values as they lie in the record."""
    return name, label, lambda run: read_entry(run[1], path, digits)


def _hash(name: str, label: str, path: str) -> Column[Run]:
    """A column of hashes: cut short for people, whole in CSV."""

    def entry(run: Run) -> Entry:
        value = value_at(run[1], path)
        return Entry(value[:8], value, source=Source((run[1],), path)) if value else Entry(MISSING)

    return name, label, entry


def _commit(run: Run) -> Entry:
    return Entry(commit(run[1]), run[1].code.commit, more={"dirty": run[1].code.dirty})


def _spent(name: str, label: str) -> Column[Run]:
    def entry(run: Run) -> Entry:
        spent, cap, used = value_at(run[1], f"spent.{name}"), allowed(run[1]), None
        if spent is None:
            return Entry(MISSING, more={"_allowed": cap.get(name), "_percent": None})
        used = used_percent(run[1], name)
        detail = "" if used is None else f"{used:.1f} % of {amount(cap[name])}"
        more = {"_allowed": cap.get(name), "_percent": used}
        return Entry(number(spent), spent, detail, more, source=Source((run[1],), f"spent.{name}"))

    return name, label, entry


def _verdict(run: Run) -> Entry:
    if failed(run[1]) or run[1].spent is None or run[1].budget is None:
        return value_entry(run[1].status if failed(run[1]) else None)
    missed = missed_budget(run[1])
    return Entry("missed" if missed else "OK", "missed" if missed else "OK", missed)


def _likelihood_detail(record: Record) -> Entry:
    detail = record.likelihood.detail if record.likelihood else {}
    shown = {
        k: number(v, 4) if isinstance(v, int | float) and not isinstance(v, bool) else v for k, v in detail.items()
    }
    return value_entry(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(shown.items())))


RUN: list[Column[Run]] = [
    ("entrant", "Entrant", lambda run: Entry(run[0].label, run[0].label)),
    ("seed", "Seed", lambda run: read_entry(run[1], "seed")),
]
