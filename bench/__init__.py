"""equibench: image generative models of four families compared under equal budgets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__version__ = "0.1.0"

# The version of all rules that change a number (DESIGN: protocol). Numbers of different protocols are never compared;
# every entry tagged [protocol] in CHANGELOG.md raises it.
PROTOCOL = "3"


class UserError(Exception):
    """A mistake of the user's. Its text is one sentence that says what to do; the command line exits with code 2."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Tail of a sentence about an unknown word: `; did you mean 'x'? (choices: x, y)`."""
    known = sorted(choices)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"; did you mean {match[0]!r}?" if match else ";"
    return f"{guess} (choices: {', '.join(known)})"


def load_results(*paths: str | Path) -> pd.DataFrame:
    """The records in folders or files as a pandas DataFrame, one row a cell; `equibench.figures.draw` draws it.

    Columns: `path` of the record's file, its name as `file`, `run` (the folder, where several hold the same cells),
    then the record's fields, e.g. `quality_value`, `likelihood_bits_per_dim`, `likelihood_kind`,
    `speed_images_per_sec`, `spent_train_sec`: raw, in the SI unit of the name, missing where not measured. All are
    listed by `equibench.summary.sort.PATHS` and described in `equibench.record.schema`. A distance is comparable only
    where `quality_metric`, `quality_n_samples`, `quality_features_name` and `data_sha256` are equal, a speed only where
    `machine_key` is.

    Raises UserError where there are no records, or records of two protocols.
    """
    from equibench.summary import sort as summary  # brings pandas, which takes a second

    return summary.load_frame(summary.load_cells([Path(path) for path in paths]), with_path=True)
