"""Records as a pandas frame: the one file of the reading wing that needs pandas."""

from __future__ import annotations

import pandas as pd

from equibench.record.paths import value_at
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import order_key, setting_key

# Columns of the frame, by the part of the record they lie in.
FIELDS = {
    "": "key suite entrant role family seed status reason",
    "data": "name sha256 n_train n_test entropy_bits_per_dim",
    "budget": "params unit amount",
    "machine": "key",
    "code": "commit dirty",
    "quality": "metric value stderr interval.low interval.high corrected n_samples n_reference reference features.name "
    "features.weights_sha256",
    "likelihood": "kind bits_per_dim stderr_bits_per_dim dequantization n_images",
    "speed": "batch_size images_per_sec latency_p50_sec latency_p90_sec network_evaluations flops_per_image",
    "memory": "quantity train_peak_bytes train_batch_size sample_peak_bytes sample_batch_size",
    "spent": "params sampling_params flops flops_per_image images updates train_sec compile_sec",
}
COLUMNS = [f"{part}.{name}".lstrip(".") for part, names in FIELDS.items() for name in names.split()]


def load_frame(cells: list[FiledRecord], with_path: bool = False) -> pd.DataFrame:
    """A tidy frame, one row a cell, sorted by section and entrant; raw SI values, missing where not measured.

    Columns: `path` if asked for, `file`, `run` (its folder, where folders are compared), then those of `PATHS`,
    e.g. `spent_train_sec` for the record's `spent.train_sec`.
    """
    ordered = sorted(cells, key=lambda cell: (setting_key(cell), order_key(cell.record), cell.path.name))
    rows = [[cell.path.name, cell.run.label, *(value_at(cell.record, path) for path in COLUMNS)] for cell in ordered]
    frame = pd.DataFrame(rows, columns=["file", "run", *(path.replace(".", "_") for path in COLUMNS)])
    if with_path:
        frame.insert(0, "path", [str(cell.path) for cell in ordered])
    return frame
