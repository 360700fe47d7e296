"""What entrants are held against that no one trained: the distance that real images have themselves."""

from __future__ import annotations

from collections.abc import Iterator

from equibench.quantities.metric import Metric, metric_of
from equibench.record.schema import Quality, Record
from equibench.stats import Stat, stat_of
from equibench.summary.sections import Section


def real_distance(section: Section, metric: Metric) -> Stat | None:
    """The distance of real training images from the test images, as `metric` measures it: on as many images, as any
    distance depends on their number. A model as good as the data would have it, one that draws the training images
    too. None where it was not measured.
    """
    records = (cell.record for row in section.references for cell in row.cells)
    found = (quality for record in records for quality in _qualities(record) if metric_of(quality) == metric)
    return stat_of([quality.value for quality in found])


def _qualities(record: Record) -> Iterator[Quality]:
    """Of the floor's own number of images, then of those of other settings."""
    if record.quality:
        yield record.quality
    yield from (point.quality for point in record.real_data_at)
