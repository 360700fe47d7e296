"""The table on sample quality: every metric with its error, a line a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from equibench.quantities.glossary import heading
from equibench.quantities.metric import metric_names, metric_of
from equibench.quantities.text import MISSING, number, settings
from equibench.record.schema import USUAL, Interval, Quality, SampleMetric
from equibench.report.tables.cells import RUN, CellRow, marked_if_busy, measured, runs_of
from equibench.report.tables.headline import name_entry, origin_of
from equibench.report.tables.table import Column, Entry, Notes, Origin, Table, fill_table, stat_entry, value_entry
from equibench.stats import Stat
from equibench.summary.sections import SPEED_FIELDS, Row, SamplerSetting, Section, flops_per_image, sec_per_image


def quality(section: Section) -> Table:
    """All sample metrics, a line a cell. The errors are of evaluation: of other samples of the same trained model."""
    notes = Notes()
    runs = [run for run in runs_of([*section.ran, *section.references]) if run[1].quality]
    names = list(dict.fromkeys(one.name for _, record in runs if record.quality for one in record.quality.also))
    columns: list[Column[CellRow]] = [
        *RUN,
        ("metric", "Distance", lambda run: _metric(run[1].quality)),
        ("distance", heading("quality.value", "at this N"), lambda run: _distance(run, "value", notes)),
        measured("quality.stderr", 2),
        (
            "corrected",
            heading("quality.corrected", "without bias of the samples' N"),
            lambda run: _distance(run, "corrected", notes),
        ),
        *(_also(name, notes) for name in names),
        ("nearer_train", heading("quality.memorization.share_nearer_train"), _memorization),
    ]
    return fill_table("quality", columns, runs, lambda run: run[1], notes)


def _quality(run: CellRow) -> Quality:
    assert run[1].quality is not None
    return run[1].quality


def _metric(quality: Quality | None) -> Entry:
    metric = metric_of(quality) if quality else None
    return value_entry(metric_names([metric])[metric] if metric else None)


def _between(interval: Interval | None) -> tuple[str, dict[str, float | str | None]]:
    if interval is None:
        return "", {"_low": None, "_high": None, "_method": None}
    text = f"{number(interval.low, 4)} to {number(interval.high, 4)}"
    return text, {"_low": interval.low, "_high": interval.high, "_method": interval.method}


def _distance(run: CellRow, name: Literal["value", "corrected"], notes: Notes) -> Entry:
    quality = _quality(run)
    value = getattr(quality, name)
    if value is None:
        return notes.missing(quality.reason or "Not measured.")
    text, more = _between(quality.interval if name == "value" else quality.corrected_interval)
    return Entry(number(value, 4), value, text, more, source=Origin((run[1],), f"quality.{name}"), digits=4)


def _also(name: str, notes: Notes) -> Column[CellRow]:
    def entry(run: CellRow) -> Entry:
        one: SampleMetric | None = next((one for one in _quality(run).also if one.name == name), None)
        if one is None:
            return Entry(MISSING)
        if one.value is None:
            return notes.missing(one.reason or "Not measured.")
        error = "" if one.stderr is None else f"± {number(one.stderr, 2)}"
        source = Origin((run[1],), f"quality.also.{name}.value")
        return Entry(number(one.value, 3), one.value, error, {"_stderr": one.stderr}, source=source)

    column = name.replace(" ", "_").lower()
    return column, heading(f"quality.also.{name}"), entry


def _memorization(run: CellRow) -> Entry:
    test = _quality(run).memorization
    if test is None:
        return Entry(MISSING)
    error = f"± {number(test.stderr, 2)}, p = {number(test.p, 2)}"
    more = {"_stderr": test.stderr, "_p": test.p, "_images": test.n_train}
    source = Origin((run[1],), "quality.memorization.share_nearer_train")
    return Entry(number(test.share_nearer_train, 3), test.share_nearer_train, error, more, source=source)


def samplers(section: Section) -> Table:
    """Every setting of every sampler that was measured."""
    notes = Notes()

    def speed(name: str) -> Column[tuple[Row, SamplerSetting]]:
        def entry(item: tuple[Row, SamplerSetting]) -> Entry:
            stat: Stat | None = getattr(item[1], name)
            if stat is None:
                return notes.missing("Speed was not measured with these options.")
            digits = 1 if name == "network_evaluations" else 3
            row, setting = item
            path = setting.path(name)
            entry = stat_entry(stat, origin_of(row, path), digits=digits)
            block = f"speed, {setting.label}" if setting.point and setting.label != USUAL else "speed"
            return marked_if_busy(entry, row.having(path), block, notes) if name == "images_per_sec" else entry

        return name, heading(f"sampler_points.*.{name}"), entry

    def front(
        name: str, label: str, cost: Callable[[SamplerSetting], float | None]
    ) -> Column[tuple[Row, SamplerSetting]]:
        swept = section.sweep_metrics
        best = [found for metric in swept for found in section.front(metric, cost)]

        def entry(item: tuple[Row, SamplerSetting]) -> Entry:
            if item[1].metric not in swept or cost(item[1]) is None:
                return value_entry(None)
            return Entry("yes" if item in best else "no", item in best)

        return name, label, entry

    names = metric_names(section.knob_metrics)
    columns: list[Column[tuple[Row, SamplerSetting]]] = [
        ("entrant", "Entrant", lambda item: name_entry(item[0])),
        ("setting", "Setting", lambda item: value_entry(item[1].label)),
        ("options", "Options", lambda item: value_entry(settings(item[1].options))),
        ("metric", "Metric", lambda item: value_entry(names[item[1].metric])),
        ("distance", heading("sampler_points.*.quality.value"), _setting_distance),
        *map(speed, SPEED_FIELDS),
        front("front_by_time", "On the front by time", sec_per_image),
        front("front_by_flops", "by FLOPs", flops_per_image),
    ]
    items = [(row, setting) for row in section.ran for setting in row.settings()]
    return fill_table("samplers", columns, items, lambda item: item[0].first, notes)


def _setting_distance(item: tuple[Row, SamplerSetting]) -> Entry:
    row, setting = item
    return stat_entry(setting.distance, origin_of(row, setting.path("distance")), digits=4)
