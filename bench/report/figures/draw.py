"""The figures of a report by name, as functions of a section or of the frame that `equibench.load_results` gives.

In a notebook, after `%matplotlib inline`:

    frame = equibench.load_results("results/quick")
    figures.draw("bits-per-dim", frame)                             # all of it is one setting
    figures.draw("memory", frame.query("budget_amount == 7e12"))    # one of several

    figures.draw("scaling", frame)                                  # all budgets of a ladder

The names are those of `FIGURES`, each of one setting (the same data, budget and machine), and of `OF_LADDERS`, each of
settings that differ in the amount of their budget alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from equibench.errors import UserError, nearest
from equibench.quantities.text import join
from equibench.record import files as record_files
from equibench.report.figures import images as pictures
from equibench.report.figures.along import (
    along_training,
    by_flops,
    by_other_units,
    likelihood_along,
    recall_along,
)
from equibench.report.figures.bits import bits_per_dim
from equibench.report.figures.curves import curves, discriminator
from equibench.report.figures.images import images_of
from equibench.report.figures.layout import HALF, WIDE, Cut
from equibench.report.figures.memory import memory
from equibench.report.figures.scaling import scaling
from equibench.report.figures.speed import on_most_settings, quality_and_speed
from equibench.summary.ladders import Ladder, ladders
from equibench.summary.laws import FEWEST_BUDGETS
from equibench.summary.sections import Section
from equibench.summary.sort import load_cells, summarise

T = TypeVar("T")


def samples(section: Section) -> Figure | None:
    """Samples of each entrant's first seed under real images; None where no record has any."""
    loaded = [(row, record_files.read_arrays(row.cells[0].path, row.first)) for row in section.ran]
    panels = [
        (row.name, images_of(row.cells[0], arrays, "samples", 4)) for row, arrays in loaded if "samples" in arrays
    ]
    real: list[np.ndarray] = [images_of(r.cells[0], arrays, "real", 4) for r, arrays in loaded if "real" in arrays]
    panels = [("real test images", real[0]), *panels] if real and panels else panels
    return pictures.samples(panels) if panels else None


Drawn = tuple[Callable[[T], Figure | None], str]  # how it is drawn, for papers, and what it shows
Piece = tuple[Callable[..., Figure | None], Cut]  # of a figure of the page: (what it is of, cut), and its wide cut

FIGURES: dict[str, Drawn[Section]] = {
    "along-training": (
        along_training,
        "Distance to the test images, bits per dimension and recall of each entrant against what its training had "
        "spent: FLOPs, images and seconds.",
    ),
    "samples": (samples, "Real test images above those that each entrant generated."),
    "quality-and-speed": (
        quality_and_speed,
        "Distance to the test images against time and FLOPs per image, for each setting of each entrant's sampler.",
    ),
    "bits-per-dim": (bits_per_dim, "Bits per dimension of each entrant, and below them those of the floors."),
    "memory": (memory, "Peak memory of training and of sampling for each entrant, as bars."),
    "discriminator": (discriminator, "Accuracy of the GAN's discriminator against training FLOPs."),
    "curves": (curves, "Losses of each entrant against training FLOPs, one panel a loss."),
}

OF_LADDERS: dict[str, Drawn[Ladder]] = {
    "scaling": (scaling, "Distance and bits per dimension against training FLOPs, with the fitted laws as lines."),
}

IN_ORDER = tuple(FIGURES)  # on the page

ON_PAGE: dict[str, tuple[Piece, ...]] = {
    "along-training": (
        (by_flops, WIDE),
        (by_other_units, WIDE),
        (likelihood_along, WIDE),
        (recall_along, WIDE),
    ),
    "quality-and-speed": ((on_most_settings, WIDE),),
    "bits-per-dim": ((bits_per_dim, HALF),),
    "memory": ((memory, HALF),),
    "discriminator": ((discriminator, HALF),),
    "curves": ((curves, WIDE),),
    "scaling": ((scaling, WIDE),),
}

# the table of a figure's numbers
TABLES = {
    "along-training": "along",
    "quality-and-speed": "samplers",
    "bits-per-dim": "likelihood",
    "memory": "memory",
    "scaling": "scaling_points",
}


def draw(name: str, results: pd.DataFrame | str | Path) -> Figure:
    """The figure of that name, of a frame of `equibench.load_results` (or rows of it), or of a folder of records.

    Raises UserError for an unknown name, for rows of several settings (or ladders), and where the records have nothing
    to draw.
    """
    if name not in FIGURES and name not in OF_LADDERS:
        raise UserError(f"no figure {name!r}{nearest(name, [*FIGURES, *OF_LADDERS])}")
    paths = [Path(path) for path in results["path"]] if isinstance(results, pd.DataFrame) else [Path(results)]
    sections = summarise(load_cells(paths))
    if name in OF_LADDERS:
        return _of_ladder(name, ladders(sections))
    if len(sections) > 1:
        amounts = join(
            dict.fromkeys(f"{s.data.name}, {s.budget.amount:g}" if s.budget else s.data.name for s in sections)
        )
        raise UserError(
            f"a figure shows one setting, and these are {len(sections)} ({amounts}); keep the rows of one, by the "
            "columns data_sha256, budget_amount, budget_params, machine_key and run"
        )
    figure = FIGURES[name][0](sections[0])
    if figure is None:
        raise UserError(f"these records have nothing for the figure {name!r}")
    return figure


def _of_ladder(name: str, found: list[Ladder]) -> Figure:
    if len(found) > 1:
        raise UserError(
            f"a figure shows one ladder of budgets, and these are {len(found)}; keep the rows of one, by the columns "
            "data_sha256, budget_params, machine_key and run"
        )
    figure = OF_LADDERS[name][0](found[0]) if found else None
    if figure is None:
        raise UserError(
            f"these records have nothing for the figure {name!r}: it takes {FEWEST_BUDGETS} budgets in FLOPs that "
            "differ in nothing else"
        )
    return figure
