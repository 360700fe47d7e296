"""What makes the distance of each entrant: images to look at, and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equibench.record import files as record_files
from equibench.record.anatomy import DistanceParts
from equibench.report.figures.images import images_of
from equibench.report.parts.part import PagePart, Whole
from equibench.report.sprites import Sprite, sprite
from equibench.report.tables.distance import share_entry
from equibench.report.tables.table import Entry
from equibench.summary.distance import (
    SHARES,
    ClassParts,
    class_sentences,
    classes,
    real_row,
    real_sentence,
    usual_shares,
)
from equibench.summary.sections import FiledRecord, Row, Section

COLUMNS, ROWS, WIDTH = 6, 2, 348  # of a grid of images, whole rows alone, and the pixels that it takes
MOST_CLASSES = 12  # of an entrant that the page shows: those that make most of the distance
OPEN = 6  # entrants that are shown unfolded
CAPTIONS = {
    "missed": "Test images that no sample comes near, the farthest first.",
    "farthest": "Samples farthest from every test image.",
    "neighbours": "Samples (top row, drawn by chance), and below each the nearest test images.",
    "real_neighbours": "Test images (top row, for all entrants the same), and below each the nearest samples.",
}


FOLDED = ("neighbours", "real_neighbours")  # pictures that stand behind a click


@dataclass(frozen=True)
class DistanceShown:
    """What a page shows of one entrant; pictures are of its first seed that has some."""

    row: Row
    sentences: list[str]
    # those that make most, in the data set's order, with their shares
    classes: list[tuple[ClassParts, list[Entry]]]
    beside_real: bool  # the second share of a class is that in the distance of real training images
    more_classes: int  # than those
    highest: float  # share that a bar of full length stands for
    shown: list[tuple[Sprite, str]]  # with captions
    folded: list[tuple[Sprite, str]]  # likewise, behind a click
    seed: int | None  # of the pictures
    nothing_missed: bool


def distance(whole: Whole) -> PagePart:
    """The part on what makes the distance: the entrants of every detailed section that have something to show."""
    found = [[one for row in section.ran if (one := _shown(row, section))] for section in whole.detailed]
    return PagePart(
        {
            "distances": found,
            "most_open": OPEN,
            "reached_by_real": [real_sentence(section) for section in whole.detailed],
        }
    )


def _shown(row: Row, section: Section) -> DistanceShown | None:
    found = classes(row)
    most = sorted(found, key=lambda one: -(one.of_distance or one.of_images).mean if one.of_images else 0.0)
    kept = {one.name for one in most[:MOST_CLASSES]}
    shown = [one for one in found if one.name in kept]
    parts = next((cell for cell in row.cells if cell.record.distance_parts), None)
    arrays = record_files.read_arrays(parts.path, parts.record) if parts else {}
    if parts is None or parts.record.distance_parts is None:
        return None
    sprites = _sprites(parts, parts.record.distance_parts, arrays)
    if not found and not sprites:
        return None
    real = real_row(section)
    shares = [stat.mean for one in shown for stat in (one.of_distance, one.of_images, one.of_samples) if stat]
    return DistanceShown(
        row=row,
        sentences=class_sentences(found, row.spoken, usual=usual_shares(section)),
        classes=[(one, _entries(row, real, one.name)) for one in shown],
        beside_real=real is not None,
        more_classes=len(found) - len(shown),
        highest=max(shares, default=1.0) or 1.0,
        shown=[(picture, CAPTIONS[field]) for field, picture in sprites.items() if field not in FOLDED],
        folded=[(picture, CAPTIONS[field]) for field, picture in sprites.items() if field in FOLDED],
        seed=parts.record.seed if sprites else None,
        nothing_missed=parts.record.distance_parts.missed is None,
    )


def _entries(row: Row, real: Row | None, name: str) -> list[Entry]:
    """The shares of one class; that of the distance stands beside the one in the distance of real images."""
    of_distance, *others = (share_entry(row, share, name) for share in SHARES)
    return [of_distance, *([share_entry(real, SHARES[0], name)] if real else []), *others]


def _sprites(cell: FiledRecord, parts: DistanceParts, arrays: Mapping[str, np.ndarray]) -> dict[str, Sprite]:
    """The pictures that are there, by their fields."""
    found: dict[str, Sprite] = {}
    for field in CAPTIONS:
        key = getattr(parts, field)
        if key is None or key not in arrays:
            continue
        if field in ("missed", "farthest"):
            images = images_of(cell, arrays, key, 4)
            found[field] = sprite(images, COLUMNS, ROWS, WIDTH)
        else:
            columns = images_of(cell, arrays, key, 5).swapaxes(0, 1)  # an image and those nearest to it in a column
            tall, wide = columns.shape[:2]
            found[field] = sprite(columns.reshape(-1, *columns.shape[2:]), wide, tall, WIDTH)
    return found
