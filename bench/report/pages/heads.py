"""Heads of columns: label, unit, better side, and what the column means."""

from __future__ import annotations

from dataclasses import dataclass

from equibench.quantities import glossary
from equibench.quantities.meanings import meaning
from equibench.report.tables.table import Table

ARROWS = {"↓": "lower", "↑": "higher"}
# columns that hold no number of a record, or one that was made of several
OTHER = {
    "entrant": "A model that takes part in the comparison: a family with its settings.",
    "n_seeds": "How many trainings the mean is over.",
    "seed": "The number that starts all random draws of one training.",
    "class": "A class of the data, by the name of its label.",
    "assigned": "How samples were assigned to classes.",
    "dropped": "Classes of which a classifier finds less than a tenth of their share among the test images.",
    "read": "What the model makes of an image: pixels are the image itself.",
    "other": "The entrant that it is compared with.",
    "metric": "Name of the metric, with the number of samples and the feature network: only equal ones compare.",
    "measure": "What the two are compared in.",
    "quantity": "What was measured.",
    "kind": "Exact, a bound, or an estimate: what the number can be read as.",
    "mode": "How the network was run: as it is, compiled, or captured as a graph.",
    "setting": "A way to sample the model.",
    "options": "The options that the sampler was called with.",
    "point": "Share of the training that was done.",
    "ended": "The entrant whose final distance is to be reached.",
    "target": "The distance at which that entrant's training ended.",
    "front_by_time": "Whether no other setting is both faster and better.",
    "front_by_flops": "Whether no other setting is both better and of fewer FLOPs.",
    "latency_repeats": "How many single images were timed.",
    "likelihood_images": "How many test images the bits/dim of this row were measured on.",
    "curve": "The bound with more and more weights or steps.",
    "detail": "How the likelihood was estimated.",
    "about": "What kind of bound this is.",
    "name": "What it goes by.",
    "tuning": "What was spent to choose the entrant's settings, as a multiple of one training. No budget counts it.",
    "difference": "The difference of the means.",
    "p_holm": "Probability of so large a difference by chance, after Holm's correction over all pairs.",
    "verdict": "What the test, or the budget, says.",
    "basis": "What the verdict holds for: families over seeds, or the trained models alone.",
    "before": "In the earlier setting or run.",
    "after": "In the later setting or run.",
    "from": "The first of the two, or of all.",
    "to": "The second of the two, or the last of all.",
    "mean": "Mean over seeds.",
    "sd": "Standard deviation over seeds.",
    "evaluation_sd": "The part of the spread that other samples of the same models would show.",
    "training_sd": "What is left of the spread: training again.",
    "status": "How the cell ended.",
    "suite": "The suite it was run in.",
    "key": "Start of the record's key, by which its number can be cited.",
    "machine": "Start of the machine's key: speeds compare on one machine only.",
    "commit": "The code that made the record.",
    "data_sha256": "Start of the hash of the data set.",
    "weights_sha256": "Start of the hash of the trained weights.",
    "created": "When the record was made.",
    "wall_sec": "From beginning to end.",
    "test_bits_per_dim": "Bits/dim of the test images, for comparison.",
}


@dataclass(frozen=True)
class Head:
    """The head of one column."""

    name: str  # in the CSV
    label: str
    unit: str
    better: str  # "lower", "higher" or ""
    meaning: str
    numeric: bool


def heads(table: Table) -> list[Head]:
    """The head of each column."""
    return [_head(table, i) for i in range(len(table.names))]


def _head(table: Table, i: int) -> Head:
    label, better = table.labels[i], ""
    if label[-1:] in ARROWS:
        label, better = label[:-1].rstrip(), ARROWS[label[-1]]
    quantity = quantity_of(table, i)
    unit = ""
    if quantity is not None:
        shown = quantity.shown.unit if quantity.shown else quantity.unit
        if shown and label.endswith(f", {shown}"):
            label, unit = label.removesuffix(f", {shown}"), shown
    sentence = OTHER.get(table.names[i], "")
    if quantity is not None and not sentence:
        sentence = meaning(quantity)
    return Head(table.names[i], label, unit, better, sentence, table.numeric[i])


def quantity_of(table: Table, i: int) -> glossary.Quantity | None:
    """The one number of a record that the column holds in all its lines; None where it holds none, or several."""
    paths = {
        line.entries[i].source.path  # type: ignore[union-attr]
        for line in table.lines
        if i < len(line.entries) and line.entries[i].source is not None and line.entries[i].is_number
    }
    found = {known.label: known for path in paths if (known := glossary.known(path))}
    return next(iter(found.values())) if len(found) == 1 else None
