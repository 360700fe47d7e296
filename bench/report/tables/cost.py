"""Tables on cost, a line a cell and way to run it: sampling speed, training's use of the machine, memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from equibench.quantities.glossary import heading, of
from equibench.quantities.text import MISSING, number, tuning_words
from equibench.record.cost import Energy, ModeSpeed, Speed, SpeedPoint
from equibench.record.paths import member_name, value_at
from equibench.record.schema import Record
from equibench.report.tables.cells import RUN, CellRow, at, marked_if_busy, measured, runs_of
from equibench.report.tables.table import Column, Entry, Notes, Origin, Table, fill_table, read_entry, value_entry
from equibench.summary.sections import Section, training_shares, utilization

PARTS = {"data": "Data", "update": "Update", "measurement": "Measurement", "writing": "Writing", "other": "Other"}
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Way:
    """One way to run a sampler, and where it lies in the record."""

    run: CellRow
    speed: Speed
    point: SpeedPoint | ModeSpeed
    path: str

    @property
    def eager_best(self) -> bool:
        return isinstance(self.point, SpeedPoint) and self.point.batch_size == self.speed.batch_size

    @property
    def timed(self) -> str | None:
        """Path of what holds the latency of this line: each mode's is shown once."""
        return self.path if isinstance(self.point, ModeSpeed) else "speed" if self.eager_best else None

    def block(self, eager: str) -> str:
        """The name of the record's timed block that the line was measured in."""
        return "other modes" if isinstance(self.point, ModeSpeed) else eager

    def read(self, path: str) -> Entry:
        return read_entry(self.run[1], path)


def speed(section: Section) -> Table:
    """Throughput of every batch size and mode; latency, of single images, beside the mode it was measured in."""
    notes = Notes()
    ways: list[Way] = []
    for run in runs_of(section.ran):
        if found := run[1].speed:
            sweep = [(point, f"speed.sweep.{member_name(point)}") for point in found.sweep]
            modes = [(mode, f"speed.other_modes.{member_name(mode)}") for mode in found.other_modes]
            ways += [Way(run, found, point, path) for point, path in sweep or [(_headline(found), "speed")]]
            ways += [Way(run, found, mode, path) for mode, path in modes]

    def of_run(column: Column[CellRow]) -> Column[Way]:
        name, label, entry = column
        return name, label, lambda way: entry(way.run)

    columns: list[Column[Way]] = [
        *(of_run(column) for column in RUN),
        ("mode", "Mode", lambda way: value_entry(getattr(way.point, "mode", way.speed.mode))),
        ("batch_size", heading("speed.batch_size"), lambda way: way.read(f"{way.path}.batch_size")),
        ("images_per_sec", heading("speed.images_per_sec"), lambda way: _throughput(way, notes)),
        ("latency_p50_sec", heading("speed.latency_p50_sec"), lambda way: _latency(way, "latency_p50_sec", notes)),
        ("latency_p90_sec", heading("speed.latency_p90_sec"), lambda way: _latency(way, "latency_p90_sec", notes)),
        ("latency_repeats", "Repeats of it", _latency_repeats),
        ("compile_sec", heading("speed.other_modes.*.compile_sec"), _compile_sec),
        ("joules_per_image", heading("energy.joules_per_image"), lambda way: _joules_per_image(way, notes)),
    ]
    return fill_table("speed", columns, ways, lambda way: way.run[1], notes)


def training(section: Section) -> Table:
    """Training: rates, their share of the machine's matrix-product rate, and where its time went."""
    notes = Notes()
    runs = [run for run in runs_of(section.entrants) if run[1].spent]
    columns: list[Column[CellRow]] = [
        *RUN,
        measured("config.batch_size"),
        ("images_per_sec", heading("training.images_per_sec"), lambda run: _per_sec(run, "images", notes)),
        ("flops_per_sec", heading("training.flops_per_sec"), lambda run: _per_sec(run, "flops", notes)),
        (
            "matrix_flops_per_sec",
            heading("matrix_products.flops_per_sec.*"),
            lambda run: _matrix_rate(run[1], notes),
        ),
        ("utilization", heading("training.utilization"), lambda run: _utilization(run, notes)),
        *(
            (f"{part}_share", heading("training.share.*", label), partial(_share, part=part))
            for part, label in PARTS.items()
        ),
        ("joules", heading("spent.energy.joules"), lambda run: _joules(run[1], "spent.energy", notes)),
        (
            "joules_per_image",
            heading("energy.joules_per_image"),
            lambda run: _per_image(run[1], "spent.energy", notes),
        ),
        ("tuning", "Tuning, in trainings", _tuning),
    ]
    return fill_table("training", columns, runs, lambda run: run[1], notes)


def memory(section: Section) -> Table:
    """Peaks with what they are peaks of; beside them what the allocator of a GPU reserved, or the process took."""
    runs = [run for run in runs_of(section.ran) if run[1].memory]

    columns: list[Column[CellRow]] = [*RUN, at("quantity", "Quantity of the peaks", "memory.quantity")]
    for part, label in (("train", "Training"), ("sample", "Sampling")):
        columns += [
            measured(f"memory.{part}_batch_size"),
            measured(f"memory.{part}_peak_bytes", label=f"{label}, peak"),
        ]
        for beside, what in (("reserved", "reserved on the GPU"), ("resident", "resident in the process")):
            if any(value_at(run[1], f"memory.{part}_{beside}_bytes") is not None for run in runs):
                columns.append(measured(f"memory.{part}_{beside}_bytes", label=f"{label}, peak {what}"))
    return fill_table("memory", columns, runs, lambda run: run[1])


