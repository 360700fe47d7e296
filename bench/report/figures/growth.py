"""Samples to look at: from one set of noise at each point of a training, and of each setting at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equibench.quantities.text import number
from equibench.record import files as record_files
from equibench.record.schema import TrainingPoint
from equibench.report.figures.images import images_of
from equibench.report.sprites import Sprite, sprite
from equibench.summary.along import labels, metrics
from equibench.summary.sections import Row, Section

MOST_POINTS = 6  # that fit beside the figure
MOST_WIDTH = 90  # of one point
POINTS_WIDTH, BAND_WIDTH = 440, 700  # pixels of a page: of all points of a training, of a band
BAND = 348  # native pixels of a band of samples: those of a phone


@dataclass(frozen=True)
class PointSamples:
    """Samples at a point of a training, and the distance there: mean over seeds; `lowest` of all entrants'."""

    sprite: Sprite
    distance: str
    lowest: bool


@dataclass(frozen=True)
class Growth:
    """A row an entrant: its name, its family, and a cell a point; None where a point has no pictures."""

    points: list[str]
    rows: list[tuple[str, str | None, list[PointSamples | None]]]

    @property
    def measured(self) -> bool:
        """Whether any distance is known."""
        return any(one.distance for _, _, cells in self.rows for one in cells if one)


@dataclass(frozen=True)
class Band:
    """Samples of one setting, or real images."""

    name: str
    family: str | None
    setting: str
    sprite: Sprite


def growth(section: Section) -> Growth | None:
    """None where no arrays lie beside the records, or they hold no such pictures."""
    points = _points(section)
    distances = {(row.name, point): _distance(section, row, point) for row in section.ran for point in points}
    ranked = {row.name for row in section.rankable}
    lowest: dict[str, float] = {}
    for (name, point), value in distances.items():
        if value is not None and name in ranked:
            lowest[point] = min(value, lowest.get(point, value))
    rows = []
    for row in section.ran:
        arrays = record_files.read_arrays(row.cells[0].path, row.first)
        cells: list[PointSamples | None] = []
        for point in points:
            images = _pictures(row, point, arrays, POINTS_WIDTH // len(points))
            here = distances[row.name, point]
            best = here is not None and row.name in ranked and here == lowest.get(point)
            cells.append(PointSamples(images, "" if here is None else number(here), best) if images else None)
        if any(cells):
            rows.append((row.name, row.first.family, cells))
    return Growth(points, rows) if rows else None


def bands(section: Section) -> list[Band]:
    """Real images, then each entrant's samples, first seed, and those of the other ways that it is known by."""
    found: list[Band] = []
    real: list[Band] = []
    for row in section.ran:
        cell, record = row.cells[0], row.first
        arrays = record_files.read_arrays(cell.path, record)
        if "real" in arrays and not real:
            real = [Band("Real images", None, "test set", _band(images_of(cell, arrays, "real", 4)))]
        keys = [("", "samples"), *((way.label, way.pictures) for way in record.ways)]
        found += [
            Band(row.name, record.family, setting, _band(images_of(cell, arrays, key, 4)))
            for setting, key in keys
            if key and key in arrays
        ]
    return [*real, *found] if found else []


def _band(images: np.ndarray) -> Sprite:
    return sprite(images, max(1, BAND // (images.shape[-1] + 1)), 2, BAND_WIDTH)


def _points(section: Section) -> list[str]:
    """The points of the trainings, in order; of many some, the last among them."""
    shares = {point.label: point.share for row in section.ran for c in row.cells for point in c.record.along}
    found = sorted(shares, key=shares.__getitem__)
    if len(found) <= MOST_POINTS:
        return found
    chosen = np.linspace(0, len(found) - 1, MOST_POINTS).round().astype(int)
    return [found[i] for i in chosen]


def _distance(section: Section, row: Row, point: str) -> float | None:
    """Where all trainings have one metric: of several none is the lowest."""
    if len(metrics(section)) != 1 or point not in labels(row):
        return None
    stat = row.stat(f"along.{point}.quality.value")
    return stat.mean if stat else None


def _pictures(row: Row, point: str, arrays: Mapping[str, np.ndarray], width: int) -> Sprite | None:
    found: TrainingPoint | None = next((one for one in row.first.along if one.label == point), None)
    if found is None or not found.pictures or found.pictures not in arrays:
        return None
    images = images_of(row.cells[0], arrays, found.pictures, 4)
    side = 2 if 2 * images.shape[-1] < width else 1
    return sprite(images, side, side, min(width, MOST_WIDTH))
