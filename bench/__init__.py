"""equibench: image generative models of four families compared under equal budgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from equibench.errors import UserError
from equibench.protocol import PROTOCOL, __version__

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PROTOCOL", "UserError", "__version__", "draw", "load_results"]


def load_results(*paths: str | Path) -> pd.DataFrame:
    """The records in folders or files as a pandas DataFrame, one row a cell; `draw` draws it.

    Columns: `path` of the record's file, its name as `file`, `run` (the folder, where several hold the same cells),
    then the record's fields, e.g. `quality_value`, `likelihood_bits_per_dim`, `likelihood_kind`,
    `speed_images_per_sec`, `spent_train_sec`: raw, in the SI unit of the name, missing where not measured. All are
    listed by `equibench.summary.frame.COLUMNS` and described in `equibench.record.schema`. A distance is comparable
    only where `quality_metric`, `quality_n_samples`, `quality_features_name` and `data_sha256` are equal, a speed only
    where `machine_key` is.

    Raises UserError where there are no records, or records of two protocols.
    """
    from equibench.summary import frame, sort

    return frame.load_frame(sort.load_cells([Path(path) for path in paths]), with_path=True)


def draw(name: str, results: pd.DataFrame | str | Path) -> Figure:
    """The figure of that name ("samples", "quality-and-speed", "bits-per-dim", "memory", "curves" or "discriminator"),
    of a frame of `load_results` (or rows of it), or of a folder of records.

    Raises UserError for an unknown name, for rows of several settings, and where the records have nothing to draw.
    """
    from equibench.report.figures import draw as figures

    return figures.draw(name, results)