def _headline(speed: Speed) -> SpeedPoint:
    """The one batch size of a record that knows no other."""
    return SpeedPoint(batch_size=speed.batch_size, repeats_sec=speed.repeats_sec, images_per_sec=speed.images_per_sec)


def _throughput(way: Way, notes: Notes) -> Entry:
    found = way.point.images_per_sec
    if found is None:
        return notes.missing(_sentence(way.point.reason or NOT_MEASURED))
    best = way.eager_best
    detail = f"{len(way.point.repeats_sec)} repeats" + (", best of the sweep" if best and way.speed.sweep else "")
    source = Origin((way.run[1],), f"{way.path}.images_per_sec")
    entry = Entry(number(found), found, detail, {"best": best}, strong=best, source=source)
    return marked_if_busy(entry, [way.run[1]], way.block("speed"), notes, way.run[0])


def _latency(way: Way, name: str, notes: Notes) -> Entry:
    record = way.run[1]
    if way.timed is None or (sec := value_at(record, f"{way.timed}.{name}")) is None:
        return Entry(MISSING)
    source = Origin((record,), f"{way.timed}.{name}")
    scale = of("speed.latency_p50_sec").scale
    entry = Entry(number(sec / scale), sec, source=source, scale=scale)
    return marked_if_busy(entry, [record], way.block("latency"), notes, way.run[0])


def _latency_repeats(way: Way) -> Entry:
    path = f"{way.timed}.latency_repeats_sec"
    repeats = value_at(way.run[1], path) if way.timed else None
    return value_entry(len(repeats), source=Origin((way.run[1],), path, "length")) if repeats else Entry(MISSING)


def _compile_sec(way: Way) -> Entry:
    return way.read(f"{way.path}.compile_sec") if isinstance(way.point, ModeSpeed) else Entry(MISSING)


def _joules_per_image(way: Way, notes: Notes) -> Entry:
    return _per_image(way.run[1], "speed.energy", notes) if way.eager_best else Entry(MISSING)


def _per_image(record: Record, path: str, notes: Notes) -> Entry:
    energy: Energy | None = value_at(record, path)
    if energy is None or energy.joules is None or not energy.images:
        return _joules(record, path, notes)
    each = energy.joules / energy.images
    source = Origin((record,), f"{path}.joules", "ratio", over=f"{path}.images")
    return Entry(number(each), each, energy.quantity or "", source=source)


def _joules(record: Record, path: str, notes: Notes) -> Entry:
    energy: Energy | None = value_at(record, path)
    if energy is None or energy.joules is None:
        reason = (energy and energy.reason) or "this record is older than the measurement"
        return notes.missing(_sentence(reason), NOT_MEASURED)
    return Entry(
        number(energy.joules), energy.joules, energy.quantity or "", source=Origin((record,), f"{path}.joules")
    )


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:].rstrip('.')}."


def _per_sec(run: CellRow, name: str, notes: Notes) -> Entry:
    row, record = run
    spent = record.spent
    if spent is None or not spent.train_sec:
        return Entry(MISSING)
    source = Origin((record,), f"spent.{name}", "ratio", over="spent.train_sec")
    entry = value_entry(getattr(spent, name) / spent.train_sec, source=source)
    return marked_if_busy(entry, [record], "train", notes, row)


def _matrix_rate(record: Record, notes: Notes) -> Entry:
    if record.matrix_products is None:
        return notes.missing("Not measured in the run that trained.", NOT_MEASURED)
    rates = record.matrix_products.flops_per_sec
    side = max(rates, key=rates.__getitem__)
    source = Origin((record,), f"matrix_products.flops_per_sec.{side}")
    detail = f"{record.matrix_products.precision}, side {side}"
    return Entry(number(rates[side]), rates[side], detail, {"_side": side}, source=source)


def _utilization(run: CellRow, notes: Notes) -> Entry:
    row, record = run
    share = utilization(record)
    if share is None:
        return Entry(MISSING)
    source = Origin((record,), "spent.flops", "utilisation", over="spent.train_sec")
    return marked_if_busy(Entry(number(100 * share), share, source=source, scale=0.01), [record], "train", notes, row)


def _share(run: CellRow, part: str) -> Entry:
    share = training_shares(run[1]).get(part)
    path = "clock.write" if part == "writing" else f"spent.parts_sec.{part}"
    source = Origin((run[1],), path, "share of the parts")
    return Entry(MISSING) if share is None else Entry(number(100 * share), share, source=source, scale=0.01)


def _tuning(run: CellRow) -> Entry:
    """What was spent to choose the entrant's settings, as a multiple of what its training took."""
    record = run[1]
    words, tuning = tuning_words(record.tuning), record.tuning
    if tuning is None or tuning.flops is None or not record.spent or not record.spent.flops:
        return value_entry(words)
    many = tuning.flops / record.spent.flops
    source = Origin((record,), "tuning.flops", "ratio", over="spent.flops")
    return Entry(number(many), many, words, source=source)
