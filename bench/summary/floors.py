"""What entrants are held against that no one trained: the distance that real images have themselves."""

from __future__ import annotations

from collections.abc import Iterator

from equibench.quantities.metric import Metric, metric_of
from equibench.record.schema import Quality, Record
from equibench.stats import Stat, stat_of
from equibench.summary.sections import Row, Section


def real_distance(section: Section, metric: Metric) -> Stat | None:
    """The distance of real training images from the test images, as `metric` measures it: on as many images, as any
    distance depends on their number. A model as good as the data would have it, one that draws the training images
    too. None where it was not measured.
    """
    return stat_of([value for row in section.references for value in _values(row, metric)])


def floor_distance(row: Row, metric: Metric) -> Stat | None:
    """The same of one floor, over its seeds."""
    return stat_of(_values(row, metric))


def _values(row: Row, metric: Metric) -> list[float | None]:
    found = (quality for cell in row.cells for quality in _qualities(cell.record))
    return [quality.value for quality in found if metric_of(quality) == metric]


def _qualities(record: Record) -> Iterator[Quality]:
    """Of the floor's own number of images, then of those of other settings."""
    if record.quality:
        yield record.quality
    yield from (point.quality for point in record.real_data_at)
