"""What entrants are held against that no one trained: the distance that real images have themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from equibench.quantities.metric import Metric, metric_of
from equibench.record.paths import member_names, value_at
from equibench.record.schema import Quality, Record
from equibench.stats import Stat, stat_of
from equibench.summary.sections import Row, Section


def real_distance(section: Section, metric: Metric) -> Stat | None:
    """The distance of real training images from the test images, as `metric` measures it: on as many images, as any
    distance depends on their number. A model as good as the data would have it, one that draws the training images
    too. None where it was not measured.
    """
    return stat_of([value_at(record, path) for record, path in distances_at(section.references, metric)])


def floor_distance(row: Row, metric: Metric) -> Stat | None:
    """The same of one floor, over its seeds."""
    return stat_of([value_at(record, path) for record, path in distances_at([row], metric)])


def distances_at(floors: Iterable[Row], metric: Metric) -> list[tuple[Record, str]]:
    """The records of floors that have this metric, and where: of the floor's own number of images, or of that of other
    settings.
    """
    return [
        (cell.record, f"{place}.value")
        for row in floors
        for cell in row.cells
        for place, quality in _qualities(cell.record)
        if metric_of(quality) == metric
    ]


def _qualities(record: Record) -> Iterator[tuple[str, Quality]]:
    if record.quality:
        yield "quality", record.quality
    names = member_names(record.real_data_at)
    yield from (
        (f"real_data_at.{name}.quality", one.quality) for name, one in zip(names, record.real_data_at, strict=True)
    )
