"""Tables on cost, a line a cell and way to run it: sampling speed, training's use of the machine, memory."""

from __future__ import annotations

from functools import partial

from bench.formatting import MISSING, number
from bench.layout import Column, Entry, Notes, Table, fill_table, value_entry
from bench.per_cell import RUN, Run, runs_of
from bench.record import Energy, Memory, ModeSpeed, Record, Speed, SpeedPoint
from bench.sections import Section

MIB = 2**20
PARTS = {"data": "Data", "update": "Update", "measurement": "Measurement", "writing": "Writing", "other": "Other"}
NOT_MEASURED = "not measured"

Way = tuple[Run, Speed, SpeedPoint | ModeSpeed]


def speed(section: Section) -> Table:
    """Throughput of every batch size and mode; latency, of single images, beside the mode it was measured in."""
    notes = Notes()
    ways: list[Way] = []
    for run in runs_of(section.ran):
        if found := run[1].speed:
            ways += [(run, found, way) for way in found.sweep or [_headline(found)]]
            ways += [(run, found, way) for way in found.other_modes]

    def of_run(column: Column[Run]) -> Column[Way]:
        name, label, entry = column
        return name, label, lambda way: entry(way[0])

    columns: list[Column[Way]] = [
        *(of_run(column) for column in RUN),
        ("mode", "Mode", lambda way: value_entry(getattr(way[2], "mode", way[1].mode))),
        ("batch_size", "Batch size", lambda way: value_entry(way[2].batch_size)),
        ("images_per_sec", "Sampling, images/s ↑", lambda way: _throughput(way, notes)),
        ("latency_p50_sec", "Latency p50, ms ↓", lambda way: _latency(way, "latency_p50_sec")),
        ("latency_p90_sec", "Latency p90, ms ↓", lambda way: _latency(way, "latency_p90_sec")),
        ("latency_repeats", "Repeats of it", lambda way: _latency_repeats(way)),
        ("compile_sec", "Compiling or capturing, s", lambda way: value_entry(getattr(way[2], "compile_sec", None))),
        ("joules_per_image", "Energy, J/image ↓", lambda way: _joules_per_image(way, notes)),
    ]
    return fill_table("speed", columns, ways, lambda way: way[0][1], notes)


def training(section: Section) -> Table:
    """Training: rates, their share of the machine's matrix-product rate, and where its time went."""
    notes = Notes()
    runs = [run for run in runs_of(section.entrants) if run[1].spent]
    columns: list[Column[Run]] = [
        *RUN,
        ("batch_size", "Batch size", lambda run: value_entry(run[1].config.get("batch_size"))),
        ("images_per_sec", "Images/s ↑", lambda run: _per_sec(run[1], "images")),
        ("flops_per_sec", "FLOP/s ↑", lambda run: _per_sec(run[1], "flops")),
        ("matrix_flops_per_sec", "Matrix products, FLOP/s", lambda run: _matrix_rate(run[1], notes)),
        ("utilization", "Model FLOPs utilisation, % ↑", lambda run: _utilization(run[1])),
        *((f"{part}_share", f"{label}, % of time", partial(_share, part=part)) for part, label in PARTS.items()),
        ("joules", "Energy, J ↓", lambda run: _joules(_train_energy(run[1]), notes)),
        ("joules_per_image", "Energy, J/image ↓", lambda run: _per_image(_train_energy(run[1]), notes)),
    ]
    return fill_table("training", columns, runs, lambda run: run[1], notes)


def memory(section: Section) -> Table:
    """Peaks with what they are peaks of; what the allocator reserved beside what was allocated, on a GPU."""
    runs = [run for run in runs_of(section.ran) if run[1].memory]

    def size(name: str, label: str) -> Column[Run]:
        def entry(run: Run) -> Entry:
            found: int | None = getattr(run[1].memory, name)
            return Entry(MISSING) if found is None else Entry(number(found / MIB), found)

        return name, label, entry

    def field(name: str, label: str) -> Column[Run]:
        return name, label, lambda run: value_entry(getattr(run[1].memory, name))

    columns: list[Column[Run]] = [*RUN, field("quantity", "Quantity of the peaks")]
    for part, label in (("train", "Training"), ("sample", "Sampling")):
        columns += [
            field(f"{part}_batch_size", f"{label}, batch size"),
            size(f"{part}_peak_bytes", f"{label}, peak, MiB ↓"),
        ]
        if any(_reserved(run[1].memory, part) is not None for run in runs):
            columns.append(size(f"{part}_reserved_bytes", f"{label}, peak reserved on the GPU, MiB ↓"))
    return fill_table("memory", columns, runs, lambda run: run[1])


