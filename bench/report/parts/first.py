"""The first screen: the verdict of each section, and of the first one samples of every entrant beside real images.

Where all settings make one ladder of budgets the largest comes first, as models of the others were trained for less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from equibench.quantities.metric import Metric, with_count
from equibench.quantities.text import number
from equibench.record import files
from equibench.record.schema import USUAL
from equibench.report.figures.images import images_of
from equibench.report.parts.part import PagePart, Whole
from equibench.report.sprites import sheet
from equibench.report.tables.headline import origin_of
from equibench.report.tables.table import Entry, Origin, stat_entry
from equibench.stats import Stat
from equibench.summary.floors import distances_at, real_distance
from equibench.summary.sections import FiledRecord, Row, Section
from equibench.summary.standing import setting_words
from equibench.summary.tiles import Bar
from equibench.summary.verdict import verdict
from equibench.summary.ways import SampledWay, metric_of_ways, other_ways, sides

IMAGES = 7  # a row; narrow screens show fewer
TALLEST, LARGEST = 490, 64  # pixels of all rows together, and of the side of an image that is enlarged
GAP = 6


@dataclass(frozen=True)
class StripRow:
    """Images of one entrant in one way of sampling, or real ones."""

    name: str  # empty where it is the entrant of the row before
    family: str
    way: str
    pictures: tuple[str, ...]  # data URIs of PNG in the images' own size
    distance: Entry


@dataclass(frozen=True)
class Strip:
    """Rows of images, and how large one is shown; `metric` is the name of their distance, empty where there is none."""

    rows: tuple[StripRow, ...]
    width: int
    height: int
    metric: str
    n_samples: int


def first(whole: Whole) -> PagePart:
    alone = len(whole.ladders) == 1 and len(whole.ladders[0].sections) == len(whole.sections)
    order = whole.detailed[::-1] if alone else whole.detailed
    verdicts = [(section, verdict(section)) for section in order]
    return PagePart({"verdicts": verdicts, "strip": strip(order[0]) if order else None, "bar_entry": bar_entry})


def bar_entry(bar: Bar) -> Entry:
    """The number of a bar, with where it came from."""
    stat = bar.row.stat(bar.path) if bar.row else None
    if bar.row is None or stat is None:
        return Entry(bar.text)
    return _mean(stat, origin_of(bar.row, bar.path), bar.text)


def _mean(stat: Stat, source: Origin, text: str = "") -> Entry:
    """The entry of a mean that stands without its spread."""
    return replace(stat_entry(stat, source), text=text or number(stat.mean))


def strip(section: Section) -> Strip | None:
    """None where no pictures lie beside the records. Raises UserError where arrays are not those of their record."""
    metric = metric_of_ways(section)
    loaded = [(row, files.read_arrays(row.cells[0].path, row.cells[0].record)) for row in section.ran]
    rows = [one for row, arrays in loaded for one in _rows(row, arrays, metric)]
    if not rows:
        return None
    real = next((images_of(row.cells[0], a, "real", 4) for row, a in loaded if "real" in a), None)
    if real is not None:
        rows.insert(0, StripRow("Real images", "", "test set", _pictures(real), _of_real_data(section, metric)))
    _, height, width = section.data.shape
    side = max(height, width)
    # by halves, so that the pixels of most images come out alike
    scale = min(2.0, (TALLEST / len(rows) - GAP) / side) if side <= LARGEST else LARGEST / side
    scale = max(1.0, int(2 * scale) / 2) if side <= LARGEST else scale
    measured = metric and any(row.distance.is_number for row in rows)
    name = with_count(metric.metric, metric.n_samples) if metric and measured else ""
    return Strip(tuple(rows), round(scale * width), round(scale * height), name, metric.n_samples if metric else 0)


def _rows(row: Row, arrays: Mapping[str, np.ndarray], metric: Metric | None) -> list[StripRow]:
    """The entrant's usual samples, then those of each other way that pictures were kept of."""
    cell = row.cells[0]
    if "samples" not in arrays:
        return []
    distances = {side.setting.label: _distance(side) for side in sides(row, metric)} if metric else {}
    family = row.first.family or ""
    usual = _pictures(images_of(cell, arrays, "samples", 4))
    found = [StripRow(row.name, family, setting_words(row), usual, distances.get(USUAL, Entry()))]
    found += [
        StripRow("", family, label, _pictures(images_of(cell, arrays, key, 4)), distances.get(label, Entry()))
        for label, key in _kept(cell, row, metric).items()
        if key in arrays
    ]
    return found


def _distance(side: SampledWay) -> Entry:
    return _mean(side.setting.distance, origin_of(side.row, side.path))


def _of_real_data(section: Section, metric: Metric | None) -> Entry:
    """The number of real training images, at as many images as there are samples."""
    found = real_distance(section, metric) if metric else None
    if metric is None or found is None:
        return Entry()
    records, paths = zip(*distances_at(section.references, metric), strict=True)
    source = Origin(records, paths[0], "mean" if len(records) > 1 else "value")
    return _mean(found, source)


def _kept(cell: FiledRecord, row: Row, metric: Metric | None) -> dict[str, str]:
    """Label and key of the pictures of the ways that the family is known by too; of records without any, of the other
    settings for which the network runs as often.
    """
    record = cell.record
    ways = {way.label: way.pictures for way in record.ways}
    if not ways and metric:
        labels = {side.setting.label for side in other_ways(row, metric)}
        ways = {point.label: point.pictures for point in record.sampler_points if point.label in labels}
    return {label: key for label, key in ways.items() if key}


def _pictures(images: np.ndarray) -> tuple[str, ...]:
    """uint8 [n, C, H, W] with 1 or 3 channels -> the first ones as PNG, pixel for pixel."""
    return tuple(sheet(image[None, None]).uri for image in images[:IMAGES])
