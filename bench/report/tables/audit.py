"""Tables with a line a cell: bits per dimension, what was spent, where the time went, where each number came from."""

from __future__ import annotations

from equibench.quantities import glossary
from equibench.quantities.glossary import heading
from equibench.quantities.text import MISSING, amount, commit, join, number, slug
from equibench.record.budget import allowed, missed_budget, used_percent
from equibench.record.paths import value_at
from equibench.record.schema import WORK
from equibench.report.tables.cells import RUN, CellRow, at, hash_column, measured, runs_of
from equibench.report.tables.table import Column, Entry, Origin, Table, fill_table, read_entry, value_entry
from equibench.summary.sections import Section, failed

SPENT = ("params", "flops", "images", "updates", "train_sec")


def audit(section: Section) -> Table:
    """What the budget allowed and what was spent, in every unit, a line a cell."""
    columns: list[Column[CellRow]] = [*RUN, *map(_spent, SPENT)]
    columns += [measured("spent.compile_sec"), ("verdict", "Budget", _verdict)]
    return fill_table("audit", columns, runs_of(section.entrants), lambda run: run[1])


def clock(section: Section) -> Table:
    """Where the time went, a line a cell: seconds of each part, then their sum and the wall time."""
    runs = [run for run in runs_of([*section.entrants, *section.floors]) if run[1].clock]
    parts = sorted({part for _, record in runs for part in record.clock} - {"wall"})

    def seconds(part: str) -> Column[CellRow]:
        head = heading(f"clock.{part}", part.replace("_", " "))
        return f"{slug(part)}_sec", head, lambda run: read_entry(run[1], f"clock.{part}")

    return fill_table("clock", [*RUN, *(seconds(part) for part in (*parts, "wall"))], runs, lambda run: run[1])


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
    columns: list[Column[CellRow]] = [
        *RUN,
        at("status", "Status", "status"),
        at("suite", "Suite", "suite"),
        hash_column("key", "Record", "key"),
        hash_column("machine", "Machine", "machine.key"),
        ("commit", "Code", _commit),
        hash_column("data_sha256", "Data", "data.sha256"),
        hash_column("weights_sha256", "Weights", "weights_sha256"),
        at("created", "Made (UTC)", "created"),
    ]
    return fill_table("provenance", columns, list(runs.values()), lambda run: run[1])


def _commit(run: CellRow) -> Entry:
    return Entry(commit(run[1]), run[1].code.commit, more={"dirty": run[1].code.dirty})


def _spent(name: str) -> Column[CellRow]:
    def entry(run: CellRow) -> Entry:
        spent, cap, used = value_at(run[1], f"spent.{name}"), allowed(run[1]), None
        if spent is None:
            return Entry(MISSING, more={"_allowed": cap.get(name), "_percent": None})
        used = used_percent(run[1], name)
        detail = "" if used is None else f"{used:.1f} % of {amount(cap[name])}"
        more = {"_allowed": cap.get(name), "_percent": used}
        return Entry(number(spent), spent, detail, more, source=Origin((run[1],), f"spent.{name}"))

    return name, glossary.of(f"spent.{name}").in_raw_units, entry


def _verdict(run: CellRow) -> Entry:
    if failed(run[1]) or run[1].spent is None or run[1].budget is None:
        return value_entry(run[1].status if failed(run[1]) else None)
    missed = missed_budget(run[1])
    return Entry("missed" if missed else "OK", "missed" if missed else "OK", missed)