def utilization(record: Record) -> float | None:
    """Training's FLOP/s over those of the fastest matrix product; None where either is unknown."""
    spent, products = record.spent, record.matrix_products
    if spent is None or products is None or not spent.train_sec:
        return None
    return spent.flops / spent.train_sec / max(products.flops_per_sec.values())


def training_shares(record: Record) -> dict[str, float]:
    """Shares of the wall time of training, writing the checkpoint included; they sum to 1. Empty where unknown."""
    if record.spent is None or not record.spent.parts_sec:
        return {}
    parts = {**record.spent.parts_sec, "writing": record.clock.get("write", 0.0)}
    return {part: sec / sum(parts.values()) for part, sec in parts.items()}


def _headline(speed: Speed) -> SpeedPoint:
    """The one batch size of a record that knows no other."""
    return SpeedPoint(batch_size=speed.batch_size, repeats_sec=speed.repeats_sec, images_per_sec=speed.images_per_sec)


def _train_energy(record: Record) -> Energy | None:
    return record.spent.energy if record.spent else None


def _throughput(way: Way, notes: Notes) -> Entry:
    _, speed, point = way
    if point.images_per_sec is None:
        return notes.missing(_sentence(point.reason or NOT_MEASURED))
    best = isinstance(point, SpeedPoint) and point.batch_size == speed.batch_size
    detail = f"{len(point.repeats_sec)} repeats" + (", best of the sweep" if best and speed.sweep else "")
    return Entry(number(point.images_per_sec), point.images_per_sec, detail, {"best": best}, strong=best)


def _timed(way: Way) -> Speed | ModeSpeed | None:
    """What holds the latency of this line: each mode's is shown once."""
    _, speed, point = way
    if isinstance(point, ModeSpeed):
        return point
    return speed if point.batch_size == speed.batch_size else None


def _latency(way: Way, name: str) -> Entry:
    found = _timed(way)
    sec: float | None = getattr(found, name) if found else None
    return Entry(MISSING) if sec is None else Entry(number(sec * 1e3), sec)


def _latency_repeats(way: Way) -> Entry:
    found = _timed(way)
    return value_entry(len(found.latency_repeats_sec) or None if found else None)


def _joules_per_image(way: Way, notes: Notes) -> Entry:
    _, speed, point = way
    if isinstance(point, ModeSpeed) or point.batch_size != speed.batch_size:
        return Entry(MISSING)
    return _per_image(speed.energy, notes)


def _per_image(energy: Energy | None, notes: Notes) -> Entry:
    if energy is None or energy.joules is None or not energy.images:
        return _joules(energy, notes)
    return Entry(number(energy.joules / energy.images), energy.joules / energy.images, energy.quantity or "")


def _joules(energy: Energy | None, notes: Notes) -> Entry:
    if energy is None or energy.joules is None:
        reason = (energy and energy.reason) or "this record is older than the measurement"
        return notes.missing(_sentence(reason), NOT_MEASURED)
    return Entry(number(energy.joules), energy.joules, energy.quantity or "")


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:].rstrip('.')}."


def _per_sec(record: Record, name: str) -> Entry:
    spent = record.spent
    return value_entry(getattr(spent, name) / spent.train_sec if spent and spent.train_sec else None)


def _matrix_rate(record: Record, notes: Notes) -> Entry:
    if record.matrix_products is None:
        return notes.missing("Not measured in the run that trained.", NOT_MEASURED)
    rates = record.matrix_products.flops_per_sec
    side = max(rates, key=rates.__getitem__)
    return Entry(number(rates[side]), rates[side], f"{record.matrix_products.precision}, side {side}", {"_side": side})


def _utilization(record: Record) -> Entry:
    share = utilization(record)
    return Entry(MISSING) if share is None else Entry(number(100 * share), share)


def _share(run: Run, part: str) -> Entry:
    share = training_shares(run[1]).get(part)
    return Entry(MISSING) if share is None else Entry(number(100 * share), share)


def _reserved(memory: Memory | None, part: str) -> int | None:
    found: int | None = getattr(memory, f"{part}_reserved_bytes")
    return found
